package wallet

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// ask is one check of a wallet that says yes.
func (f *fakeChain) ask(t testing.TB, k *Contracts) error {
	t.Helper()
	f.deploy(contractWallet, says(yes))
	return k.Verify(t.Context(), "client", 10, contractWallet, [32]byte{1}, nil)
}

// observed notes what an observer is told.
type observed struct {
	mu   sync.Mutex
	told []string
}

func (o *observed) note(text string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.told = append(o.told, text)
}

func (o *observed) Asked(chain uint64, n int, outcome string, _ time.Duration) {
	o.note(fmt.Sprintf("%d/%d %s", chain, n, outcome))
}

func (o *observed) Broken(chain uint64, n int, broken bool) {
	o.note(fmt.Sprintf("%d/%d broken %v", chain, n, broken))
}

func (o *observed) Disagreed(chain uint64) { o.note(fmt.Sprintf("%d disagreed", chain)) }

func (o *observed) has(text string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, t := range o.told {
		if t == text {
			return true
		}
	}
	return false
}

// answering writes a body to each question, in which $1, $2 and $3 stand for the ids of the batch.
func answering(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		var batch []fakeRequest
		_ = json.Unmarshal(b, &batch)
		out := body
		for i, q := range batch {
			out = strings.ReplaceAll(out, fmt.Sprintf("$%d", i+1), string(q.ID))
		}
		_, _ = io.WriteString(w, out)
	}
}

