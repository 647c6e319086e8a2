package wallet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// The errors of Contracts, beside ErrInvalidSignature.
var (
	// ErrRPCUnavailable says that a chain could not be asked, or did not answer clearly: never a verdict on a signature.
	ErrRPCUnavailable = errors.New("the chain cannot be asked now")
	// ErrChainNotChecked says that no endpoint is configured for the chain. It is an ErrInvalidSignature too: the key does
	// not fit, and nothing else counts here.
	ErrChainNotChecked = fmt.Errorf("contracts on this chain are not asked: %w", ErrInvalidSignature)
	// ErrReverted says that the contract refused a call.
	ErrReverted = errors.New("the contract reverted")
)

const (
	// maxContractSignature bounds, in bytes, what is sent to a chain. A multisig of 100 owners needs 6500.
	maxContractSignature = 16 << 10

	defaultTimeout   = 5 * time.Second
	defaultGas       = 3_000_000
	defaultMaxAnswer = 256 << 10
	defaultParallel  = 16
	defaultPerClient = 4
)

// ContractsConfig says which chains are asked, and how. The zero value of every field is its default.
type ContractsConfig struct {
	// Chains are the URLs of JSON-RPC endpoints by chain id: https, or http to this machine. They may carry a secret, which
	// no error and no observer is told. Of two or more for one chain, two must say the same before it counts, and the next
	// one is asked where one fails.
	Chains map[uint64][]string
	// Factories may deploy wallets within a check (ERC-6492). Default: none, so that wallets which are not deployed yet are
	// refused. A factory has to return the address of the wallet that it made, as one word and nothing else; the address has
	// to commit to all that the call runs. One that returns what its caller chooses lets strangers in: name none.
	Factories []Address

	Proxy     bool          // the endpoints are reached by the proxy in the environment (HTTPS_PROXY); default: directly
	Timeout   time.Duration // for one check, all endpoints included; each one has half of it; default 5 s
	Gas       uint64        // for each call; default 3 million
	MaxAnswer int64         // of an endpoint, in bytes; default 256 KiB
	Parallel  int           // checks at a time on each chain; default 16
	PerClient int           // checks at a time for one client; default 4

	Observer  ContractsObserver // default: none
	Transport http.RoundTripper // default: one for these endpoints alone
	Now       func() time.Time  // default time.Now
}

// ContractsObserver is told how endpoints do, for metrics and the like. An endpoint is named by its chain and its place
// among those of the chain, from 1. The methods must be quick and are called from many goroutines.
type ContractsObserver interface {
	// Asked is told each question to an endpoint: outcome is "ok", or "unreachable", "timeout", "status" (of HTTP),
	// "malformed", "too_large", "wrong_chain", "error" (it could not answer) or "canceled" (nobody waited any more).
	Asked(chain uint64, endpoint int, outcome string, took time.Duration)
	// Broken is told that an endpoint is not asked any more for a while, again at each trial that fails, or that it is asked:
	// at first, once it answers, and when nobody is to ask it any more.
	Broken(chain uint64, endpoint int, broken bool)
	// Disagreed is told that endpoints of a chain gave different answers to one question.
	Disagreed(chain uint64)
}

// Contracts asks chains about wallets that are contracts: deployed ones (ERC-1271), keys with delegated code (EIP-7702)
// and ones that are not deployed yet (ERC-6492). Make it with NewContracts; it may be used from many goroutines at once.
//
// What it promises: it follows no redirect, reads no more of an answer than it may, waits no longer than Timeout, fetches
// nothing that a contract names (ERC-3668), and asks an endpoint that fails again and again only now and then. Whatever
// is not clearly a contract's yes is no yes; whatever is not clearly its no is ErrRPCUnavailable.
type Contracts struct {
	config  ContractsConfig
	chains  map[uint64]*chain
	clients gates
	http    *http.Client
}

