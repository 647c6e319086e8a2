package endtoend

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// hashers is how many sign-ins are under way at once.
const hashers = 200

// BenchmarkPassword measures sign-ins with a password, and what they cost those who are signed in already: the latency of
// their requests when nobody signs in, and while 200 sign-ins are hashed or wait for it. Rounds of both take turns; figures
// are lower quartiles over the rounds, as of BenchmarkServer.
func BenchmarkPassword(b *testing.B) {
	mails := startMailServer(b)
	setup := mails.mailed("")
	s := startServers(b, setup.global, setup.env...)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: hashers}}
	b.Cleanup(client.CloseIdleConnections)
	post := func(route, body string) (int, []byte) {
		resp, err := client.Post("http://"+s.gated+"/auth/"+route, "application/json", strings.NewReader(body))
		if err != nil {
			b.Error(err)
			return 0, nil
		}
		defer resp.Body.Close()
		text, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, text
	}
	join := func(address string) (known string, in signedIn) {
		known = fmt.Sprintf(`{"email":%q,"password":%q}`, address, passphrase)
		if status, text := post("password/register", known); status != 202 {
			b.Fatal(status, string(text))
		}
		key := mails.wait(b, address, 1)[0].key(b, "http://"+s.gated+"/auth/activate")
		status, text := post("password/activate", fmt.Sprintf(`{"key":%q}`, key))
		if err := json.Unmarshal(text, &in); status != 200 || err != nil {
			b.Fatal(status, string(text), err)
		}
		return known, in
	}
	known, _ := join("alice@example.net")
	_, in := join("bob@example.net") // somebody else: of so many sessions of one user those used longest ago end

	b.Run("sign-in", func(b *testing.B) {
		// As many at a time as keep the hasher busy, and rounds so long that the cleaning up after the hashes is in them.
		const atOnce, each = 4, 10
		var rounds []time.Duration
		for b.Loop() {
			for range 4 {
				began := time.Now()
				together(atOnce, func(int) {
					for range each {
						if status, text := post("password/sign-in", known); status != 200 {
							b.Error(status, string(text))
						}
					}
				})
				rounds = append(rounds, time.Since(began))
			}
		}
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(atOnce*each/quartile(rounds).Seconds(), "sign-ins/s")
	})

	b.Run("signed-in", func(b *testing.B) {
		lines := programLines + in.bearer()
		conns := s.connect(b)
		var idle, busy latencies
		s.steady(b, conns, lines) // warm
		for b.Loop() {
			for i := range 4 {
				if i == 0 || i == 3 { // A B B A
					idle.measure(func() []time.Duration { return s.steady(b, conns, lines) })
					continue
				}
				release := flood(func() int { status, _ := post("password/sign-in", known); return status })
				busy.measure(func() []time.Duration { return s.steady(b, conns, lines) })
				release()
			}
		}
		b.ReportMetric(0, "ns/op")
		for name, l := range map[string]latencies{"idle": idle, "hashing": busy} {
			b.ReportMetric(float64(quartile(l.p50).Microseconds()), name+"-p50-µs")
			b.ReportMetric(float64(quartile(l.p99).Microseconds()), name+"-p99-µs")
		}
		b.ReportMetric(float64(quartile(busy.p99))/float64(quartile(idle.p99)), "p99-ratio")
	})
}

// flood keeps 200 sign-ins under way until release is called. Those that are told to come back later wait a little.
func flood(signIn func() int) (release func()) {
	stop := make(chan struct{})
	var all, come sync.WaitGroup
	for range hashers {
		come.Add(1)
		all.Go(func() {
			for first := true; ; first = false {
				if first {
					come.Done()
				}
				status := signIn()
				pause := time.Duration(0)
				if status != 200 {
					pause = time.Second // less than Retry-After says
				}
				select {
				case <-stop:
					return
				case <-time.After(pause):
				}
			}
		})
	}
	come.Wait()
	time.Sleep(500 * time.Millisecond) // until their requests are there
	return func() {
		close(stop)
		all.Wait()
	}
}

// latencies are percentiles of rounds.
type latencies struct{ p50, p99 []time.Duration }

func (l *latencies) measure(round func() []time.Duration) {
	for range benchSteadyRounds {
		took := round()
		l.p50, l.p99 = append(l.p50, percentile(took, 50)), append(l.p99, percentile(took, 99))
	}
}

// The sizes of a steady load: far from all that the machine can do, as of a site in use.
const (
	benchSteadyConns  = 8
	benchSteadyEach   = 20 * time.Millisecond // between two requests of one connection
	benchSteadyCount  = 75                    // requests of one connection in a round
	benchSteadyRounds = 6
)

func (s *servers) connect(b *testing.B) (conns [benchSteadyConns]*keptConn) {
	b.Helper()
	for i := range conns {
		conn, err := net.Dial("tcp", s.gated)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { conn.Close() })
		conns[i] = &keptConn{conn, bufio.NewReader(conn)}
	}
	return conns
}

// steady sends requests at a steady rate and answers how long each took. Where the one before takes so long that a request
// is late, it took from the moment when it was due; else the time that this process wakes up late is not counted.
func (s *servers) steady(b *testing.B, conns [benchSteadyConns]*keptConn, lines string) (took []time.Duration) {
	b.Helper()
	text := []byte("GET /reports/2026/q3?page=2 HTTP/1.1\r\nHost: " + s.gated + "\r\n" + lines + "\r\n\r\n")
	var mu sync.Mutex
	var all sync.WaitGroup
	for i, c := range conns {
		all.Go(func() {
			var mine []time.Duration
			due := time.Now().Add(time.Duration(i) * benchSteadyEach / benchSteadyConns)
			for range benchSteadyCount {
				began := due
				if wait := time.Until(due); wait > 0 {
					time.Sleep(wait)
					began = time.Now()
				}
				if err := c.ask(text, 200); err != nil {
					b.Error(err)
					return
				}
				mine = append(mine, time.Since(began))
				due = due.Add(benchSteadyEach)
			}
			mu.Lock()
			defer mu.Unlock()
			took = append(took, mine...)
		})
	}
	all.Wait()
	return took
}

// percentile is the duration that p of a hundred do not exceed.
func percentile(d []time.Duration, p int) time.Duration {
	if len(d) == 0 {
		return 0
	}
	slices.Sort(d)
	return d[min(len(d)*p/100, len(d)-1)]
}