// Servers that lie, stall, flood or talk nonsense: none of them is believed, none of them holds anybody up, and none of
// what they do is a verdict on a signature.
func TestHostileServers(t *testing.T) {
	const (
		code   = `{"jsonrpc":"2.0","id":$1,"result":"0x6001"}`
		says   = `{"jsonrpc":"2.0","id":$2,"result":"0x1626ba7e00000000000000000000000000000000000000000000000000000000"}`
		is     = `{"jsonrpc":"2.0","id":$3,"result":"0xa"}`
		zeroes = "0000000000000000000000000000000000000000000000000000000000000000"
	)
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		t.Error("a redirect was followed")
	}))
	defer elsewhere.Close()
	redirect := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL, status) }
	}
	var sent atomic.Int64
	flood := func(w io.Writer, chunk []byte, upTo int64) {
		for n := int64(0); n < upTo; n += int64(len(chunk)) {
			if _, err := w.Write(chunk); err != nil {
				return
			}
			sent.Add(int64(len(chunk)))
		}
	}
	spaces := []byte(strings.Repeat(" ", 64<<10))
	for _, c := range []struct {
		name    string
		does    http.HandlerFunc
		outcome string
	}{
		{"redirects 302", redirect(302), "status"},
		{"redirects 307", redirect(307), "status"},
		{"redirects 308", redirect(308), "status"},
		{"hangs", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "timeout"},
		{"stops half way", func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, `[{"jsonrpc":"2.0",`)
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}, "timeout"},
		{"drips", func(w http.ResponseWriter, r *http.Request) {
			tick := time.NewTicker(5 * time.Millisecond)
			defer tick.Stop()
			for r.Context().Err() == nil {
				_, _ = io.WriteString(w, " ")
				_ = http.NewResponseController(w).Flush()
				<-tick.C
			}
		}, "timeout"},
		{"answers a gigabyte", func(w http.ResponseWriter, _ *http.Request) { flood(w, spaces, 1<<30) }, "too_large"},
		{"announces a gigabyte", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1073741824")
			flood(w, spaces, 1<<30)
		}, "too_large"},
		{"answers an error of a gigabyte", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusInternalServerError)
			flood(w, spaces, 1<<30)
		}, "status"},
		{"answers a gzip bomb", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			flood(z, spaces, 64<<20)
			_ = z.Close()
		}, "malformed"},
		{"header of a megabyte", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Long", strings.Repeat("x", 1<<20))
		}, "unreachable"},
		{"closes", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "unreachable"},
		{"answers 429", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(429) }, "status"},
		{"answers yes with status 500", func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(500)
			answering("["+code+","+says+","+is+"]")(w, r)
		}, "status"},
		{"nothing", answering(""), "malformed"},
		{"HTML", answering("<html>welcome</html>"), "malformed"},
		{"cut off", answering("[" + code + "," + says), "malformed"},
		{"one answer instead of a batch", answering(says), "malformed"},
		{"null", answering("null"), "malformed"},
		{"list of null", answering("[null,null,null]"), "malformed"},
		{"empty list", answering("[]"), "malformed"},
		{"deep", answering(strings.Repeat("[", 100000)), "malformed"},
		{"other ids", answering(strings.ReplaceAll("["+code+","+says+","+is+"]", "$", "9999")), "malformed"},
		{"ids as text", answering(strings.NewReplacer("$1", `"$1"`, "$2", `"$2"`, "$3", `"$3"`).Replace("[" + code + "," + says + "," + is + "]")), "malformed"},
		{"one id for all", answering(strings.NewReplacer("$2", "$1", "$3", "$1").Replace("[" + code + "," + says + "," + is + "]")), "malformed"},
		{"no answer to the call", answering("[" + code + "," + is + "]"), "malformed"},
		{"no chain id", answering("[" + code + "," + says + "]"), "malformed"},
		{"another chain", answering("[" + code + "," + says + "," + strings.Replace(is, "0xa", "0x1", 1) + "]"), "wrong_chain"},
		{"a chain id beyond 64 bits", answering("[" + code + "," + says + "," + strings.Replace(is, "0xa", "0x10000000000000000a", 1) + "]"), "malformed"},
		{"chain id as number", answering("[" + code + "," + says + "," + strings.Replace(is, `"0xa"`, "10", 1) + "]"), "malformed"},
		{"code is no hex", answering("[" + strings.Replace(code, "0x6001", "0xzz", 1) + "," + says + "," + is + "]"), "malformed"},
		{"code is null", answering("[" + strings.Replace(code, `"0x6001"`, "null", 1) + "," + says + "," + is + "]"), "malformed"},
		{"code is an error", answering(`[{"jsonrpc":"2.0","id":$1,"error":{"code":-32000,"message":"missing trie node"}},` + says + "," + is + "]"), "error"},
		{"answer has an odd digit", answering("[" + code + "," + strings.Replace(says, `00"`, `0"`, 1) + "," + is + "]"), "malformed"},
		{"answer is a list", answering("[" + code + "," + strings.Replace(says, `"0x1626ba7e`+zeroes[:56]+`"`, `["0x1626ba7e"]`, 1) + "," + is + "]"), "malformed"},
		{"answer and error", answering("[" + code + "," + strings.Replace(says, `"result"`, `"error":{"code":-32000,"message":"header not found"},"result"`, 1) + "," + is + "]"), "error"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, o := newFakeChain(t, 10), new(observed)
			f.hostile(c.does)
			k := testContracts(t, func(config *ContractsConfig) {
				config.Observer, config.Timeout = o, 2*time.Minute
				if c.outcome == "timeout" {
					config.Timeout = 200 * time.Millisecond
				}
			}, f)
			began := time.Now()
			if err := f.ask(t, k); !errors.Is(err, ErrRPCUnavailable) || errors.Is(err, ErrInvalidSignature) {
				t.Errorf("%v", err)
			}
			if took := time.Since(began); c.outcome == "timeout" && took > 30*time.Second { // the others must not come to that
				t.Errorf("took %v", took)
			}
			if !o.has("10/1 " + c.outcome) {
				t.Errorf("observed %q", o.told)
			}
		})
	}
	// What is in the buffers of the sockets on both sides was sent, too, so it is less than one of them wanted to send.
	if sent := sent.Load(); sent > 1<<30 {
		t.Errorf("%d bytes were taken", sent)
	}
}

