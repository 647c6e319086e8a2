package memstore

import (
	"context"
	"sync"

	"github.com/caddy-authgate/authgate/authcore"
)

// Notify implements authcore.Notices: the only instance there is tells itself.
func (s *Store) Notify(ctx context.Context, n authcore.Notice) error {
	if err := alive(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.notify(n)
	return nil
}

// Listen implements authcore.Notices. It is always connected.
func (s *Store) Listen(ctx context.Context, to authcore.Listener) {
	ear := &ear{news: make(chan struct{}, 1)}
	s.board.add(ear)
	defer s.board.remove(ear)
	to.Connected(true)
	for {
		select {
		case <-ctx.Done():
			to.Connected(false)
			return
		case <-ear.news:
			for _, n := range s.board.take(ear) {
				to.Heard(n)
			}
		}
	}
}

// board holds for each listener what it has not been told yet.
type board struct {
	mu   sync.Mutex
	ears map[*ear]struct{}
}

type ear struct {
	news    chan struct{} // holds one where there is something to take
	waiting []authcore.Notice
}

func (b *board) add(e *ear) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ears == nil {
		b.ears = make(map[*ear]struct{})
	}
	b.ears[e] = struct{}{}
}

func (b *board) remove(e *ear) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.ears, e)
}

func (b *board) post(n authcore.Notice) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for e := range b.ears {
		e.waiting = append(e.waiting, n)
		select {
		case e.news <- struct{}{}:
		default:
		}
	}
}

func (b *board) take(e *ear) []authcore.Notice {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := e.waiting
	e.waiting = nil
	return all
}
