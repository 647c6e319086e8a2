package mail

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"testing"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/store/sqlitestore"
)

func BenchmarkSend(b *testing.B) {
	ca := newAuthority(b)
	for _, c := range []struct {
		name string
		ca   *authority
	}{{"plain", nil}, {"starttls", ca}} {
		b.Run(c.name, func(b *testing.B) {
			server := &mailServer{data: func(_ int, _ *conversation, r io.Reader) error {
				_, err := io.Copy(io.Discard, r)
				return err
			}}
			s := &SMTP{TLS: NoTLS}
			if c.ca == nil {
				server.start(b, nil, false)
			} else {
				server.start(b, c.ca.good(), false)
				s = &SMTP{Roots: c.ca.pool}
			}
			s.Addr = server.addr
			conn, err := s.Connect(context.Background(), "example.com")
			if err != nil {
				b.Fatal(err)
			}
			defer conn.Close()
			templates, from, mail := defaults(b), testFrom(b), testMail(authcore.MailConfirm)
			for b.Loop() {
				m, err := compose(templates, from, "Example", testSealed, mail)
				if err == nil {
					err = conn.Send(context.Background(), m)
				}
				if err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "mails/s")
		})
	}
}

// BenchmarkWorker measures the whole way from an outbox on disk, each mail claimed and deleted durably.
func BenchmarkWorker(b *testing.B) {
	server := (&mailServer{}).start(b, nil, false)
	store, err := sqlitestore.Open(b.Context(), filepath.Join(b.TempDir(), "authgate.db"))
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	o := newOffice(b, store.Stores().Outbox, plain(server))
	b.ResetTimer()
	for range b.N {
		b.StopTimer()
		for i := range batchSize {
			o.postTo(authcore.MailConfirm, fmt.Sprintf("to%d@example.net", i))
		}
		b.StartTimer()
		work(o.worker)
	}
	b.ReportMetric(float64(b.N*batchSize)/b.Elapsed().Seconds(), "mails/s")
	if o.waiting() != 0 {
		b.Fatalf("%d waiting", o.waiting())
	}
}
