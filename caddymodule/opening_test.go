package caddymodule

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

// counting is an opening whose open fails as often as told, and which counts.
func counting(failures int) (o *opening[int], opened *int) {
	var n int
	return &opening[int]{
		name: "store test", now: time.Now,
		open: func(context.Context) (int, error) {
			n++
			if n <= failures {
				return 0, errors.New("refused")
			}
			return n, nil
		},
	}, &n
}

func TestOpeningIsOpenedOnceByMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var opened int
		o := &opening[int]{now: time.Now, open: func(context.Context) (int, error) {
			time.Sleep(time.Second)
			opened++
			return opened, nil
		}}
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				if v, err := o.get(t.Context()); v != 1 || err != nil {
					t.Errorf("got %d, %v", v, err)
				}
			})
		}
		all.Wait()
	})
}

// A request whose client went away must not spoil the opening for all others.
func TestOpeningGoesOnWithoutWhoAskedFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &opening[int]{name: "store test", now: time.Now, open: func(ctx context.Context) (int, error) {
			select {
			case <-ctx.Done():
				return 0, ctx.Err()
			case <-time.After(time.Second):
				return 1, nil
			}
		}}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := o.get(ctx); !errors.Is(err, authcore.ErrUnavailable) {
			t.Errorf("got %v, want ErrUnavailable", err)
		}
		if v, err := o.get(t.Context()); v != 1 || err != nil {
			t.Errorf("got %d, %v", v, err)
		}
	})
}

// A store that is down is not asked by each request, and is asked again soon.
func TestOpeningPausesAfterFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, opened := counting(1000)
		for range 60 * 100 {
			if _, err := o.get(t.Context()); !errors.Is(err, authcore.ErrUnavailable) {
				t.Fatalf("got %v, want ErrUnavailable", err)
			}
			time.Sleep(10 * time.Millisecond)
		}
		if *opened < 60/5 || *opened > 20 {
			t.Errorf("%d tries in a minute", *opened)
		}
		before := *opened
		o.retry()
		if _, err := o.get(t.Context()); err == nil || *opened != before+1 {
			t.Errorf("retry: %d tries, %v", *opened-before, err)
		}
	})
}

func TestOpeningOpensAfterFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, _ := counting(3)
		began := time.Now()
		for {
			if v, err := o.get(t.Context()); err == nil {
				if v != 4 {
					t.Errorf("got %d", v)
				}
				break
			}
			time.Sleep(minOpenPause)
		}
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

// The last configuration may go while the store is still opening.
func TestOpeningClosesWhatOpensLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		closed := 0
		o := &opening[int]{
			name: "store test", now: time.Now,
			open: func(context.Context) (int, error) {
				time.Sleep(time.Second)
				return 7, nil
			},
			close: func(v int) error {
				closed = v
				return nil
			},
		}
		go o.get(t.Context())
		synctest.Wait()
		if err := o.Destruct(); err != nil || closed != 7 {
			t.Errorf("closed %d, %v", closed, err)
		}
		if _, err := o.get(t.Context()); !errors.Is(err, authcore.ErrUnavailable) {
			t.Errorf("after the end: got %v, want ErrUnavailable", err)
		}
	})
}
