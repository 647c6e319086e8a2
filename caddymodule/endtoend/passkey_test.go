package endtoend

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/caddy-authgate/authgate/authcore/passkey/passkeytest"
)

// begun is what the routes that begin a ceremony answer.
type begun struct {
	ChallengeID     string          `json:"challengeID"`
	CreationOptions json.RawMessage `json:"creationOptions"`
	RequestOptions  json.RawMessage `json:"requestOptions"`
}

func (g *gate) begin(t *testing.T, route string, v any, lines ...string) (b begun) {
	t.Helper()
	g.post(t, route, v, lines...).into(t, 200, &b)
	return b
}

// created answers a registration, asserted an authentication, as the gate's page would; more holds further members.
func (g *gate) created(t *testing.T, a *passkeytest.Authenticator, b begun, more map[string]any) map[string]any {
	t.Helper()
	response, err := a.Create(b.CreationOptions, g.origin)
	return answered(t, b, response, err, more)
}

func (g *gate) asserted(t *testing.T, a *passkeytest.Authenticator, b begun, more map[string]any) map[string]any {
	t.Helper()
	response, err := a.Get(b.RequestOptions, g.origin)
	return answered(t, b, response, err, more)
}

func answered(t *testing.T, b begun, response []byte, err error, more map[string]any) map[string]any {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	body := map[string]any{"challengeID": b.ChallengeID, "credential": json.RawMessage(response)}
	for name, value := range more {
		body[name] = value
	}
	return body
}

var inBrowser = map[string]any{"session": "cookie"}

// register opens an account with a new passkey.
func (g *gate) register(t *testing.T, a *passkeytest.Authenticator, username string) (s signedIn) {
	t.Helper()
	b := g.begin(t, "registration/request", map[string]any{"username": username})
	g.post(t, "registration/response", g.created(t, a, b, nil)).into(t, 200, &s)
	return s
}

// touch signs in with a passkey.
func (g *gate) touch(t *testing.T, a *passkeytest.Authenticator) answer {
	t.Helper()
	return g.post(t, "authentication/response", g.asserted(t, a, g.begin(t, "authentication/request", map[string]any{}), nil))
}

func nothing() map[string]any { return map[string]any{} }

// A person registers a passkey and signs in with it; the backend learns who it is and how that is known.
func TestPersonWithAPasskey(t *testing.T) {
	t.Parallel()
	g := start(t, setup{site: defaultRules + `
		allow signed_in /vault/* {
			with passkey
			within 1h
		}`})
	var a passkeytest.Authenticator
	first := g.begin(t, "registration/request", map[string]any{"username": "alice"})
	got := g.post(t, "registration/response", g.created(t, &a, first, inBrowser), "Origin: "+g.origin)
	var s signedIn
	got.into(t, 200, &s)
	got.wantNoStore(t)
	if s.User.Username != "alice" || !slices.Equal(s.User.Methods, []string{"passkey"}) || got.cookie() == nil {
		t.Fatalf("answer %s", got.body)
	}
	cookie := "Cookie: " + got.cookie().Name + "=" + got.cookie().Value
	g.get(t, "/vault/x", cookie).want(t, 200)
	arrived := g.backend.one(t)
	for name, want := range map[string][]string{
		"Remote-User": {"alice"}, "X-Authgate-Subject": {s.User.ID}, "X-Authgate-Methods": {"passkey"}, "X-Authgate-Wallet": nil, "Cookie": nil,
	} {
		if got := arrived.values(name); !slices.Equal(got, want) {
			t.Errorf("%s at the backend: %q, want %q", name, got, want)
		}
	}
	var again signedIn
	g.touch(t, &a).into(t, 200, &again)
	if again.User.ID != s.User.ID {
		t.Errorf("user %+v, was %+v", again.User, s.User)
	}

	// Somebody with a wallet adds a passkey, to get into the vault.
	bob := g.signInBrowser(t, walletOf("bob"))
	g.get(t, "/vault/x", bob.cookieLine()).wantProblem(t, 401, "step_up_required")
	var second passkeytest.Authenticator
	b := g.begin(t, "registration/request", nothing(), bob.cookieLine())
	g.post(t, "registration/response", g.created(t, &second, b, nil), bob.cookieLine()).want(t, 200)
	g.get(t, "/vault/x", bob.cookieLine()).wantProblem(t, 401, "step_up_required")
	b = g.begin(t, "step-up/authentication/request", nothing(), bob.cookieLine())
	stepped := g.post(t, "step-up/authentication/response", g.asserted(t, &second, b, nil), bob.cookieLine())
	stepped.want(t, 200)
	g.get(t, "/vault/x", "Cookie: "+stepped.cookie().Name+"="+stepped.cookie().Value).want(t, 200)
	g.get(t, "/vault/x", bob.cookieLine()).want(t, 200) // a request that was on its way with the old cookie
	g.backend.take()

	for _, id := range []string{first.ChallengeID, b.ChallengeID} {
		if strings.Contains(g.output.String(), id) {
			t.Error("the log tells the id of a ceremony")
		}
	}
	g.get(t, "/.well-known/passkey-endpoints").want(t, 200)
	g.backend.none(t)
}

