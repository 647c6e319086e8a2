package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-authgate/authgate/authcore/passkey/passkeytest"
)

// Whose name has an account, and whose account has a passkey, an outsider reads off a clock: with each of them the store is asked
// more, and a record parsed. All are answered at the same instant, however long that takes; and nobody else waits for them, so
// nothing is held meanwhile.
func TestNamedRequestsAreAnsweredAtOneTime(t *testing.T) {
	for _, slow := range []time.Duration{0, time.Millisecond, namedStep / 3, 2 * namedStep / 5} {
		synctest.Test(t, func(t *testing.T) {
			h, _ := bubble(t, passkeysOn)
			var a passkeytest.Authenticator
			h.newcomer(&a, "with-passkey")
			owner := h.signInTokens(newSigner(1))
			if got := h.do("PATCH", "profile", `{"username":"without-passkey"}`, owner.bearer()...).Code; got != http.StatusOK && got != http.StatusNoContent {
				t.Fatalf("named: %d", got)
			}
			h.faults.before("CredentialsOf", func() error { time.Sleep(slow); return nil })
			type told struct {
				name string
				took time.Duration
				code int
			}
			answers := make(chan told)
			for _, name := range []string{"with-passkey", "without-passkey", "nobody", ""} {
				go func() {
					body, _ := json.Marshal(map[string]string{"username": name})
					if name == "" {
						body = []byte(`{}`)
					}
					began := time.Now()
					code := h.do("POST", "authentication/request", string(body)).Code
					answers <- told{name, time.Since(began), code}
				}()
			}
			for range 4 {
				want, got := namedStep, <-answers
				if got.name == "" {
					want = 0
				}
				if got.took != want || got.code != http.StatusOK {
					t.Errorf("the store takes %v: %q is answered %d after %v, want %v", slow, got.name, got.code, got.took, want)
				}
			}
		})
	}
}

// Who hangs up, if only in one direction, hears nothing that took less time.
func TestNamedRequestThatIsHungUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, _ := bubble(t, passkeysOn)
		var a passkeytest.Authenticator
		h.newcomer(&a, "with-passkey")
		var all []int
		for _, name := range []string{"with-passkey", "nobody"} {
			r := h.request("POST", "authentication/request", `{"username":"`+name+`"}`)
			ctx, hangUp := context.WithCancel(r.Context())
			code := make(chan int)
			go func() { code <- h.serve(r.WithContext(ctx)).Code }()
			synctest.Wait()
			hangUp()
			all = append(all, <-code)
		}
		if !slices.Equal(all, []int{http.StatusServiceUnavailable, http.StatusServiceUnavailable}) {
			t.Errorf("answered %d", all)
		}
		ctx, hangUp := context.WithCancel(t.Context())
		hangUp()
		if err := untilNextStep(ctx, time.Now()); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}
