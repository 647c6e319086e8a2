package caddymodule

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/ethereum/go-ethereum/crypto"
)

const plain = "authgate\nrespond `user=[{http.auth.user.id}] to={http.request.uri}`\n"

// "caddy validate" and "caddy adapt --validate" provision a configuration for real.
func TestValidateLeavesNothingBehind(t *testing.T) {
	h := newHouse(t)
	for _, app := range []string{h.open(), h.open() + "challenge_store sql\n"} {
		var config caddy.Config
		if err := json.Unmarshal(h.config(app, plain), &config); err != nil {
			t.Fatal(err)
		}
		if err := caddy.Validate(&config); err != nil {
			t.Fatal(err)
		}
	}
	if left, err := os.ReadDir(h.dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	empty := true
	pool.Range(func(key, _ any) bool {
		t.Errorf("still in the pool: %v", key)
		empty = false
		return true
	})
	if !empty {
		t.Error("validating holds on to stores")
	}
}

// Somebody who is in the middle of signing in, or has done so, does not notice a reload.
func TestReloadKeepsChallengesAndSessions(t *testing.T) {
	h := newHouse(t)
	h.load(h.open(), plain)
	key := newKey(t)
	message := h.challenge(key)

	h.load(h.open()+"rate_limit 1000 1m\n", plain)
	answer := h.expect(200, "access_token", "POST", "/auth/challenge/sign", signed(t, key, message))
	h.expect(404, "challenge_not_found", "POST", "/auth/challenge/sign", signed(t, key, message))

	h.load(h.open()+"rate_limit 2000 1m\n", plain)
	address := crypto.PubkeyToAddress(key.PublicKey).Hex()
	bearer := []string{"Authorization", "Bearer " + accessToken(t, answer)}
	h.expect(200, "user=["+address+"] to=/x?y", "GET", "/x?y", "", bearer...)

	// What ended stays ended: the access token is still unexpired.
	h.expect(204, "", "POST", "/auth/sign-out", "", bearer...)
	h.load(h.open(), plain)
	h.expect(401, "", "GET", "/x", "", bearer...)
}

// A rate limit that a reload set back would invite reloading, and guessing, often.
func TestReloadKeepsAttempts(t *testing.T) {
	h := newHouse(t)
	limit := h.open() + "rate_limit 2 1h\n"
	h.load(limit, plain)
	key := newKey(t)
	h.challenge(key)
	h.challenge(key)
	h.load(limit, plain+"header X-Other 1\n")
	h.expect(429, "too_many_requests", "POST", "/auth/challenge/create", `{}`)
}

// unopenable are options with a store that cannot be made, since a folder on the way to it is a file; repair makes it
// openable.
func (h *house) unopenable() (app string, repair func()) {
	obstacle := filepath.Join(h.dir, "obstacle")
	if err := os.WriteFile(obstacle, nil, 0o600); err != nil {
		h.t.Fatal(err)
	}
	return "registration open\nstore sqlite " + obstacle + "/authgate.db\n", func() {
		if err := os.Remove(obstacle); err != nil {
			h.t.Fatal(err)
		}
	}
}

func TestReloadToStoreThatCannotBeOpenedIsRefused(t *testing.T) {
	h := newHouse(t)
	h.load(h.open(), plain)
	token, address := h.signIn()

	broken, repair := h.unopenable()
	err := caddy.Load(h.config(broken, "respond new\n authgate\n"), true)
	if err == nil || !strings.Contains(err.Error(), "store") {
		t.Fatalf("got %v, want an error that names the store", err)
	}
	h.expect(200, "user=["+address+"]", "GET", "/x", "", "Authorization", "Bearer "+token)
	h.signIn()

	repair()
	h.load(broken, plain)
	h.signIn()
}

func TestReloadThatFailsElsewhereLeavesTheOldOneWorking(t *testing.T) {
	h := newHouse(t)
	h.load(h.open(), plain)
	token, address := h.signIn()
	// The address is taken by nobody on this machine, so the server cannot start.
	if err := caddy.Load(h.config(h.open(), plain+"}\nhttp://localhost:1 {\nbind 192.0.2.1\n"+plain), true); err == nil {
		t.Fatal("the reload did not fail")
	}
	h.expect(200, "user=["+address+"]", "GET", "/x", "", "Authorization", "Bearer "+token)
	h.signIn()
}

func TestFirstStartWithoutStoreBeginsClosedAndOpensByItself(t *testing.T) {
	h := newHouse(t)
	broken, repair := h.unopenable()
	h.load(broken, "authgate {\nallow anyone /public/*\n}\nrespond backend\n")
	response, _ := h.ask("GET", "/x", "")
	if response.StatusCode != 503 || response.Header.Get("Retry-After") == "" {
		t.Errorf("backend: got %d, Retry-After %q", response.StatusCode, response.Header.Get("Retry-After"))
	}
	h.expect(503, "unavailable", "POST", "/auth/challenge/create", `{}`)
	h.expect(503, "", "GET", "/auth/health/ready", "")
	h.expect(200, "backend", "GET", "/public/x", "")

	repair()
	deadline := time.After(2 * maxOpenPause)
	for {
		if response, _ := h.ask("GET", "/auth/health/ready", ""); response.StatusCode == 200 {
			break
		}
		select {
		case <-deadline:
			t.Fatal("the store was not opened")
		case <-time.After(50 * time.Millisecond):
		}
	}
	h.signIn()
}

func TestErrorRoutesSeeRefusals(t *testing.T) {
	h := newHouse(t)
	app := h.open()
	site := "authgate {\ndeny /never/*\n}\nrespond backend\n"
	const show = "respond `page {err.status_code} {err.message} [{http.auth.user.id}]` {err.status_code}\n}\n"

	h.load(app, site+"handle_errors {\n"+show)
	answer := h.expect(401, "page 401 ", "GET", "/x", "")
	if !strings.Contains(answer, "[]") {
		t.Errorf("the placeholder of an unknown user is not empty: %q", answer)
	}
	h.expect(403, "page 403 ", "GET", "/never/x", "")
	// The gateway's own routes have their own contract.
	h.expect(404, `"code"`, "GET", "/auth/nothing", "")

	// Only one status has a page; the others are the gateway's to write, not an empty body.
	h.load(app, site+"handle_errors 403 {\n"+show)
	h.expect(403, "page 403 ", "GET", "/never/x", "")
	h.expect(401, `"code":"unauthenticated"`, "GET", "/x", "")
}

// The cause of a failure names paths and hosts; error pages are for everybody.
func TestErrorPagesAreNotToldTheCause(t *testing.T) {
	h := newHouse(t)
	broken, _ := h.unopenable()
	h.load(broken, "authgate\nhandle_errors {\nrespond `{err.message}` 503\n}\n")
	_, answer := h.ask("GET", "/x", "")
	if strings.Contains(answer, "sqlite") || strings.Contains(answer, "authgate.db") || answer == "" {
		t.Errorf("got %q", answer)
	}
}

// Another handler that authenticates may come before in a route block; the gate's word about who is there counts.
func TestPlaceholdersOfAnEarlierHandlerDoNotStay(t *testing.T) {
	repl := caddy.NewReplacer()
	repl.Set("http.auth.user.id", "mallory")
	repl.Set("http.auth.user.groups", "admin")
	r := httptest.NewRequest("GET", "/", nil)
	r = r.WithContext(context.WithValue(r.Context(), caddy.ReplacerCtxKey, repl))
	identified(r, nil)
	if got := repl.ReplaceKnown("[{http.auth.user.id}] [{http.auth.user.groups}]", ""); got != "[] []" {
		t.Errorf("got %s", got)
	}
}

func TestPlaceholders(t *testing.T) {
	h := newHouse(t)
	address := crypto.PubkeyToAddress(newKey(t).PublicKey).Hex()
	h.load(h.open()+"grant editor "+address+"\n", "authgate\nrespond `"+
		"{http.auth.user.username} {http.auth.user.wallet} {http.auth.user.methods} [{http.auth.user.email}] [{http.auth.user.roles}] {http.auth.user.subject}`\n")
	token, address := h.signIn()
	answer := h.expect(200, address+" "+address+" wallet [] [] ", "GET", "/x", "", "Authorization", "Bearer "+token)
	if strings.HasSuffix(answer, " ") || strings.Contains(answer, "{") {
		t.Errorf("no subject: %q", answer)
	}
}

// A secret that is missing must not become an empty one, or the text of its placeholder.
func TestSecretThatIsMissingIsAnError(t *testing.T) {
	h := newHouse(t)
	t.Setenv("AUTHGATE_TEST_EMPTY", "")
	for _, file := range []string{"{env.AUTHGATE_TEST_EMPTY}", "{file./nowhere/at/all}", "{typo.X}"} {
		var config caddy.Config
		if err := json.Unmarshal(h.config("store sqlite "+file+"\n", plain), &config); err != nil {
			t.Fatal(err)
		}
		if err := caddy.Validate(&config); err == nil || !strings.Contains(err.Error(), "file:") {
			t.Errorf("%s: got %v", file, err)
		}
	}
	t.Setenv("AUTHGATE_TEST_FILE", filepath.Join(h.dir, "from-env.db"))
	h.load("registration open\nstore sqlite {env.AUTHGATE_TEST_FILE}\n", plain)
	h.signIn()
	if _, err := os.Stat(filepath.Join(h.dir, "from-env.db")); err != nil {
		t.Error(err)
	}
}

// A stream that was opened before a reload must end with its session, which ends under the configuration after it.
func TestSignOutAfterReloadEndsStreamFromBefore(t *testing.T) {
	h := newHouse(t)
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, "data: hello\n\n")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}))
	t.Cleanup(backend.Close)
	site := "authgate\nreverse_proxy " + backend.Listener.Addr().String() + "\n"
	h.load(h.open(), site)
	token, _ := h.signIn()

	r, err := http.NewRequestWithContext(t.Context(), "GET", fmt.Sprintf("http://localhost:%d/events", h.port), nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Accept", "text/event-stream")
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	stream, err := transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Body.Close()
	if _, err := io.ReadFull(stream.Body, make([]byte, len("data: hello\n\n"))); err != nil || stream.StatusCode != 200 {
		t.Fatalf("got %d, %v", stream.StatusCode, err)
	}

	h.load(h.open()+"rate_limit 1000 1m\n", site)
	h.expect(204, "", "POST", "/auth/sign-out", "", "Authorization", "Bearer "+token)
	ended := make(chan struct{})
	go func() {
		io.Copy(io.Discard, stream.Body)
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(5 * time.Second):
		t.Error("the stream goes on")
	}
}

// Somebody writes authgate twice on the way to one backend. The first takes the cookie out, so that the second would
// send everybody to sign in, again and again. Behind a matcher that is not seen before a request comes. An error route that
// proxies is no such way: there the first one is done.
func TestTwoHandlersInOneChainAreToldOfAtOnce(t *testing.T) {
	h := newHouse(t)
	h.load(h.open(), "authgate /* {\nallow anyone /*\n}\nroute {\nauthgate\nrespond inside\n}\n")
	h.expect(500, "", "GET", "/", "")
	h.load(h.open(), "authgate {\nallow anyone /*\n}\nhandle {\nerror 404\n}\nhandle_errors {\nauthgate {\nallow anyone /*\n}\nrespond page\n}\n")
	h.expect(404, "page", "GET", "/", "")
}
