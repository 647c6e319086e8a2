package wallet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/rpc"
)

// endpoint is one JSON-RPC server of a chain.
type endpoint struct {
	chain   uint64
	number  int // its place among those of the chain, from 1
	host    string
	client  *rpc.Client
	breaker breaker
	matches atomic.Bool // it is of this chain
	config  *ContractsConfig
}

// failure is why an endpoint gave no answer. Its text carries no secret of the URL: not the path, query and user, and
// nothing that the server wrote, since it may write what it was asked.
type failure struct {
	outcome string // as ContractsObserver is told
	text    string
}

func (f *failure) Error() string { return f.text }

// errTooLarge is that of reading more than an endpoint may answer.
var errTooLarge = errors.New("the answer is too large")

// unclear says that an endpoint answers, and gave no clear answer to this question. Whoever chooses the contract may be
// the cause, so it does not count against the endpoint.
type unclear struct{ error }

// parseEndpoint reads the URL of an endpoint. Its errors carry nothing of it.
func parseEndpoint(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "" || u.Fragment != "" || u.Opaque != "":
		return nil, errors.New("not a URL; write https://<host>/<path>")
	case u.Scheme == "https", u.Scheme == "http" && isLoopback(u.Hostname()):
		return u, nil
	case u.Scheme == "http":
		return nil, fmt.Errorf("http to %s could be read and changed on its way; write https, or http://localhost", u.Host)
	}
	return nil, errors.New("not an https URL; write https://<host>/<path>, or http://localhost:<port>")
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

func newEndpoint(chain uint64, number int, u *url.URL, c *ContractsConfig, client *http.Client) (*endpoint, error) {
	// Of http and https URLs this connects to nothing.
	dialed, err := rpc.DialOptions(context.Background(), u.String(), rpc.WithHTTPClient(client))
	if err != nil {
		return nil, fmt.Errorf("wallet: rpc: chain %d, endpoint %d (%s): not a URL that can be used", chain, number, u.Host)
	}
	return &endpoint{chain: chain, number: number, host: u.Host, client: dialed, config: c}, nil
}

// do asks the endpoint, and notes how it did.
func (e *endpoint) do(ctx context.Context, ask ask) (said string, err error) {
	budget := e.config.Timeout / 2
	within, cancel := context.WithTimeout(ctx, budget)
	defer cancel()
	began, start := e.config.Now(), time.Now()
	said, err = ask(within, e)
	took := time.Since(start)
	outcome := "ok"
	var f *failure
	var u unclear
	switch {
	case err == nil:
		e.answered()
	case errors.As(err, &u):
		outcome = "error"
		e.answered()
	case ctx.Err() != nil && took < budget:
		outcome = "canceled" // it had no time to answer: that tells nothing about it
	default:
		outcome = "error"
		if errors.As(err, &f) {
			outcome = f.outcome
		}
		// What answers after a failure may be another server.
		e.matches.Store(false)
		if e.breaker.failed(began, e.config.Now()) {
			e.config.Observer.Broken(e.chain, e.number, true)
		}
	}
	e.config.Observer.Asked(e.chain, e.number, outcome, took)
	if err != nil {
		err = fmt.Errorf("endpoint %d (%s): %w", e.number, e.host, err)
	}
	return said, err
}

func (e *endpoint) answered() {
	if e.breaker.answered() {
		e.config.Observer.Broken(e.chain, e.number, false)
	}
}

// batch sends calls in one request; single requests would not compare ids. The chain id is asked with them until it was
// right once.
func (e *endpoint) batch(ctx context.Context, calls []rpc.BatchElem) error {
	var id hexutil.Uint64
	all, first := calls, !e.matches.Load()
	if first {
		all = append(slices.Clone(calls), rpc.BatchElem{Method: "eth_chainId", Result: &id})
	}
	if err := e.client.BatchCallContext(ctx, all); err != nil {
		return e.failure(err)
	}
	copy(calls, all)
	for _, call := range all {
		var said rpc.Error
		if call.Error != nil && !errors.As(call.Error, &said) {
			return &failure{"malformed", "it does not answer as a chain does"}
		}
	}
	if !first {
		return nil
	}
	switch asked := all[len(all)-1]; {
	case asked.Error != nil:
		return e.refusal("eth_chainId", asked.Error)
	case uint64(id) != e.chain:
		return &failure{"wrong_chain", fmt.Sprintf("it is of chain %d; write its URL behind that chain id", uint64(id))}
	}
	e.matches.Store(true)
	return nil
}

