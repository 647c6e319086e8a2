package redisstore

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/caddy-authgate/authgate/authcore"
)

const (
	// noticesKept is about how many notices an instance may be behind before it is told that it missed some: 8 MB.
	noticesKept = 1 << 16
	// noticesTTL is for how long they are kept where no new one comes.
	noticesTTL = 24 * time.Hour
	// noticesBatch is how many are read at once.
	noticesBatch = 512
	// noticesWait is how long the server waits for one before it says that there is none; then it is asked whether it still
	// has what it had.
	noticesWait = time.Second
	// minPause and maxPause are how long to wait before connecting again.
	minPause, maxPause = 50 * time.Millisecond, 2 * time.Second
)

// addNotice is one step, so that the stream is never without a TTL.
const addNotice = `
local id = redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*', 'k', ARGV[3], 's', ARGV[4])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return id
`

var addNoticeScript = redis.NewScript(addNotice)

func (s *Store) noticesKey() string { return s.prefix + "notices" }

// Notify implements authcore.Notices.
func (s *Store) Notify(ctx context.Context, n authcore.Notice) error {
	_, err := s.run(ctx, "notify", addNoticeScript, addNotice, s.noticesKey(), true,
		noticesKept, noticesTTL.Milliseconds(), string(n.Kind), n.Subject)
	return err
}

// Listen implements authcore.Notices.
func (s *Store) Listen(ctx context.Context, to authcore.Listener) {
	e := ear{Store: s, to: to}
	pause := minPause
	for {
		began := time.Now()
		e.listen(ctx)
		if e.connected {
			e.connected = false
			to.Connected(false)
		}
		if ctx.Err() != nil {
			return
		}
		e.failed = true
		// What went well for a while begins with a short pause again.
		if time.Since(began) > 2*maxPause {
			pause = minPause
		}
		timer := time.NewTimer(pause/2 + rand.N(pause/2))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		pause = min(2*pause, maxPause)
	}
}

// ear is one who listens. It knows the last entry of the stream that it heard, and the run of the server that it heard it
// from. As long as that server runs and still has that entry, it has all that came after, as it throws away the oldest
// first; else something may be lost. For there to be a last entry from the start, the ear puts one there itself.
type ear struct {
	*Store
	to        authcore.Listener
	connected bool
	failed    bool // to connect, before it ever did
	last, run string
}

// listen hears until the connection fails.
func (e *ear) listen(ctx context.Context) {
	n, err := e.node(ctx, e.noticesKey())
	if err != nil {
		return
	}
	conn := n.client.Conn()
	defer conn.Close()
	if err := e.begin(ctx, conn); err != nil {
		return
	}
	e.connected = true
	e.to.Connected(true)
	for e.hear(ctx, conn) == nil {
		// Until there is an error.
	}
}

// begin finds out whether what was sent since the last time can still be heard.
func (e *ear) begin(ctx context.Context, conn *redis.Conn) error {
	limited, cancel := context.WithTimeout(ctx, e.timeout)
	defer cancel()
	info, err := conn.Info(limited, "server").Result()
	if err != nil {
		return err
	}
	run := infoField(info, "run_id")
	if e.last != "" && e.run == run {
		there, err := e.has(limited, conn)
		if err != nil || there {
			return err
		}
	}
	return e.anew(limited, conn, run)
}

// anew listens from now on. The entry that it puts there says nothing.
func (e *ear) anew(ctx context.Context, conn *redis.Conn, run string) error {
	id, err := conn.Eval(ctx, addNotice, []string{e.noticesKey()}, noticesKept, noticesTTL.Milliseconds(), "", "").Text()
	if err != nil {
		return err
	}
	missed := e.last != "" || e.failed
	e.last, e.run = id, run
	if missed {
		e.to.Missed()
	}
	return nil
}

// has reports whether the server still has the last entry that was heard.
func (e *ear) has(ctx context.Context, conn *redis.Conn) (bool, error) {
	found, err := conn.XRangeN(ctx, e.noticesKey(), e.last, e.last, 1).Result()
	return len(found) > 0, err
}

// hear waits for notices, for a while.
func (e *ear) hear(ctx context.Context, conn *redis.Conn) error {
	limited, cancel := context.WithTimeout(ctx, noticesWait+e.timeout)
	defer cancel()
	there, err := e.has(limited, conn)
	if err == nil && !there {
		return e.anew(limited, conn, e.run)
	}
	if err != nil {
		return err
	}
	streams, err := conn.XRead(limited, &redis.XReadArgs{
		Streams: []string{e.noticesKey(), e.last}, Count: noticesBatch, Block: noticesWait,
	}).Result()
	if errors.Is(err, redis.Nil) {
		return ctx.Err()
	} else if err != nil {
		return err
	}
	for _, stream := range streams {
		for _, entry := range stream.Messages {
			kind, _ := entry.Values["k"].(string)
			subject, _ := entry.Values["s"].(string)
			if kind != "" {
				e.to.Heard(authcore.Notice{Kind: authcore.NoticeKind(kind), Subject: subject})
			}
			e.last = entry.ID
		}
	}
	return ctx.Err()
}

var _ authcore.Notices = (*Store)(nil)