// One who lies gets nobody in, and keeps nobody out where a third one is there.
func TestEndpointsMustAgree(t *testing.T) {
	const no, ok, dead = "says no", "says yes", "dead"
	for _, c := range []struct {
		are  []string
		want error
	}{
		{[]string{ok}, nil},
		{[]string{no}, ErrInvalidSignature},
		{[]string{dead}, ErrRPCUnavailable},
		{[]string{ok, ok}, nil},
		{[]string{no, no}, ErrInvalidSignature},
		{[]string{ok, no}, ErrRPCUnavailable},
		{[]string{no, ok}, ErrRPCUnavailable},
		// Whoever can keep one of two from answering must not have the other one decide alone.
		{[]string{ok, dead}, ErrRPCUnavailable},
		{[]string{dead, ok}, ErrRPCUnavailable},
		{[]string{dead, no}, ErrRPCUnavailable},
		{[]string{dead, ok, ok}, nil},
		{[]string{ok, dead, ok}, nil},
		{[]string{dead, dead, ok}, ErrRPCUnavailable},
		{[]string{ok, no, ok}, nil},
		{[]string{ok, no, no}, ErrInvalidSignature},
		{[]string{no, ok, dead}, ErrRPCUnavailable},
		{[]string{ok, dead, dead, ok}, nil},
	} {
		t.Run(strings.Join(c.are, ", "), func(t *testing.T) {
			var servers []*fakeChain
			for _, is := range c.are {
				f := newFakeChain(t, 10)
				switch is {
				case ok:
					f.deploy(contractWallet, says(yes))
				case no:
					f.deploy(contractWallet, says(make([]byte, 32)))
				case dead:
					f.hostile(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(502) })
				}
				servers = append(servers, f)
			}
			k := testContracts(t, nil, servers...)
			if err := k.Verify(t.Context(), "", 10, contractWallet, [32]byte{1}, nil); !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
			// Where two agree at once, the third one is not asked.
			if len(c.are) == 3 && c.are[0] == c.are[1] && c.are[0] != dead && len(servers[2].questions()) > 0 {
				t.Error("more were asked than needed")
			}
		})
	}
}

// One of two that lies at every other question is told apart from one that does not.
func TestEndpointLiesNowAndThen(t *testing.T) {
	honest, liar, o := newFakeChain(t, 10), newFakeChain(t, 10), new(observed)
	honest.deploy(contractWallet, says(make([]byte, 32)))
	calls := 0
	liar.deploy(contractWallet, func([]byte) ([]byte, string) {
		if calls++; calls%2 == 1 {
			return yes, ""
		}
		return make([]byte, 32), ""
	})
	k := testContracts(t, func(c *ContractsConfig) { c.Observer = o }, honest, liar)
	for i := range 4 {
		want := ErrInvalidSignature
		if i%2 == 0 {
			want = ErrRPCUnavailable
		}
		if err := k.Verify(t.Context(), "", 10, contractWallet, [32]byte{1}, nil); !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
	}
	if !o.has("10 disagreed") {
		t.Errorf("observed %q", o.told)
	}
}

// An endpoint that fails again and again is not asked for a while, and then found to be back.
func TestBrokenEndpointIsLeftAlone(t *testing.T) {
	f, o := newFakeChain(t, 10), new(observed)
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	k := testContracts(t, func(c *ContractsConfig) { c.Now, c.Observer = func() time.Time { return now }, o }, f)
	asked := 0
	f.hostile(func(w http.ResponseWriter, _ *http.Request) { asked++; w.WriteHeader(502) })
	for range 10 {
		if err := f.ask(t, k); !errors.Is(err, ErrRPCUnavailable) {
			t.Error(err)
		}
		now = now.Add(time.Millisecond)
	}
	if asked != breakAfter || !o.has("10/1 broken true") {
		t.Errorf("asked %d times; %q", asked, o.told)
	}
	f.hostile(nil)
	if err := f.ask(t, k); !errors.Is(err, ErrRPCUnavailable) {
		t.Errorf("asked too soon: %v", err)
	}
	now = now.Add(maxBreak)
	if err := f.ask(t, k); err != nil || !o.has("10/1 broken false") {
		t.Errorf("%v, %q", err, o.told)
	}
}

