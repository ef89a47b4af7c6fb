package embedded_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"varde/internal/embedded"
)

func TestEmbeddedRedisKeepsAndForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		r := embedded.NewRedis()
		c := r.Client()
		if err := c.Set(ctx, "for good", "1", 0).Err(); err != nil {
			t.Fatal(err)
		}
		if err := c.Set(ctx, "for a while", "1", 3*time.Second).Err(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2500 * time.Millisecond)
		if n := c.Exists(ctx, "for good", "for a while").Val(); n != 2 {
			t.Errorf("%d keys after 2.5 s, want 2", n)
		}
		time.Sleep(2 * time.Second)
		if n := c.Exists(ctx, "for good", "for a while").Val(); n != 1 {
			t.Errorf("%d keys after 4.5 s, want 1", n)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestTwoEmbeddedRedisShareNothing(t *testing.T) {
	ctx := context.Background()
	a, b := embedded.NewRedis(), embedded.NewRedis()
	if err := a.Client().Set(ctx, "k", "1", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if n := b.Client().Exists(ctx, "k").Val(); n != 0 {
		t.Error("a key of the other one is there")
	}
	for _, r := range []*embedded.Redis{a, b} {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := a.Client().Ping(ctx).Err(); err == nil {
		t.Error("a closed one answers")
	}
}

// TestEmptyQueueIsAnsweredWithoutAScript: asynq sees no difference, neither on an
// empty queue nor on one that is paused or filled.
func TestEmptyQueueIsAnsweredWithoutAScript(t *testing.T) {
	ctx := context.Background()
	r := embedded.NewRedis()
	defer func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}()
	c := r.Client()
	take := redis.NewScript(`
		if redis.call("EXISTS", KEYS[2]) == 1 then return nil end
		redis.call("INCR", "runs")
		return redis.call("RPOPLPUSH", KEYS[1], KEYS[3])`)
	keys := []string{"q:pending", "q:paused", "q:active", "q:lease"}
	poll := func() (any, error) { return take.Run(ctx, c, keys).Result() }
	if v, err := poll(); !errors.Is(err, redis.Nil) {
		t.Errorf("empty: %v, %v", v, err)
	}
	if err := c.LPush(ctx, "q:pending", "a").Err(); err != nil {
		t.Fatal(err)
	}
	if err := c.Set(ctx, "q:paused", "1", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if v, err := poll(); !errors.Is(err, redis.Nil) {
		t.Errorf("paused: %v, %v", v, err)
	}
	if err := c.Del(ctx, "q:paused").Err(); err != nil {
		t.Fatal(err)
	}
	if v, err := poll(); err != nil || v != "a" {
		t.Errorf("filled: %v, %v", v, err)
	}
	if v, err := poll(); !errors.Is(err, redis.Nil) {
		t.Errorf("emptied: %v, %v", v, err)
	}
	if n := c.Get(ctx, "runs").Val(); n != "1" {
		t.Errorf("the script took from the queue %s times, want once", n)
	}
	// A script with other keys goes through.
	keys[3] = "q:other"
	if _, err := poll(); !errors.Is(err, redis.Nil) {
		t.Errorf("other: %v", err)
	}
	if n := c.Get(ctx, "runs").Val(); n != "2" {
		t.Errorf("a script that looks otherwise was not run")
	}
}
