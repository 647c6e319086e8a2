package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

// A contract wallet is a user by its chain and its address, whoever of its owners signs.
func TestContractSignsIn(t *testing.T) {
	c := newChain(t)
	h := build(t, withChain(t, c))
	c.own(safe, newSigner(1))
	var first, second signedInView
	h.presentContract(safe, newSigner(1), "").ok(&first)
	c.own(safe, newSigner(2))
	h.presentContract(safe, newSigner(2), "").ok(&second)
	key := "eip155:10:" + first.User.Wallets[0][len("eip155:10:"):]
	if !strings.EqualFold(key, "eip155:10:"+safe) || !strings.EqualFold(first.User.Username, key) {
		t.Errorf("wallets %q, username %q", first.User.Wallets, first.User.Username)
	}
	if first.User.ID != second.User.ID {
		t.Error("another user with another owner")
	}
	// The key at that address, should there be one, is somebody else.
	h.presentContract(safe, newSigner(1), "").refused(400, "invalid_signature")
}

// Nobody signs for a contract but those it says yes to, and what the page is to say is told.
func TestContractRefusals(t *testing.T) {
	c := newChain(t)
	h := build(t, withChain(t, c))
	c.own(safe, newSigner(1))
	reason := func(a answer) (reason string) {
		t.Helper()
		var p struct{ Reason string }
		if err := json.Unmarshal(a.Body.Bytes(), &p); err != nil {
			t.Fatal(err)
		}
		return p.Reason
	}
	if got := reason(h.presentContract(safe, newSigner(2), "").refused(400, "invalid_signature")); got != "" {
		t.Errorf("another owner: %q", got)
	}
	if got := reason(h.presentContract(otherSafe, newSigner(1), "").refused(400, "invalid_signature")); got != "" {
		t.Errorf("no contract: %q", got)
	}
	// On a chain that is not asked, only a key can sign.
	var asked struct{ ChallengeMessage string }
	h.do("POST", "challenge/create", fmt.Sprintf(`{"address":%q,"chainId":1}`, strings.ToLower(safe))).ok(&asked)
	answer := h.do("POST", "challenge/sign", solution(newSigner(1), asked.ChallengeMessage, "")).refused(400, "invalid_signature")
	if got := reason(answer); got != "chain_not_checked" {
		t.Errorf("another chain: %q", got)
	}
	if h.seen.told = slices.Compact(h.seen.told); !slices.Equal(h.seen.told, []string{"wallet invalid_signature"}) {
		t.Errorf("told %q", h.seen.told)
	}
}