// Whoever chooses the contract, or goes away, must not be able to have an endpoint taken for broken: nobody else could
// sign in then.
func TestContractsDoNotBreakEndpoints(t *testing.T) {
	f, o := newFakeChain(t, 10), new(observed)
	k := testContracts(t, func(c *ContractsConfig) { c.Observer = o; c.Factories = []Address{someFactory} }, f)
	bad := Address{0: 0xba, 19: 1}
	for _, c := range []contract{
		says(make([]byte, 1<<20)), fails(-32000, "something that no list knows"), fails(3, "execution reverted"), fails(-32000, "out of gas"),
	} {
		f.deploy(bad, c)
		for range 2 * breakAfter {
			_ = k.Verify(t.Context(), "", 10, bad, [32]byte{}, nil)
		}
	}
	f.deploy(bad, nil)
	for range 2 * breakAfter { // this server cannot simulate
		_ = k.Verify(t.Context(), "", 10, bad, [32]byte{}, wrapped(someFactory, nil, nil))
	}
	for range 2 * breakAfter {
		gone, cancel := context.WithCancel(t.Context())
		f.hostile(func(_ http.ResponseWriter, r *http.Request) {
			cancel()
			<-r.Context().Done()
		})
		_ = k.Verify(gone, "", 10, bad, [32]byte{}, nil)
		cancel()
	}
	f.hostile(nil)
	if err := f.ask(t, k); err != nil || o.has("10/1 broken true") {
		t.Errorf("%v, %q", err, o.told)
	}
}

// A chain id that was right once is not asked again, until something failed: then another server may answer.
func TestChainIDIsAskedAgainAfterFailure(t *testing.T) {
	f := newFakeChain(t, 10)
	k := testContracts(t, nil, f)
	for range 3 {
		if err := f.ask(t, k); err != nil {
			t.Fatal(err)
		}
	}
	if asked := strings.Join(f.questions(), " "); strings.Count(asked, "eth_chainId") != 1 {
		t.Errorf("asked %s", asked)
	}
	f.hostile(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(502) })
	_ = f.ask(t, k)
	f.hostile(nil)
	f.mu.Lock()
	f.id = 11
	f.mu.Unlock()
	if err := f.ask(t, k); !errors.Is(err, ErrRPCUnavailable) {
		t.Errorf("another chain was believed: %v", err)
	}
}

// One client asks no more than its share at a time, and all together no more than the chain's.
func TestChecksAreLimited(t *testing.T) {
	for _, c := range []struct {
		name    string
		clients int
		want    int64
	}{
		{"one client", 1, 2},
		{"many clients", 20, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFakeChain(t, 10)
			k := testContracts(t, func(c *ContractsConfig) { c.PerClient, c.Parallel = 2, 3 }, f)
			var now, most atomic.Int64
			full := make(chan struct{})
			fill := sync.OnceFunc(func() { close(full) }) // once: the places are full again as soon as somebody leaves
			f.hostile(func(w http.ResponseWriter, _ *http.Request) {
				n := now.Add(1)
				for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
				}
				if n == c.want {
					fill()
				}
				<-full
				now.Add(-1)
				w.WriteHeader(502)
			})
			var all sync.WaitGroup
			for i := range 20 {
				all.Go(func() {
					err := k.Verify(t.Context(), fmt.Sprint(i%c.clients), 10, contractWallet, [32]byte{}, nil)
					if !errors.Is(err, ErrRPCUnavailable) {
						t.Error(err)
					}
				})
			}
			all.Wait()
			if got := most.Load(); got != c.want {
				t.Errorf("%d at a time, want %d", got, c.want)
			}
			if len(k.clients.named) != 0 {
				t.Errorf("%d clients are remembered", len(k.clients.named))
			}
		})
	}
}

// Nobody waits for a place longer than half of the time.
func TestCrowdIsSentAway(t *testing.T) {
	f := newFakeChain(t, 10)
	k := testContracts(t, func(c *ContractsConfig) { c.PerClient, c.Timeout = 1, 2*time.Second }, f)
	inside, over := make(chan struct{}), make(chan struct{})
	f.hostile(func(http.ResponseWriter, *http.Request) { close(inside); <-over })
	done := make(chan struct{})
	go func() { defer close(done); _ = k.Verify(t.Context(), "a", 10, contractWallet, [32]byte{}, nil) }()
	<-inside
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := k.Verify(gone, "a", 10, contractWallet, [32]byte{}, nil); !errors.Is(err, ErrRPCUnavailable) {
		t.Error(err)
	}
	close(over)
	<-done
}

