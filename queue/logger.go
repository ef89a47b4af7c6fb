package queue

import (
	"fmt"
	"log/slog"
	"strings"
)

// asynqLog lets asynq speak through our logger. Its words are IDs of tasks and
// errors of Redis.
type asynqLog struct{ log *slog.Logger }

func (l asynqLog) Debug(args ...any) { l.log.Debug(sentence(args)) }
func (l asynqLog) Info(args ...any)  { l.log.Debug(sentence(args)) } // of its own comings and goings
func (l asynqLog) Warn(args ...any)  { l.log.Warn(sentence(args)) }
func (l asynqLog) Error(args ...any) { l.log.Error(sentence(args)) }

// Fatal doesn't end the process, which is not asynq's to end.
func (l asynqLog) Fatal(args ...any) { l.log.Error(sentence(args)) }

func sentence(args []any) string {
	return "asynq: " + strings.TrimSpace(fmt.Sprint(args...))
}
