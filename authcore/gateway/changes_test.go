package gateway

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

// Anybody who is signed in could fill the audit log, and the disk, by changing what is theirs. An hour has so many such changes
// of one user, whatever they are; others go on, and so does the user in the next hour.
func TestOwnChangesAreLimited(t *testing.T) {
	h := build(t)
	me, other := h.signInTokens(newSigner(1)).bearer(), h.signInTokens(newSigner(2)).bearer()
	for i := range changesPerUser - 1 {
		a := h.do("POST", "tokens", fmt.Sprintf(`{"name":"t%d"}`, i), me...)
		if a.Code != 201 {
			t.Fatalf("%d %s", a.Code, a.Body)
		}
		var made struct{ ID string }
		if err := json.Unmarshal(a.Body.Bytes(), &made); err != nil {
			t.Fatal(err)
		}
		h.do("DELETE", "tokens/"+made.ID, "", me...).done()
	}
	h.do("PATCH", "profile", `{"name":"Alice A."}`, me...).ok(new(map[string]any))
	me = h.signInTokens(newSigner(1)).bearer() // with the new name
	n := len(h.logged())
	for path, body := range map[string]string{"profile": `{"name":"Alice"}`, "tokens": `{"name":"t"}`} {
		method := map[string]string{"profile": "PATCH", "tokens": "POST"}[path]
		a := h.do(method, path, body, me...).refused(429, "too_many_requests")
		if a.Header().Get("Retry-After") == "" {
			t.Errorf("%s: no Retry-After", path)
		}
	}
	if got := len(h.logged()); got != n {
		t.Errorf("%d events and then %d", n, got)
	}
	h.do("PATCH", "profile", `{"name":"Bob"}`, other...).ok(new(map[string]any))
	h.now = h.now.Add(time.Hour)
	me = h.signInTokens(newSigner(1)).bearer()
	h.do("PATCH", "profile", `{"name":"Alice"}`, me...).ok(new(map[string]any))
	if len(h.logged(authcore.EventProfileChanged)) == 0 {
		t.Error("no event of a change")
	}
}
