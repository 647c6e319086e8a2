//go:build unix

package postgresstore_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/store/postgresstore"
	"github.com/caddy-authgate/authgate/authcore/store/storetest/servers"
)

// statements are those by which a challenge is created and consumed, for pgbench.
const statements = `\set n random(1, 9000000000000000000)
INSERT INTO challenges (id, purpose, origin, subject, client, data, expires)
	VALUES (sha256(:n::text::bytea), 'wallet-sign-in', 'https://app.example.com', '', '', NULL, 1777896000000000) ON CONFLICT DO NOTHING;
DELETE FROM challenges WHERE id = sha256(:n::text::bytea) RETURNING purpose, origin, subject, client, data, expires;
`

// BenchmarkServer is what the server itself makes of the same statements from as many connections, to compare with.
func BenchmarkServer(b *testing.B) {
	pgbench := "pgbench"
	if found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/pgbench"); len(found) > 0 {
		pgbench = found[len(found)-1]
	}
	if _, err := exec.LookPath(pgbench); err != nil {
		b.Skip(err)
	}
	dsn := servers.Postgres(b)
	open(b, postgresstore.Config{DSN: dsn})
	script := filepath.Join(b.TempDir(), "challenge.sql")
	if err := os.WriteFile(script, []byte(statements), 0o600); err != nil {
		b.Fatal(err)
	}
	out, err := exec.Command(pgbench, "-n", "-M", "prepared", "-c", "16", "-j", "2", "-T", "5", "-f", script, dsn).CombinedOutput()
	if err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	_, rest, _ := strings.Cut(string(out), "tps = ")
	var tps float64
	if _, err := fmt.Sscan(rest, &tps); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	b.ReportMetric(tps, "/s")
	b.ReportMetric(0, "ns/op")
}

// Each runs 16 at a time for each processor, as many as there are connections on a machine with one.
func BenchmarkStore(b *testing.B) {
	dsn := servers.Postgres(b)
	s := open(b, postgresstore.Config{DSN: dsn})
	accounts, short, ctx := s.Stores(), s.ChallengeStores(), b.Context()
	const users = 64
	for i := range users {
		name := fmt.Sprint("u", i)
		if err := addUser(ctx, accounts, name); err != nil {
			b.Fatal(err)
		}
		if err := accounts.Sessions.CreateSession(ctx, authcore.Session{ID: name, UserID: name, IdleUntil: noon, Until: noon}); err != nil {
			b.Fatal(err)
		}
	}
	var next atomic.Int64
	for _, bench := range []struct {
		name string
		do   func(ctx context.Context, n int64) error
	}{
		{"session is read", func(ctx context.Context, n int64) error {
			_, err := accounts.Sessions.Session(ctx, fmt.Sprint("u", n%users))
			return err
		}},
		{"session is renewed", func(ctx context.Context, n int64) error {
			one, err := accounts.Sessions.Session(ctx, fmt.Sprint("u", n%users))
			if err != nil {
				return err
			}
			one.LastSeen = one.LastSeen.Add(time.Second)
			// Whoever lost against another one is renewed.
			_ = accounts.Sessions.UpdateSession(ctx, one)
			return nil
		}},
		{"challenge is created and consumed", func(ctx context.Context, n int64) error {
			id := challengeID(fmt.Sprint(n))
			if err := short.Challenges.CreateChallenge(ctx, authcore.Challenge{ID: id, Binding: binding, Expires: noon}, noon); err != nil {
				return err
			}
			_, err := short.Challenges.ConsumeChallenge(ctx, id, binding, noon.Add(-time.Second))
			return err
		}},
		{"attempt is counted", func(ctx context.Context, n int64) error {
			_, err := short.Attempts.CountAttempt(ctx, fmt.Sprint("client ", n%1000), time.Minute, noon)
			return err
		}},
		{"transaction of four changes", func(ctx context.Context, n int64) error {
			return accounts.Transactions.Transact(ctx, func(s authcore.Stores) error {
				name := fmt.Sprint("new", n)
				if err := addUser(ctx, s, name); err != nil {
					return err
				}
				if err := s.Sessions.CreateSession(ctx, authcore.Session{ID: name, UserID: name, IdleUntil: noon, Until: noon}); err != nil {
					return err
				}
				if err := s.Outbox.AddMail(ctx, authcore.SealedMail{ID: name, Sealed: []byte("mail"), Created: noon, Due: noon}); err != nil {
					return err
				}
				return s.Notices.Notify(ctx, authcore.Notice{Kind: authcore.NoticeUserChanged, Subject: name})
			})
		}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.SetParallelism(16)
			began := time.Now()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := bench.do(b.Context(), next.Add(1)); err != nil {
						b.Error(err)
					}
				}
			})
			b.ReportMetric(float64(b.N)/time.Since(began).Seconds(), "/s")
		})
	}
}