// failure says why a request failed.
func (e *endpoint) failure(err error) error {
	var status rpc.HTTPError
	var timeout net.Error
	switch {
	case errors.Is(err, errTooLarge):
		return &tooLarge{failure{"too_large", errTooLarge.Error()}}
	case errors.As(err, &status):
		return &failure{"status", fmt.Sprintf("it answers HTTP status %d", status.StatusCode)}
	case errors.Is(err, context.Canceled):
		return &failure{"canceled", "nobody waits for it any more"}
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return &failure{"timeout", "it did not answer in time"}
	}
	// The text of a url.Error has the whole URL in it; that of what it wraps has at most the host.
	var carried *url.Error
	if errors.As(err, &carried) {
		return &failure{"unreachable", "it cannot be reached: " + e.clean(carried.Err)}
	}
	return &failure{"malformed", "it does not answer JSON-RPC"}
}

// tooLarge is a failure that a contract can cause, too.
type tooLarge struct{ failure }

func (t *tooLarge) Unwrap() error { return &t.failure }

// clean answers the text of an error of the network: its kind, where it is one that carries no foreign text.
func (e *endpoint) clean(err error) string {
	var op *net.OpError
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns):
		return "the name is not known"
	case errors.As(err, &op) && op.Err != nil:
		return op.Op + ": " + op.Err.Error()
	case strings.HasPrefix(err.Error(), "tls: "), strings.HasPrefix(err.Error(), "x509: "):
		return err.Error()
	}
	return "no connection"
}

// refusal is a method's error where it tells nothing about the contract.
func (e *endpoint) refusal(method string, err error) error {
	var said rpc.Error
	if errors.As(err, &said) {
		return &failure{"error", fmt.Sprintf("%s: error %d", method, said.ErrorCode())}
	}
	return &failure{"malformed", method + ": no result"}
}

// newHTTPClient makes the client for all endpoints. It follows no redirect, which could lead into the operator's own
// network, takes no compressed answers, which could be larger than they look, and knows no proxy that is not asked for.
func newHTTPClient(c ContractsConfig) *http.Client {
	transport := c.Transport
	if transport == nil {
		own := &http.Transport{
			DialContext:            (&net.Dialer{Timeout: c.Timeout / 2}).DialContext,
			ForceAttemptHTTP2:      true,
			TLSHandshakeTimeout:    c.Timeout / 2,
			MaxIdleConnsPerHost:    c.Parallel,
			IdleConnTimeout:        90 * time.Second,
			MaxResponseHeaderBytes: 64 << 10,
			DisableCompression:     true,
		}
		if c.Proxy {
			own.Proxy = http.ProxyFromEnvironment
		}
		transport = own
	}
	return &http.Client{
		Transport:     &bounded{transport, c.MaxAnswer},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// bounded bounds the bodies of answers; the RPC client reads all that comes.
type bounded struct {
	http.RoundTripper
	max int64
}

func (b *bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		response.Body = &boundedBody{response.Body, b.max}
	}
	return response, err
}

func (b *bounded) CloseIdleConnections() {
	if c, ok := b.RoundTripper.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// boundedBody fails where io.LimitReader would pretend that the body ends.
type boundedBody struct {
	io.ReadCloser
	left int64
}

func (b *boundedBody) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, errTooLarge
	}
	// One byte more than allowed tells a body that ends there from one that goes on.
	p = p[:min(int64(len(p)), b.left+1)]
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return n, errTooLarge
	}
	return n, err
}