// The URL of an endpoint carries a key. No error tells it, whatever the server does, and no other text of the server.
func TestSecretsOfURLsAreNotTold(t *testing.T) {
	const secret = "s3cr3t"
	f := newFakeChain(t, 10)
	host := strings.TrimPrefix(f.URL, "http://")
	url := "http://user" + secret + ":pass" + secret + "@" + host + "/v3/" + secret + "?key=" + secret
	tell := func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "no such key: %s %s", r.URL, r.Header) }
	for name, does := range map[string]http.HandlerFunc{
		"status": func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(403); tell(w, r) },
		"status line": func(w http.ResponseWriter, r *http.Request) {
			conn, _, _ := http.NewResponseController(w).Hijack()
			fmt.Fprintf(conn, "HTTP/1.1 403 no key %s\r\nContent-Length: 0\r\n\r\n", r.URL)
			_ = conn.Close()
		},
		"text":     tell,
		"redirect": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/other/"+secret, http.StatusFound) },
		"closes":   func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"error": func(w http.ResponseWriter, r *http.Request) {
			answering(`[{"id":$1,"error":{"code":-32000,"message":"bad key `+secret+`"}},{"id":$2,"error":{"code":-32001,"message":"`+secret+`"}},{"id":$3,"result":"0xa"}]`)(w, r)
		},
		"error of the call": func(w http.ResponseWriter, r *http.Request) {
			answering(`[{"id":$1,"result":"0x60"},{"id":$2,"error":{"code":-32001,"message":"`+secret+`","data":"`+secret+`"}},{"id":$3,"result":"0xa"}]`)(w, r)
		},
		"not HTTP": func(w http.ResponseWriter, r *http.Request) {
			conn, _, _ := http.NewResponseController(w).Hijack()
			fmt.Fprintf(conn, "what is %s?\r\n", r.URL)
			_ = conn.Close()
		},
		"header": func(w http.ResponseWriter, r *http.Request) {
			conn, _, _ := http.NewResponseController(w).Hijack()
			fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\n%s\r\n\r\n", r.URL)
			_ = conn.Close()
		},
	} {
		f.hostile(does)
		k, err := NewContracts(ContractsConfig{Chains: map[uint64][]string{10: {url}}})
		if err != nil {
			t.Fatal(err)
		}
		err = k.Verify(t.Context(), "", 10, contractWallet, [32]byte{}, nil)
		if !errors.Is(err, ErrRPCUnavailable) || strings.Contains(fmt.Sprintf("%v %+v %#v", err, err, err), secret) {
			t.Errorf("%s: %v", name, err)
		}
		if !strings.Contains(err.Error(), host) {
			t.Errorf("%s: the error does not say which endpoint: %v", name, err)
		}
		k.Close()
	}
	for _, url := range []string{"http://127.0.0.1:1/" + secret, "https://127.0.0.1:1/" + secret, "https://no-such-host.invalid/" + secret, "https://" + host + "/" + secret} {
		k, err := NewContracts(ContractsConfig{Chains: map[uint64][]string{10: {url}}})
		if err != nil {
			t.Fatal(err)
		}
		if err = k.Verify(t.Context(), "", 10, contractWallet, [32]byte{}, nil); !errors.Is(err, ErrRPCUnavailable) || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %v", url, err)
		}
	}
}

// The proxy in the environment is for others, unless it is asked for.
func TestProxyOfEnvironment(t *testing.T) {
	for _, on := range []bool{false, true} {
		c := newHTTPClient(ContractsConfig{Proxy: on, Timeout: time.Second})
		if has := c.Transport.(*bounded).RoundTripper.(*http.Transport).Proxy != nil; has != on {
			t.Errorf("Proxy %v: has a proxy: %v", on, has)
		}
	}
}
