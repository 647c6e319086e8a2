package caddymodule

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/crypto"
)

// BenchmarkSignIn measures signing in with a wallet, both requests, with accounts and sessions in SQLite on disk. What
// the wallet does is not counted.
func BenchmarkSignIn(b *testing.B) {
	site := newChain(b, 1).sites[1]
	key, err := crypto.GenerateKey()
	if err != nil {
		b.Fatal(err)
	}
	body := fmt.Sprintf(`{"address":%q}`, crypto.PubkeyToAddress(key.PublicKey).Hex())
	var took time.Duration
	n := 0
	for b.Loop() {
		start := time.Now()
		site.send("challenge/create", body, "127.0.0.1:4711")
		took += time.Since(start)

		solved := site.solved(b, key, `,"session":"cookie"`)

		start = time.Now()
		site.post(b, "challenge/sign", solved, new(any))
		took += time.Since(start)
		n++
	}
	b.ReportMetric(float64(took.Microseconds())/float64(n), "µs/sign-in")
	b.ReportMetric(float64(n)/took.Seconds(), "sign-ins/s")
	b.ReportMetric(0, "ns/op") // the wallet's work is in it
}

// BenchmarkMemory measures what open sessions and unanswered challenges take.
func BenchmarkMemory(b *testing.B) {
	b.Run("sessions=10000", func(b *testing.B) {
		for b.Loop() {
			report(b, openSessions(b, newChain(b, 1).sites[1], 10000))
		}
	})
	b.Run("challenges=200000", func(b *testing.B) {
		for b.Loop() {
			report(b, leaveChallenges(b, newChain(b, 1).sites[1], 200000))
		}
	})
}

func report(b *testing.B, m memory) {
	b.ReportMetric(float64(m.heap)/(1<<20), "heap-MB")
	b.ReportMetric(float64(m.resident)/(1<<20), "resident-MB")
}

// Each session has been used, so that all that is remembered of one in use is there. Ten thousand are to fit into 32 MB;
// the benchmark opens as many.
func TestMemoryOfOpenSessions(t *testing.T) {
	if m := openSessions(t, newChain(t, 1).sites[1], 1000); m.heap > 32<<20/10 {
		t.Errorf("1000 open sessions take %d bytes of heap, %d of memory", m.heap, m.resident)
	}
}

// Nobody has to be signed in to ask for a challenge, so a flood of them must not use up the memory. Two hundred
// thousand are to fit into 64 MB; the benchmark asks for as many.
func TestMemoryOfUnansweredChallenges(t *testing.T) {
	if m := leaveChallenges(t, newChain(t, 1).sites[1], 50000); m.heap > 64<<20/4 {
		t.Errorf("50000 unanswered challenges take %d bytes of heap, %d of memory", m.heap, m.resident)
	}
}

// openSessions signs one wallet in n times, as a browser does, and uses each session once.
func openSessions(tb testing.TB, site *chainSite, n int) memory {
	tb.Helper()
	key, err := crypto.GenerateKey()
	if err != nil {
		tb.Fatal(err)
	}
	open := func(n int) {
		for range n {
			header := site.post(tb, "challenge/sign", site.solved(tb, key, `,"session":"cookie"`), new(any))
			cookie, _, _ := bytes.Cut([]byte(header.Get("Set-Cookie")), []byte(";"))
			site.get(browser(string(cookie)), http.StatusOK)()
		}
	}
	open(100) // SQLite has its caches by now
	before := memoryNow(tb)
	open(n)
	return memoryNow(tb).since(before)
}

// leaveChallenges asks for n challenges, each as another client, which is what takes the most memory.
func leaveChallenges(tb testing.TB, site *chainSite, n int) memory {
	tb.Helper()
	const body = `{"address":"0x52908400098527886E0F7030069857D2E4169EE7"}`
	before := memoryNow(tb)
	for i := range n {
		from := fmt.Sprintf("10.%d.%d.%d:4711", i>>16&255, i>>8&255, i&255)
		if w := site.send("challenge/create", body, from); w.Code != http.StatusOK {
			tb.Fatalf("challenge %d: %d %s", i, w.Code, w.Body)
		}
	}
	return memoryNow(tb).since(before)
}

// memory is what lives on the heap, and what the process has of the machine's memory. SQLite has memory of its own, which
// is in the second only.
type memory struct{ heap, resident int64 }

func (m memory) since(before memory) memory {
	return memory{m.heap - before.heap, m.resident - before.resident}
}

func memoryNow(tb testing.TB) memory {
	tb.Helper()
	runtime.GC()
	debug.FreeOSMemory()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	m := memory{heap: int64(stats.HeapAlloc)}
	if statm, err := os.ReadFile("/proc/self/statm"); err == nil { // proc(5): the second field, in pages
		pages, err := strconv.ParseInt(string(bytes.Fields(statm)[1]), 10, 64)
		if err != nil {
			tb.Fatal(err)
		}
		m.resident = pages * int64(os.Getpagesize())
	}
	return m
}
