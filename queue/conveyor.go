package queue

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"varde/study"
)

const (
	// taskType is what all our tasks are to asynq.
	taskType = "job"
	// taskTries is only a net: the ledger counts the tries that count. asynq's
	// are used up when the ledger can't be reached again and again.
	taskTries = 10
	// taskLimit is far above any job's time. asynq can't end a job that runs;
	// the gate's watchdog can.
	taskLimit = time.Hour
	// epochKey holds the conveyor's epoch.
	epochKey = "varde:epoch"
)

// A Conveyor is the short way from the dispatcher to the workers. All methods
// may be called by many goroutines at once. While Redis can't be reached they
// fail with an error of kind [study.ErrBusy].
type Conveyor struct {
	redis     redis.UniversalClient
	client    *asynq.Client
	inspector *asynq.Inspector
	own       bool // the client is ours to close
}

// Open connects to a Redis: "redis://[user:password@]host:port/db"; to the one
// that Sentinels watch under a name:
// "redis+sentinel://[user:password@]host:port,host:port/db?master=name", where
// user and password are the Redis' own; or to a cluster:
// "redis+cluster://[user:password@]host:port,host:port". With rediss it is over
// TLS. It does not wait for Redis to be there: [Conveyor.Ping] tells whether it
// is.
//
// A Sentinel's new master need not hold all that the old one did, and a cluster
// may lose a part of what it holds. Neither loses a job: see the sweeper.
func Open(address string) (*Conveyor, error) {
	client, err := connect(address)
	if err != nil {
		return nil, err
	}
	c := Over(client)
	c.own = true
	return c, nil
}

// Over makes a conveyor over a client, which stays the caller's to close.
func Over(client redis.UniversalClient) *Conveyor {
	// It writes to stderr by itself whatever it also returns.
	redis.SetLogger(silence{})
	return &Conveyor{
		redis:     client,
		client:    asynq.NewClientFromRedisClient(client),
		inspector: asynq.NewInspectorFromRedisClient(client),
	}
}

// silence is a logger of go-redis that says nothing.
type silence struct{}

func (silence) Printf(context.Context, string, ...any) {}

// Close gives up the connections that Open made.
func (c *Conveyor) Close() error {
	if !c.own {
		return nil
	}
	return c.redis.Close()
}

// Ping tells whether Redis answers. A Redis that is there and does not let us in, for
// a wrong user, password or database, is [study.ErrRefused].
func (c *Conveyor) Ping(ctx context.Context) error {
	err := c.redis.Ping(ctx).Err()
	for _, word := range refusals {
		if err != nil && redis.HasErrorPrefix(err, word) {
			return fmt.Errorf("redis: %w: %w", study.ErrRefused, err)
		}
	}
	return away(err)
}

// refusals begin the answers of a Redis that will answer alike tomorrow.
var refusals = [...]string{"NOAUTH", "WRONGPASS", "NOPERM", "AUTH ", "invalid password", "DB index", "invalid DB index"}

// away says of an error of Redis that it is a matter of trying again.
func away(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("redis: %w: %w", study.ErrBusy, err)
}

// queueName is a lane of a pool.
func queueName(pool string, lane study.Lane) string { return pool + ":" + lane.String() }

// taskID names one attempt. asynq refuses an ID that it holds already, so that
// an attempt is put once.
func taskID(id string, attempt int) string { return id + "#" + strconv.Itoa(attempt) }

// put lays a job on the conveyor.
func (c *Conveyor) put(ctx context.Context, j study.Job) error {
	task := asynq.NewTask(taskType, []byte(j.ID+" "+strconv.Itoa(j.Attempt)))
	_, err := c.client.EnqueueContext(ctx, task,
		asynq.Queue(queueName(j.Pool, j.Lane)), asynq.TaskID(taskID(j.ID, j.Attempt)),
		asynq.MaxRetry(taskTries), asynq.Timeout(taskLimit))
	if errors.Is(err, asynq.ErrTaskIDConflict) {
		return nil // it lies there already
	}
	return away(err)
}

// parse reads what put wrote.
func parse(payload []byte) (id string, attempt int, err error) {
	id, n, ok := strings.Cut(string(payload), " ")
	attempt, err = strconv.Atoi(n)
	if !ok || id == "" || err != nil {
		return "", 0, fmt.Errorf("task of %d bytes is no job and attempt: %w", len(payload), study.ErrInvalid)
	}
	return id, attempt, nil
}

// A position is where an attempt is on the conveyor.
type position int

const (
	nowhere position = iota
	waiting
	active   // some server has taken it off
	archived // asynq has given it up
)

// find looks for an attempt.
func (c *Conveyor) find(j study.Job) (position, error) {
	info, err := c.inspector.GetTaskInfo(queueName(j.Pool, j.Lane), taskID(j.ID, j.Attempt))
	switch {
	case errors.Is(err, asynq.ErrQueueNotFound), errors.Is(err, asynq.ErrTaskNotFound):
		return nowhere, nil
	case err != nil:
		return nowhere, away(err)
	case info.State == asynq.TaskStateActive:
		return active, nil
	case info.State == asynq.TaskStateArchived:
		return archived, nil
	}
	return waiting, nil
}

// remove takes an attempt off the conveyor, if it is there and not active.
func (c *Conveyor) remove(j study.Job) error {
	err := c.inspector.DeleteTask(queueName(j.Pool, j.Lane), taskID(j.ID, j.Attempt))
	if errors.Is(err, asynq.ErrQueueNotFound) || errors.Is(err, asynq.ErrTaskNotFound) {
		return nil
	}
	return away(err)
}

// epoch reads the conveyor's epoch, which is empty on a new one.
func (c *Conveyor) epoch(ctx context.Context) (string, error) {
	v, err := c.redis.Get(ctx, epochKey).Result()
	if errors.Is(err, redis.Nil) {
		return "", nil
	}
	return v, away(err)
}

func (c *Conveyor) setEpoch(ctx context.Context, epoch string) error {
	return away(c.redis.Set(ctx, epochKey, epoch, 0).Err())
}
