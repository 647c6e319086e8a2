package caddymodule

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore/passkey/passkeytest"
)

// BenchmarkPasskey measures both requests of a registration and of a sign-in, with accounts and sessions in SQLite on
// disk. What the authenticator does is not counted.
func BenchmarkPasskey(b *testing.B) {
	site := newChain(b, 1).sites[1]
	origin := "http://" + site.host
	ceremony := func(b *testing.B, stage string, use func(options []byte, origin string) ([]byte, error)) (took time.Duration) {
		b.Helper()
		var begun struct {
			ChallengeID     string
			CreationOptions json.RawMessage
			RequestOptions  json.RawMessage
		}
		start := time.Now()
		site.post(b, stage+"/request", "{}", &begun)
		took = time.Since(start)
		options := begun.CreationOptions
		if options == nil {
			options = begun.RequestOptions
		}
		credential, err := use(options, origin)
		if err != nil {
			b.Fatal(err)
		}
		body := fmt.Sprintf(`{"challengeID":%q,"credential":%s,"session":"cookie"}`, begun.ChallengeID, credential)
		start = time.Now()
		site.post(b, stage+"/response", body, new(any))
		return took + time.Since(start)
	}
	signer := &passkeytest.Authenticator{}
	ceremony(b, "registration", signer.Create)
	for _, c := range []struct {
		stage string
		use   func([]byte, string) ([]byte, error)
	}{
		{"registration", func(options []byte, origin string) ([]byte, error) {
			return new(passkeytest.Authenticator).Create(options, origin)
		}},
		{"authentication", signer.Get},
	} {
		b.Run(c.stage, func(b *testing.B) {
			var took time.Duration
			n := 0
			for b.Loop() {
				took += ceremony(b, c.stage, c.use)
				n++
			}
			b.ReportMetric(float64(took.Microseconds())/float64(n), "µs/ceremony")
			b.ReportMetric(float64(n)/took.Seconds(), "ceremonies/s")
			b.ReportMetric(0, "ns/op") // the authenticator's work is in it
		})
	}
}
