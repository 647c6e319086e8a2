package wallet

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// agreement is how many endpoints of a chain must say the same, where it has so many. One provider that lies, or is in
// somebody else's hands, then signs nobody in.
const agreement = 2

// chain is a chain and its endpoints.
type chain struct {
	id        uint64
	endpoints []*endpoint // in the order in which they are preferred
	need      int         // how many must say the same
	places    chan struct{}
	config    *ContractsConfig
}

// ask is a question to one endpoint. Answers are equal where their texts are.
type ask func(ctx context.Context, e *endpoint) (said string, err error)

func newChain(id uint64, urls []string, c *ContractsConfig, client *http.Client) (*chain, error) {
	if id == 0 {
		return nil, errors.New("wallet: rpc: 0 is not a chain id")
	}
	if len(urls) == 0 {
		return nil, fmt.Errorf("wallet: rpc: chain %d has no URL", id)
	}
	ch := &chain{id: id, need: min(agreement, len(urls)), places: make(chan struct{}, c.Parallel), config: c}
	seen := make(map[string]bool)
	for i, text := range urls {
		u, err := parseEndpoint(text)
		if err != nil {
			return nil, fmt.Errorf("wallet: rpc: chain %d, endpoint %d: %w", id, i+1, err)
		}
		// An endpoint always agrees with itself.
		if seen[u.String()] {
			return nil, fmt.Errorf("wallet: rpc: chain %d, endpoint %d (%s): it stands there twice", id, i+1, u.Host)
		}
		seen[u.String()] = true
		e, err := newEndpoint(id, i+1, u, c, client)
		if err != nil {
			return nil, err
		}
		ch.endpoints = append(ch.endpoints, e)
	}
	return ch, nil
}

// agree answers what enough endpoints say. Endpoints are asked at the same time, as many as must agree; where one fails or
// says something else, the next one is asked. With fewer left than must agree there is no answer: else whoever keeps one
// endpoint from answering, by using up its quota say, has the other one decide alone.
func (ch *chain) agree(ctx context.Context, ask ask) (string, error) {
	ready := 0
	for _, e := range ch.endpoints {
		if e.breaker.ready(ch.config.Now()) {
			ready++
		}
	}
	if ready < ch.need {
		return "", fmt.Errorf("wallet: chain %d: endpoints failed lately: %w", ch.id, ErrRPCUnavailable)
	}
	// Half of the time is for waiting, so that whoever asks has the other half for an endpoint.
	wait := time.NewTimer(ch.config.Timeout / 2)
	defer wait.Stop()
	select {
	case ch.places <- struct{}{}:
		defer func() { <-ch.places }()
	case <-wait.C:
		return "", fmt.Errorf("wallet: chain %d: too many checks at once: %w", ch.id, ErrRPCUnavailable)
	case <-ctx.Done():
		return "", fmt.Errorf("wallet: chain %d: %w: %w", ch.id, ErrRPCUnavailable, ctx.Err())
	}
	return ch.tally(ctx, ask)
}

func (ch *chain) tally(ctx context.Context, ask ask) (string, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // those who are not needed any more
	type result struct {
		said string
		err  error
	}
	results := make(chan result, len(ch.endpoints))
	running, next := 0, 0
	start := func() {
		for next < len(ch.endpoints) {
			e := ch.endpoints[next]
			next++
			if !e.breaker.allow(ch.config.Now(), ch.config.Timeout) {
				continue
			}
			running++
			go func() {
				said, err := e.do(ctx, ask)
				results <- result{said, err}
			}()
			return
		}
	}
	for range ch.need {
		start()
	}
	votes := make(map[string]int)
	best := 0
	failures := []error{ErrRPCUnavailable}
	for running > 0 {
		r := <-results
		running--
		if r.err != nil {
			failures = append(failures, r.err)
			start()
		} else {
			votes[r.said]++
			best = max(best, votes[r.said])
			if votes[r.said] == ch.need {
				return r.said, nil
			}
			if running == 0 {
				start() // it may side with one of them
			}
		}
		if best+running+len(ch.endpoints)-next < ch.need {
			break
		}
	}
	if len(votes) > 1 {
		ch.config.Observer.Disagreed(ch.id)
		failures = append(failures, errors.New("endpoints disagree"))
	}
	return "", fmt.Errorf("wallet: chain %d: %w", ch.id, errors.Join(failures...))
}