// A chain that cannot be asked says nothing about a signature; the challenge is spent.
func TestContractWithDeadChain(t *testing.T) {
	c := newChain(t)
	h := build(t, withChain(t, c))
	c.own(safe, newSigner(1))
	c.as(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	message := h.contractChallenge("", safe)
	if a := h.do("POST", "challenge/sign", solution(newSigner(1), message, "")).refused(503, "rpc_unavailable"); a.Header().Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	h.do("POST", "challenge/sign", solution(newSigner(1), message, "")).refused(404, "challenge_not_found")
	if strings.Contains(h.log.String(), c.URL) {
		t.Errorf("the URL of the endpoint is in the log: %s", h.log)
	}
}

// Sign-ins of contracts that wait for a chain which never answers hold up nobody who has a key.
func TestDeadChainLeavesKeysAlone(t *testing.T) {
	c := newChain(t)
	h := build(t, withChain(t, c), func(r *RealmConfig, _ *Site) { r.RateLimit.Off = true })
	waiting, over := make(chan struct{}, 64), make(chan struct{})
	c.as(func(w http.ResponseWriter, _ *http.Request) {
		waiting <- struct{}{}
		<-over
		w.WriteHeader(http.StatusBadGateway)
	})
	from := func(n int, sub, body string) *http.Request {
		r := h.request("POST", sub, body)
		r.RemoteAddr = fmt.Sprintf("192.0.2.%d:1234", n)
		return r
	}
	var contracts, keys sync.WaitGroup
	for n := range 24 {
		message := h.contractChallenge("", safe)
		contracts.Go(func() {
			h.serve(from(n, "challenge/sign", solution(newSigner(1), message, ""))).refused(503, "rpc_unavailable")
		})
	}
	for range 16 { // as many as may ask one chain at a time
		<-waiting
	}
	for n := range 50 {
		keys.Go(func() {
			s := newSigner(byte(n + 1))
			var asked struct{ ChallengeMessage string }
			h.serve(from(n, "challenge/create", fmt.Sprintf(`{"address":%q,"chainId":10}`, s.address()))).ok(&asked)
			h.serve(from(n, "challenge/sign", solution(s, asked.ChallengeMessage, ""))).ok(new(signedInView))
		})
	}
	keys.Wait() // and nothing has answered by now
	close(over)
	contracts.Wait()
}

func TestContractIsLinked(t *testing.T) {
	c := newChain(t)
	h := build(t, withChain(t, c))
	c.own(safe, newSigner(2))
	alice := h.signInTokens(newSigner(1))
	var linked signedInView
	h.presentContract(safe, newSigner(2), "", alice.bearer()...).ok(&linked)
	if linked.User.ID != alice.User.ID || len(linked.User.Wallets) != 2 {
		t.Fatalf("%+v", linked.User)
	}
	// It belongs to alice now; bob, who is an owner too, cannot take it with him.
	bob := h.signInTokens(newSigner(2))
	h.presentContract(safe, newSigner(2), "", bob.bearer()...).refused(409, "credential_in_use")
	var again signedInView
	if h.presentContract(safe, newSigner(2), "").ok(&again); again.User.ID != alice.User.ID {
		t.Error("signed in as another user")
	}
}

func TestContractStepsUp(t *testing.T) {
	c := newChain(t)
	h := build(t, passkeysOn, withChain(t, c), strict)
	c.own(safe, newSigner(1))
	c.own(otherSafe, newSigner(1))
	h.presentContract(otherSafe, newSigner(1), "").ok(new(signedInView))
	cookie := h.contractCookie(safe, newSigner(1))
	h.now = h.now.Add(2 * time.Minute)
	h.visit("/desk", cookie).refused(401, "step_up_required")
	stepUp := func(contract string) answer {
		message := h.contractChallenge("step-up/", contract, cookie...)
		return h.do("POST", "step-up/challenge/sign", solution(newSigner(1), message, ""), cookie...)
	}
	stepUp(otherSafe).refused(400, "invalid_signature") // a wallet of somebody else
	pair, _ := stepUp(safe).ok(new(steppedUpView)).cookie()
	if a := h.visit("/desk", []string{"Cookie", pair}); a.Code != http.StatusTeapot {
		t.Errorf("answered %d", a.Code)
	}
	// What is asked again from now on is the signature of the step-up.
	h.now = h.now.Add(59 * time.Minute)
	c.questions()
	if h.signedInAs([]string{"Cookie", pair}) == "" || c.questions() != 0 {
		t.Error("asked before its time")
	}
	c.as(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	message := h.contractChallenge("step-up/", safe, "Cookie", pair)
	h.do("POST", "step-up/challenge/sign", solution(newSigner(1), message, ""), "Cookie", pair).refused(503, "rpc_unavailable")
}

// Roles are granted to a contract by its chain and address. The same address alone names a key, and nobody else.
func TestGrantsToContracts(t *testing.T) {
	c := newChain(t)
	h := build(t, withChain(t, c), func(r *RealmConfig, _ *Site) {
		r.OpenRegistration = false
		r.Grants = []Grant{
			{Role: "treasurer", To: []string{"eip155:10:" + strings.ToLower(safe)}},
			{Role: "admin", To: []string{strings.ToLower(safe), "eip155:1:" + strings.ToLower(safe)}},
		}
	})
	c.own(safe, newSigner(1))
	c.own(otherSafe, newSigner(1))
	var v signedInView
	h.presentContract(safe, newSigner(1), "").ok(&v)
	if !slices.Equal(v.User.Roles, []string{"treasurer"}) {
		t.Errorf("roles %q", v.User.Roles)
	}
	h.presentContract(otherSafe, newSigner(1), "").refused(403, "registration_closed")
	for _, to := range []string{"eip155:0:" + safe, "eip155:01:" + safe, "eip155:10", "eip155::" + safe, "eip155:10:10:" + safe, "EIP155:10:" + safe} {
		if _, _, err := compileGrants([]Grant{{Role: "r", To: []string{to}}}); err == nil {
			t.Errorf("granted to %q", to)
		}
	}
}

// Once an hour the contract of a session is asked again.
func TestContractIsAskedAgain(t *testing.T) {
	for _, how := range []string{"cookie", "refresh token"} {
		t.Run(how, func(t *testing.T) {
			c := newChain(t)
			h := build(t, withChain(t, c))
			c.own(safe, newSigner(1))
			var tokens signedInView
			h.presentContract(safe, newSigner(1), "").ok(&tokens)
			cookie := h.contractCookie(safe, newSigner(1))
			goOn := func() answer {
				if how == "cookie" {
					return h.do("GET", "session", "", cookie...)
				}
				a := h.do("POST", "token/refresh", fmt.Sprintf(`{"refresh_token":%q}`, tokens.RefreshToken))
				if a.Code == http.StatusOK {
					a.ok(&tokens)
				}
				return a
			}
			c.questions()
			h.now = h.now.Add(59 * time.Minute)
			if goOn(); c.questions() != 0 {
				t.Error("asked before its time")
			}
			h.now = h.now.Add(10 * time.Minute)
			if a := goOn(); a.Code != http.StatusOK || c.questions() != 1 {
				t.Fatalf("answered %d", a.Code)
			}
			h.now = h.now.Add(50 * time.Minute)
			if goOn(); c.questions() != 0 {
				t.Error("asked again although it has just said yes")
			}
			// The owner is another one now: whoever was it before is out, for good.
			c.own(safe, newSigner(2))
			h.now = h.now.Add(11 * time.Minute)
			if a := goOn(); a.Code != http.StatusUnauthorized {
				t.Errorf("answered %d", a.Code)
			}
			c.own(safe, newSigner(1))
			if a := goOn(); a.Code != http.StatusUnauthorized {
				t.Errorf("came back: %d", a.Code)
			}
		})
	}
}

// While the chain cannot be asked, sessions go on for a second hour and no longer: who is no owner any more must not stay
// by keeping the chain from being asked. They have not ended then.
func TestContractCannotBeAskedAgain(t *testing.T) {
	c := newChain(t)
	h := build(t, withChain(t, c))
	c.own(safe, newSigner(1))
	cookie := h.contractCookie(safe, newSigner(1))
	c.as(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	for _, after := range []time.Duration{61, 30, 28} { // minutes, 119 together
		h.now = h.now.Add(after * time.Minute)
		if h.signedInAs(cookie) == "" {
			t.Fatal("signed out while the chain is down")
		}
	}
	h.now = h.now.Add(6 * time.Minute)
	h.do("GET", "session", "", cookie...).refused(503, "rpc_unavailable")
	c.as(nil)
	h.now = h.now.Add(time.Minute)
	if h.signedInAs(cookie) == "" {
		t.Error("signed out once the chain is back")
	}
}

// Nothing renews a session while a page only reads its stream: whoever is no owner of the contract any more must not read on.
// What holds for renewals while the chain cannot be asked holds here.
func TestStreamEndsWithOwnerOfContract(t *testing.T) {
	c := newChain(t)
	h := build(t, withChain(t, c))
	c.own(safe, newSigner(1))
	r := httptest.NewRequest("GET", home+"/events", nil)
	r.Header.Set("Cookie", h.contractCookie(safe, newSigner(1))[1])
	r.Header.Set("Accept", "text/event-stream")
	reached := false
	h.gateway.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		reached = true
		var s *stream
		h.realm.State.mu.Lock()
		for _, streams := range h.realm.State.streams {
			for s = range streams {
			}
		}
		h.realm.State.mu.Unlock()
		judge := func(after time.Duration) (why string, err error) {
			h.now = h.now.Add(after)
			c.questions()
			_, why, err = s.judge(t.Context())
			return why, err
		}
		if why, err := judge(59 * time.Minute); why != "" || err != nil || c.questions() != 0 {
			t.Errorf("before its time: %q, %v", why, err)
		}
		if why, err := judge(2 * time.Minute); why != "" || err != nil || c.questions() == 0 {
			t.Errorf("not asked, or although the owner is the same: %q, %v", why, err)
		}
		c.as(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
		if why, err := judge(61 * time.Minute); why != "" || err != nil {
			t.Errorf("while the chain is down: %q, %v", why, err)
		}
		if why, err := judge(time.Hour); why != "" || !errors.Is(err, authcore.ErrUnavailable) {
			t.Errorf("while the chain is down for a second hour: %q, %v", why, err)
		}
		c.as(nil)
		c.own(safe, newSigner(2))
		h.now = h.now.Add(time.Minute)
		if s.judgeAgain(); r.Context().Err() == nil {
			t.Error("the stream goes on")
		}
	})).ServeHTTP(newCord(), r)
	if !reached {
		t.Error("the backend was not reached")
	}
}

// A session of a contract whose chain is not configured any more does not go on: nobody could tell whether it should.
func TestContractOfChainThatIsGone(t *testing.T) {
	c := newChain(t)
	h := build(t, withChain(t, c))
	c.own(safe, newSigner(1))
	cookie := h.contractCookie(safe, newSigner(1))
	for _, w := range []*WalletConfig{{}, nil} {
		config := h.realm.RealmConfig
		config.Wallet, config.State = w, NewState()
		if w == nil {
			config.Passkey = &PasskeyConfig{}
		}
		n := *h
		var err error
		if n.realm, err = NewRealm(config); err != nil {
			t.Fatal(err)
		}
		next := n.neighbour(Site{Origin: home, Pages: plainPages{}})
		if next.signedInAs(cookie) == "" {
			t.Error("signed out before its time")
		}
		h.now = h.now.Add(61 * time.Minute)
		if next.signedInAs(cookie) != "" {
			t.Error("still signed in")
		}
		cookie = h.contractCookie(safe, newSigner(1))
	}
}

// A session that its user has proven with a key since then does not depend on the contract any more.
func TestContractIsReplacedByKey(t *testing.T) {
	c := newChain(t)
	h := build(t, withChain(t, c))
	c.own(safe, newSigner(1))
	key := h.signInTokens(newSigner(3))
	h.presentContract(safe, newSigner(1), "", key.bearer()...).ok(new(signedInView))
	cookie := h.contractCookie(safe, newSigner(1))
	var asked struct{ ChallengeMessage string }
	h.do("POST", "step-up/challenge/create", fmt.Sprintf(`{"address":%q}`, newSigner(3).address()), cookie...).ok(&asked)
	h.do("POST", "step-up/challenge/sign", solution(newSigner(3), asked.ChallengeMessage, ""), cookie...).ok(new(steppedUpView))
	c.own(safe, newSigner(2))
	h.now = h.now.Add(3 * time.Hour)
	if h.signedInAs(cookie) == "" {
		t.Error("signed out")
	}
}

// What a contract said yes to is for the store alone.
func TestProofIsNotTold(t *testing.T) {
	c := newChain(t)
	h := build(t, withChain(t, c))
	c.own(safe, newSigner(1))
	var v signedInView
	h.presentContract(safe, newSigner(1), "").ok(&v)
	open, err := h.store.Stores().Sessions.SessionsOf(t.Context(), v.User.ID, h.now)
	if err != nil || len(open) != 1 || open[0].Methods[0].Proof == "" {
		t.Fatalf("%+v, %v", open, err)
	}
	id, err := h.realm.identityOf(t.Context(), open[0])
	if err != nil || id.Methods[0].Proof != "" || id.Methods[0].Method != authcore.Wallet {
		t.Errorf("%+v, %v", id, err)
	}
	if open[0].Methods[0].Proof == "" {
		t.Error("taken from the session, too")
	}
}

func TestRecheckIsValidated(t *testing.T) {
	h := build(t)
	for _, each := range []time.Duration{-time.Hour, time.Second, 59 * time.Second} {
		config := h.realm.RealmConfig
		config.Wallet = &WalletConfig{Recheck: each}
		if _, err := NewRealm(config); err == nil {
			t.Errorf("%v was taken", each)
		}
	}
}
