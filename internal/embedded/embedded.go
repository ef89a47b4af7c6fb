// Package embedded holds stand-ins for the services that production has beside
// Varde, so that one process runs with nothing else installed.
//
//	NewRedis   the broker in front of the workers, inside our own process
//
// A stand-in keeps nothing when the process ends. It needn't: the broker is
// filled from the ledger, which notices a new one by its missing epoch.
package embedded

import (
	"context"
	"errors"
	"net"
	"strings"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Redis is a Redis in our own process. It is reached through pipes: there is no
// port, so that nobody else can reach it.
type Redis struct {
	server *miniredis.Miniredis
	client *redis.Client
	stop   chan struct{}
	done   chan struct{}
}

// NewRedis starts an empty one.
func NewRedis() *Redis {
	r := &Redis{server: miniredis.NewMiniRedis(), stop: make(chan struct{}), done: make(chan struct{})}
	r.client = redis.NewClient(&redis.Options{
		// For errors only: nothing is listened to or dialed there.
		Addr: "127.0.0.1:6379",
		Dialer: func(context.Context, string, string) (net.Conn, error) {
			return r.server.Dial()
		},
		// A worker's servers, a dispatcher and a sweeper each hold a few.
		PoolSize: 30,
		// A broker in our own process neither asks who we are nor moves elsewhere.
		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
	r.client.AddHook(emptyQueues{r.server})
	go r.age()
	return r
}

// emptyQueues spares the server a script. asynq polls each of its queues many
// times a second by a script whose keys are the queue's pending list, its pause
// mark, its active list and its leases; every script costs the server a Lua state,
// a third of a millisecond. While the pending list isn't there the script gives
// nil and changes nothing, and that can be said without it. Whatever looks
// otherwise goes through.
type emptyQueues struct{ server *miniredis.Miniredis }

// DialHook changes nothing.
func (emptyQueues) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessPipelineHook changes nothing.
func (emptyQueues) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// ProcessHook answers for an empty queue.
func (e emptyQueues) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if pending, ok := polled(cmd.Args()); ok && !e.server.Exists(pending) {
			cmd.SetErr(redis.Nil)
			return redis.Nil
		}
		return next(ctx, cmd)
	}
}

// polled gives the pending list of the queue that a command takes a task from.
func polled(args []any) (pending string, ok bool) {
	// evalsha, script, number of keys, keys …, arguments …
	suffixes := [...]string{":pending", ":paused", ":active", ":lease"}
	if len(args) < 3+len(suffixes) || args[0] != "evalsha" || args[2] != len(suffixes) {
		return "", false
	}
	for i, suffix := range suffixes {
		key, isText := args[3+i].(string)
		if !isText || !strings.HasSuffix(key, suffix) {
			return "", false
		}
		if i == 0 {
			pending = key
		}
	}
	return pending, true
}

// Client gives the client, which Close closes.
func (r *Redis) Client() *redis.Client { return r.client }

// age lets the time to live of keys run. The server could follow the clock by
// itself, but then it looks at every key it has on every command.
func (r *Redis) age() {
	defer close(r.done)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-r.stop:
			return
		case <-tick.C:
			r.server.FastForward(time.Second)
		}
	}
}

// Close ends the client and the server, once. What they held is gone.
func (r *Redis) Close() error {
	close(r.stop)
	<-r.done
	err := r.client.Close()
	r.server.Close()
	if errors.Is(err, redis.ErrClosed) {
		return nil
	}
	return err
}
