package gateway

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/policy"
)

// What may stall while its backend says nothing gets a context of its own, which ends with the stream; the rest pays for none.
func TestWhatCanStall(t *testing.T) {
	for name, c := range map[string]struct {
		proto int
		long  int64
		kind  string
		want  bool
	}{
		"page": {1, 0, "", false}, "form": {2, smallBody, "text/plain", false}, "upload": {1, smallBody + 1, "", true},
		"of unknown length": {2, -1, "", true}, "HTTP/3": {3, 0, "", true}, "gRPC": {2, 5, "application/grpc+proto", true},
	} {
		r := httptest.NewRequest("POST", home+"/x", nil)
		r.ProtoMajor, r.ContentLength = c.proto, c.long
		r.Header.Set("Content-Type", c.kind)
		if got := canStall(r); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// An upload that nobody reads, over a connection that knows no deadlines, ends with its session by its context.
func TestContextOfAnUploadEndsWithItsSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, told := bubble(t)
		me := h.signInCookie(newSigner(1))
		r := httptest.NewRequest("POST", home+"/events", nil)
		r.Header.Add(me[0], me[1])
		r.ContentLength = -1
		over := make(chan struct{})
		go func() {
			defer close(over)
			h.gateway.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				select {
				case <-r.Context().Done():
				case <-time.After(time.Hour):
					t.Error("it goes on")
				}
			})).ServeHTTP(httptest.NewRecorder(), r)
		}()
		time.Sleep(time.Second)
		h.do("POST", "sign-out", "", me...)
		<-over
		synctest.Wait()
		told.only(t, streamSessionEnded)
	})
}

// A session that ends between the moment in which it is known who asks and that in which a websocket is handed over opens none.
func TestWebsocketOfASessionThatEndsMeanwhile(t *testing.T) {
	var h *house
	end := false
	h = build(t, func(_ *RealmConfig, s *Site) {
		s.Identified = func(_ *http.Request, id *authcore.Identity) {
			if end && id != nil {
				h.realm.forget(id.SessionID)
			}
		}
	})
	me := h.signInTokens(newSigner(1)).bearer()
	ask := func() (int, http.Header) {
		return h.reach("/ws", append([]string{"Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="}, me...)...)
	}
	if code, _ := ask(); code != http.StatusTeapot {
		t.Fatalf("answered %d", code)
	}
	end = true
	if code, got := ask(); code != http.StatusUnauthorized || got != nil {
		t.Errorf("answered %d", code)
	}
}

// A role is taken in the very moment in which a stream is judged, after its user was read. It is judged once more at once, and
// not when its time comes again.
func TestStreamWhoseUserChangesWhileItIsJudged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, told := bubble(t, func(_ *RealmConfig, s *Site) {
			s.Rules = []policy.Rule{{Roles: []string{"reader"}, Paths: []string{"/events"}}}
		})
		id := h.signedInAs(h.signInCookie(newSigner(1)))
		h.setRoles(id, "reader")
		h.realm.changed(t.Context(), id)
		time.Sleep(2 * time.Second)
		d := h.download(h.signInCookie(newSigner(1))...) // which has the role
		time.Sleep(2 * time.Second)                      // it is followed by now
		judged := make(chan struct{})
		h.duringReads(func(n int) {
			if n == 1 {
				h.setRoles(id)
				h.realm.changed(t.Context(), id)
				synctest.Wait() // until the stream has heard of it
				close(judged)
			}
		})
		<-judged
		time.Sleep(time.Second)
		if d.goes() {
			t.Error("it goes on")
			close(d.release)
		}
		<-d.over
		told.only(t, streamUserChanged)
	})
}

// Which of several sites of one origin let a stream through is not known after a reload: it goes on where all of them would
// let it, in whichever order they stand.
func TestStreamIsJudgedByEachSiteOfItsOrigin(t *testing.T) {
	denied := []policy.Rule{{Deny: true, Paths: []string{"/events"}}}
	for name, rules := range map[string][][]policy.Rule{"the first": {denied, nil}, "the last": {nil, denied}} {
		t.Run(name, func(t *testing.T) {
			h := build(t)
			over := h.openStream(h.signInTokens(newSigner(1)).bearer())
			next, err := NewRealm(h.realm.RealmConfig)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range rules {
				if _, err := New(next, Site{Origin: home, Rules: r}); err != nil {
					t.Fatal(err)
				}
			}
			h.realm.Close()
			mustEnd(t, over)
		})
	}
}

// Tokens tell whole seconds, so those issued after a change are dated a second on. Where that change was not the last one of
// its second they may be of before it, and only they.
func TestTokensOfASecondWithSeveralChanges(t *testing.T) {
	now := time.Unix(1000, 5e8)
	for name, c := range map[string]struct {
		changes        []time.Time
		issued, change int64
		is, unsure     bool
	}{
		"none":                           {nil, 1000, 0, false, false},
		"one, token of before":           {[]time.Time{now}, 1000, 0, true, false},
		"one, token of after":            {[]time.Time{now}, 1001, 0, false, false},
		"two, token of before":           {[]time.Time{now, now}, 1000, 0, true, false},
		"two, token of between or after": {[]time.Time{now, now}, 1001, 0, true, true},
		"two, read between":              {[]time.Time{now, now}, 1001, 1, true, true},
		"two, read after":                {[]time.Time{now, now}, 1001, 2, false, false},
		"two, token of later":            {[]time.Time{now, now}, 1002, 0, false, false},
		"two, apart":                     {[]time.Time{now, now.Add(time.Second)}, 1002, 0, false, false},
		"two, clock turned back":         {[]time.Time{now, now.Add(-time.Minute)}, 1001, 0, true, true},
	} {
		s := NewState()
		for _, at := range c.changes {
			s.outdate("u", at, at.Add(time.Hour))
		}
		is, unsure := s.outdates(&ticket{identity: &authcore.Identity{Subject: "u"}, issued: time.Unix(c.issued, 0), change: c.change})
		if is != c.is || unsure != c.unsure {
			t.Errorf("%s: %v, %v", name, is, unsure)
		}
	}
}
