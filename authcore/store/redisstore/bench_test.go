//go:build unix

package redisstore

import (
	"fmt"
	"math"
	"os/exec"
	"regexp"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/store/storetest/servers"
)

// BenchmarkChallenges creates and consumes challenges, as many clients at once as there would be, and measures beside it
// what redis-benchmark makes of the same two commands, which is the limit of the server. redis-benchmark does nothing but
// that, on a core of its own.
func BenchmarkChallenges(b *testing.B) {
	server := servers.Redis(b)
	config := oneServer(server)
	config.MaxPerClient = math.MaxInt
	s := open(b, config)
	var n atomic.Int64
	one := func() error {
		c := challenge(fmt.Sprint(n.Add(1)))
		if err := s.CreateChallenge(b.Context(), c, noon); err != nil {
			return err
		}
		_, err := s.ConsumeChallenge(b.Context(), c.ID, binding, noon)
		return err
	}
	b.Run("serial", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := one(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.SetParallelism(16)
		began := time.Now()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if err := one(); err != nil {
					b.Error(err)
				}
			}
		})
		b.StopTimer()
		rate := float64(b.N) / time.Since(began).Seconds()
		b.ReportMetric(rate, "challenges/s")
		if b.N > 1000 {
			limit := serverLimit(b, server)
			b.ReportMetric(limit, "server/s")
			b.ReportMetric(rate/limit, "of-server")
		}
	})
}

var perSecond = regexp.MustCompile(`([0-9.]+) requests per second`)

// serverLimit answers how many challenges a second redis-benchmark could create and consume.
func serverLimit(b *testing.B, s *servers.RedisServer) float64 {
	b.Helper()
	seconds := 0.0
	for _, command := range [][]string{
		{"SET", "c:__rand_int__", fmt.Sprintf("%080d", 0), "NX", "PX", "660000"},
		{"GETDEL", "c:__rand_int__"},
	} {
		args := append([]string{"-p", strconv.Itoa(s.Port), "-n", "100000", "-c", "16", "-r", "100000000", "-q"}, command...)
		out, err := exec.Command("redis-benchmark", args...).CombinedOutput()
		if err != nil {
			b.Fatalf("redis-benchmark: %v\n%s", err, out)
		}
		found := perSecond.FindAllSubmatch(out, -1)
		if len(found) == 0 {
			b.Fatalf("redis-benchmark printed %s", out)
		}
		rate, err := strconv.ParseFloat(string(found[len(found)-1][1]), 64)
		if err != nil {
			b.Fatal(err)
		}
		seconds += 1 / rate
	}
	return 1 / seconds
}

func BenchmarkAttempts(b *testing.B) {
	s := open(b, oneServer(servers.Redis(b)))
	l := authcore.Lockout{Tries: 5, Suspend: 15 * time.Minute, Forget: 24 * time.Hour}
	for _, c := range []struct {
		name  string
		count func(i int64) error
	}{
		{"window", func(i int64) error {
			_, err := s.CountAttempt(b.Context(), "client 198.51.100."+strconv.FormatInt(i&255, 10), time.Minute, noon)
			return err
		}},
		{"lockout", func(i int64) error {
			_, err := s.CountLockout(b.Context(), "password "+strconv.FormatInt(i&255, 10), l, noon)
			return err
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			var n atomic.Int64
			b.ReportAllocs()
			b.SetParallelism(16)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := c.count(n.Add(1)); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}