// A reload between the two halves of a ceremony is nothing that its user notices; what was spent stays spent.
func TestReloadKeepsPasskeyCeremonies(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	var alice, bob passkeytest.Authenticator
	g.register(t, &alice, "alice")
	spent := g.asserted(t, &alice, g.begin(t, "authentication/request", nothing()), nil)
	g.post(t, "authentication/response", spent).want(t, 200)
	authentication, registration := g.begin(t, "authentication/request", nothing()), g.begin(t, "registration/request", map[string]any{"username": "bob"})
	g.setup.site = defaultRules + "\n\t\tallow anyone /opened/*"
	if status, body := g.reload(); status != 200 {
		t.Fatalf("reload: %d %s", status, body)
	}
	g.retry(t, request("GET", "/opened/x")).want(t, 200)
	g.post(t, "authentication/response", spent).wantProblem(t, 400, "challenge_not_found")
	g.post(t, "authentication/response", g.asserted(t, &alice, authentication, nil)).want(t, 200)
	g.post(t, "registration/response", g.created(t, &bob, registration, nil)).want(t, 200)
}

// The process dies between the two halves of a ceremony. Ceremonies in SQL go on, spent ones stay spent, and so does the
// sign count, so that a copy of a key is noticed; those in memory are gone and cannot count twice. A passkey whose
// registration was acknowledged is there.
func TestPasskeyCeremoniesAndKill(t *testing.T) {
	t.Parallel()
	for _, store := range []string{"memory", "sql"} {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			g := start(t, setup{global: "challenge_store " + store})
			var alice, bob passkeytest.Authenticator
			registered := g.register(t, &alice, "alice")
			spent := g.asserted(t, &alice, g.begin(t, "authentication/request", nothing()), nil)
			g.post(t, "authentication/response", spent).want(t, 200)
			authentication, registration := g.begin(t, "authentication/request", nothing()), g.begin(t, "registration/request", map[string]any{"username": "bob"})
			named := g.begin(t, "authentication/request", map[string]any{"username": "nobody"})
			g.kill()
			g.boot()
			g.post(t, "authentication/response", spent).wantProblem(t, 400, "challenge_not_found")
			answers := []answer{
				g.post(t, "authentication/response", g.asserted(t, &alice, authentication, nil)),
				g.post(t, "registration/response", g.created(t, &bob, registration, nil)),
			}
			for _, a := range answers {
				if store == "sql" {
					a.want(t, 200)
				} else {
					a.wantProblem(t, 400, "challenge_not_found")
				}
			}
			var s signedIn
			g.touch(t, &alice).into(t, 200, &s)
			if s.User.ID != registered.User.ID {
				t.Errorf("alice was %s and is now %s", registered.User.ID, s.User.ID)
			}
			alice.Credentials[0].SignCount = 1
			g.touch(t, &alice).wantProblem(t, 401, "invalid_assertion")
			// What is made up for a name without passkeys is the same after a restart, as what is real is.
			if again := g.begin(t, "authentication/request", map[string]any{"username": "nobody"}); listed(t, again) != listed(t, named) || listed(t, again) == "" {
				t.Errorf("passkeys of nobody: %s, were %s", listed(t, again), listed(t, named))
			}
		})
	}
}

