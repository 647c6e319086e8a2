package wallet

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/maypok86/otter/v2"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/singleflight"
)

const (
	defaultHoldingTTL     = 10 * time.Minute
	defaultHoldingTimeout = 3 * time.Second
	maxHoldings           = 100_000 // answers that are kept; some 20 MB
	perAccount            = 4       // questions at a time: who has linked many wallets waits, and nobody behind them
)

// Holdings tells what wallets have on chains, and keeps the answers for a while. Make it with NewHoldings; it may be used
// from many goroutines at once.
type Holdings struct {
	contracts *Contracts
	ttl       time.Duration
	timeout   time.Duration
	now       func() time.Time
	answers   *HoldingAnswers
	asking    singleflight.Group
}

type holder struct {
	wallet  Address
	holding Holding
}

type answered struct {
	has  bool
	when time.Time
}

// HoldingAnswers is what chains have answered lately. It may outlive the Holdings that asked.
type HoldingAnswers struct {
	*otter.Cache[holder, answered]
}

// NewHoldingAnswers makes an empty one.
func NewHoldingAnswers() *HoldingAnswers {
	return &HoldingAnswers{otter.Must(&otter.Options[holder, answered]{MaximumSize: maxHoldings})}
}

// HoldingsConfig configures Holdings. The zero value of a field is its default.
type HoldingsConfig struct {
	Contracts *Contracts      // required
	Answers   *HoldingAnswers // what is known already; default: nothing
	TTL       time.Duration   // how old an answer may be; default 10 min
	Timeout   time.Duration   // for all questions about one account; default 3 s
	Now       func() time.Time
}

// NewHoldings makes Holdings. It answers an error where a chain of the holdings that will be asked for has no endpoint.
func NewHoldings(c HoldingsConfig, asked []Holding) (*Holdings, error) {
	h := &Holdings{contracts: c.Contracts, answers: c.Answers, ttl: c.TTL, timeout: c.Timeout, now: c.Now}
	if h.answers == nil {
		h.answers = NewHoldingAnswers()
	}
	if h.ttl == 0 {
		h.ttl = defaultHoldingTTL
	}
	if h.timeout == 0 {
		h.timeout = defaultHoldingTimeout
	}
	if h.now == nil {
		h.now = time.Now
	}
	for _, one := range asked {
		if h.contracts == nil || !h.contracts.Checks(one.Chain) {
			return nil, errors.New("wallet: " + one.String() + ": no endpoint is configured for chain " + strconv.FormatUint(one.Chain, 10) + "; write wallet { rpc " + strconv.FormatUint(one.Chain, 10) + " <url> }")
		}
	}
	return h, nil
}

// Of answers which of the holdings one of the wallets of an account has, in their order, as of no longer ago than TTL. A
// question that was not answered in time counts as no, and is told in failed: whoever depends on it gets nothing by an
// endpoint that is down.
func (h *Holdings) Of(ctx context.Context, wallets []Account, holdings []Holding) (has []bool, failed error) {
	ctx, cancel := context.WithTimeout(ctx, h.timeout)
	defer cancel()
	has = make([]bool, len(holdings))
	var (
		all errgroup.Group
		mu  sync.Mutex
	)
	all.SetLimit(perAccount)
	for i, one := range holdings {
		for _, w := range wallets {
			if !one.canHave(w) {
				continue
			}
			all.Go(func() error {
				yes, err := h.has(ctx, holder{w.Address, one})
				mu.Lock()
				defer mu.Unlock()
				has[i] = has[i] || yes
				if err != nil && failed == nil {
					failed = err
				}
				return nil
			})
		}
	}
	_ = all.Wait() // errors are in failed
	return has, failed
}

func (h *Holdings) known(who holder) (has, known bool) {
	a, ok := h.answers.GetIfPresent(who)
	return a.has, ok && h.now().Sub(a.when) < h.ttl
}

func (h *Holdings) has(ctx context.Context, who holder) (bool, error) {
	if has, known := h.known(who); known {
		return has, nil
	}
	if ctx.Err() != nil {
		return false, ErrRPCUnavailable
	}
	// Of many who ask at once one does; the question goes on when that one has gone.
	answer := h.asking.DoChan(who.wallet.String()+" "+who.holding.String(), func() (any, error) {
		if has, known := h.known(who); known {
			return has, nil // the one who asked was done just before
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), h.timeout)
		defer cancel()
		when := h.now() // before the question: an answer is as old as that
		has, err := who.holding.has(ctx, h.contracts, who.wallet)
		if err != nil {
			return false, err
		}
		h.answers.Set(who, answered{has, when})
		return has, nil
	})
	select {
	case a := <-answer:
		return a.Err == nil && a.Val.(bool), a.Err
	case <-ctx.Done():
		return false, ErrRPCUnavailable
	}
}