// NewContracts checks the configuration; it connects to nothing. Its errors say what to write, and nothing of a URL but
// its host.
func NewContracts(c ContractsConfig) (*Contracts, error) {
	c.Timeout = cmp.Or(c.Timeout, defaultTimeout)
	c.Gas = cmp.Or(c.Gas, defaultGas)
	c.MaxAnswer = cmp.Or(c.MaxAnswer, defaultMaxAnswer)
	c.Parallel = cmp.Or(c.Parallel, defaultParallel)
	c.PerClient = cmp.Or(c.PerClient, defaultPerClient)
	if c.Timeout < 0 || c.MaxAnswer < 0 || c.Parallel < 0 || c.PerClient < 0 {
		return nil, errors.New("wallet: contracts: a limit is negative")
	}
	if c.Observer == nil {
		c.Observer = noObserver{}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	for i, f := range c.Factories {
		switch {
		case f == (Address{}):
			return nil, errors.New("wallet: factory: the zero address deploys nothing")
		case slices.Contains(anybodysCalls, f):
			return nil, fmt.Errorf("wallet: factory: %s calls whatever its caller asks for, and would let strangers in; name the factory of the wallet itself", f)
		case slices.Contains(c.Factories[:i], f):
			return nil, fmt.Errorf("wallet: factory: %s is named twice", f)
		}
	}
	k := &Contracts{config: c, chains: make(map[uint64]*chain), clients: gates{size: c.PerClient}, http: newHTTPClient(c)}
	for id, urls := range c.Chains {
		ch, err := newChain(id, urls, &k.config, k.http)
		if err != nil {
			return nil, err
		}
		k.chains[id] = ch
	}
	for _, ch := range k.chains {
		for _, e := range ch.endpoints {
			c.Observer.Broken(e.chain, e.number, false) // whatever stood in its place before
		}
	}
	return k, nil
}

// Checks reports whether contracts on this chain are asked.
func (k *Contracts) Checks(chain uint64) bool { return k.chains[chain] != nil }

// Close closes idle connections, and no endpoint is told to be broken any more. Checks that are under way go on.
func (k *Contracts) Close() {
	k.http.CloseIdleConnections()
	for _, ch := range k.chains {
		for _, e := range ch.endpoints {
			if e.breaker.refuses() {
				k.config.Observer.Broken(e.chain, e.number, false)
			}
		}
	}
}

// Verify asks the contract at an address on a chain whether a signature of a hash is its own. client is who asks, as a
// rate limit counts clients. It answers nil, ErrInvalidSignature, ErrChainNotChecked or ErrRPCUnavailable.
func (k *Contracts) Verify(ctx context.Context, client string, chain uint64, a Address, hash [32]byte, signature []byte) error {
	ch := k.chains[chain]
	if ch == nil {
		return fmt.Errorf("wallet: chain %d: %w", chain, ErrChainNotChecked)
	}
	q, err := k.question(a, hash, signature)
	if err != nil {
		return err
	}
	// The client first: whoever asks much waits behind themselves, not before others.
	ctx, cancel := context.WithTimeout(ctx, k.config.Timeout)
	defer cancel()
	leave, err := k.clients.enter(ctx, client, k.config.Timeout/2)
	if err != nil {
		return fmt.Errorf("wallet: chain %d: too many checks at once for one client: %w", chain, ErrRPCUnavailable)
	}
	defer leave()
	said, err := ch.agree(ctx, func(ctx context.Context, e *endpoint) (string, error) { return e.isValid(ctx, q) })
	switch {
	case err != nil:
		return err
	case said != valid:
		return fmt.Errorf("wallet: chain %d: %s: %w", chain, said, ErrInvalidSignature)
	}
	return nil
}

// question is one check of a signature.
type question struct {
	wallet    Address
	hash      [32]byte
	signature []byte      // for the wallet itself
	deploy    *deployment // how it may be deployed, where it is not; nil: not at all
}

// question refuses what needs no chain to be refused.
func (k *Contracts) question(a Address, hash [32]byte, signature []byte) (question, error) {
	q := question{wallet: a, hash: hash, signature: signature}
	// The first 65536 addresses are kept for precompiled contracts, and the zero address is nobody's. Some of them answer
	// anything with what they were called with.
	if isZero(a[:len(a)-2]) {
		return q, fmt.Errorf("wallet: %s can be nobody's wallet: %w", a, ErrInvalidSignature)
	}
	if len(signature) > maxContractSignature {
		return q, fmt.Errorf("wallet: a signature of more than %d bytes: %w", maxContractSignature, ErrInvalidSignature)
	}
	d, wrapped, err := unwrap(signature)
	switch {
	case err != nil:
		return q, fmt.Errorf("wallet: %w: %w", err, ErrInvalidSignature)
	case wrapped:
		q.signature = d.signature
		if slices.Contains(k.config.Factories, d.factory) {
			q.deploy = &d
		}
	}
	return q, nil
}

// Call answers what a contract returns to a call at the latest block. It answers ErrReverted, ErrChainNotChecked or
// ErrRPCUnavailable. An address without code returns nothing, and no error.
func (k *Contracts) Call(ctx context.Context, chain uint64, to Address, data []byte) ([]byte, error) {
	return k.read(ctx, chain, func(ctx context.Context, e *endpoint) (string, error) { return e.call(ctx, to, data) })
}

// Code answers the code of an address at the latest block; none is no error. It answers ErrChainNotChecked or
// ErrRPCUnavailable.
func (k *Contracts) Code(ctx context.Context, chain uint64, a Address) ([]byte, error) {
	return k.read(ctx, chain, func(ctx context.Context, e *endpoint) (string, error) { return e.code(ctx, a) })
}

func (k *Contracts) read(ctx context.Context, chain uint64, ask ask) ([]byte, error) {
	ch := k.chains[chain]
	if ch == nil {
		return nil, fmt.Errorf("wallet: chain %d: %w", chain, ErrChainNotChecked)
	}
	ctx, cancel := context.WithTimeout(ctx, k.config.Timeout)
	defer cancel()
	said, err := ch.agree(ctx, ask)
	switch {
	case err != nil:
		return nil, err
	case said == reverted:
		return nil, fmt.Errorf("wallet: chain %d: %w", chain, ErrReverted)
	}
	return []byte(said[len(returned):]), nil
}

type noObserver struct{}

func (noObserver) Asked(uint64, int, string, time.Duration) {}
func (noObserver) Broken(uint64, int, bool)                 {}
func (noObserver) Disagreed(uint64)                         {}