// listed is the list of passkeys in the options.
func listed(t *testing.T, b begun) string {
	t.Helper()
	var o struct {
		PublicKey struct {
			AllowCredentials json.RawMessage `json:"allowCredentials"`
		} `json:"publicKey"`
	}
	if err := json.Unmarshal(b.RequestOptions, &o); err != nil {
		t.Fatal(err)
	}
	return string(o.PublicKey.AllowCredentials)
}

// parallel posts all bodies at once and answers the statuses, sorted.
func (g *gate) parallel(t *testing.T, send []func() (answer, error)) []int {
	t.Helper()
	statuses := make([]int, len(send))
	var wg sync.WaitGroup
	for i, do := range send {
		wg.Go(func() {
			a, err := do()
			if err != nil {
				t.Error(err)
			}
			statuses[i] = a.status
		})
	}
	wg.Wait()
	slices.Sort(statuses)
	return statuses
}

// One credential id is registered for many accounts at once, and one answer is sent many times: one wins each time.
func TestPasskeyRaces(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	post := func(route string, v map[string]any, lines ...string) func() (answer, error) {
		body, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return func() (answer, error) {
			return g.try(requestBody("POST", "/auth/"+route, string(body), append(lines, "Content-Type: application/json")...))
		}
	}
	var registrations []func() (answer, error)
	for i := range 16 {
		a := &passkeytest.Authenticator{Rand: bytes.NewReader(bytes.Repeat([]byte{7}, 32))}
		b := g.begin(t, "registration/request", map[string]any{"username": fmt.Sprint("user", i)})
		registrations = append(registrations, post("registration/response", g.created(t, a, b, nil)))
	}
	if got := g.parallel(t, registrations); got[0] != 200 || got[1] != 409 || got[15] != 409 {
		t.Errorf("one credential id: %v", got)
	}

	a := &passkeytest.Authenticator{}
	s := g.register(t, a, "alice")
	again := post("authentication/response", g.asserted(t, a, g.begin(t, "authentication/request", nothing()), nil))
	if got := g.parallel(t, slices.Repeat([]func() (answer, error){again}, 16)); got[0] != 200 || got[1] != 400 || got[15] != 400 {
		t.Errorf("one answer: %v", got)
	}

	// The last two credentials are deleted at once.
	b := g.begin(t, "registration/request", nothing(), s.bearer())
	g.post(t, "registration/response", g.created(t, new(passkeytest.Authenticator), b, nil), s.bearer()).want(t, 200)
	var list struct{ Credentials []struct{ ID string } }
	g.get(t, "/auth/credentials", s.bearer()).into(t, 200, &list)
	var deletions []func() (answer, error)
	for _, c := range list.Credentials {
		deletions = append(deletions, func() (answer, error) { return g.try(request("DELETE", "/auth/credentials/"+c.ID, s.bearer())) })
	}
	if got := g.parallel(t, deletions); !slices.Equal(got, []int{204, 409}) {
		t.Errorf("deletions: %v", got)
	}
}

// A key was copied: its owner is not signed in with it any more, and the operator sees why.
func TestCopiedPasskeyIsReported(t *testing.T) {
	t.Parallel()
	g := start(t, setup{top: "metrics"})
	var a passkeytest.Authenticator
	s := g.register(t, &a, "alice")
	g.touch(t, &a).want(t, 200)
	a.Credentials[0].SignCount = 0
	g.touch(t, &a).wantProblem(t, 401, "invalid_assertion")
	resp, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/metrics", g.admin))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`caddy_authgate_odd_passkeys_total{event="sign_count_refused"} 1`,
		`caddy_authgate_sign_ins_total{method="passkey",outcome="invalid_assertion"} 1`,
		`caddy_authgate_sign_ins_total{method="passkey",outcome="ok"} 2`,
	} {
		if !strings.Contains(string(body), want+"\n") {
			t.Errorf("metrics lack %s", want)
		}
	}
	if log := g.output.String(); !strings.Contains(log, `"odd passkey"`) || !strings.Contains(log, `"user":"`+s.User.ID+`"`) {
		t.Error("the log does not tell")
	}
}
