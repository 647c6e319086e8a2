package gateway

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

const collection = "0xcC00000000000000000000000000000000000001"

// ledger is a JSON-RPC server of chain 10 with one collection, of which some have a piece.
type ledger struct {
	*httptest.Server
	mu   sync.Mutex
	has  map[string]bool // by address in lower case, without 0x
	dead bool
}

func newLedger(t *testing.T) *ledger {
	t.Helper()
	l := &ledger{has: make(map[string]bool)}
	l.Server = httptest.NewServer(l)
	t.Cleanup(l.Close)
	return l
}

func (l *ledger) set(s signer, has bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.has[strings.ToLower(s.address()[2:])] = has
}

func (l *ledger) cut(dead bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dead = dead
}

func (l *ledger) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var batch []struct {
		ID     json.RawMessage
		Method string
		Params []json.RawMessage
	}
	if err := json.NewDecoder(r.Body).Decode(&batch); l.dead || err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	var answers []string
	for _, q := range batch {
		result := "0xa"
		if q.Method == "eth_call" {
			var call struct{ To, Data string }
			_ = json.Unmarshal(q.Params[0], &call)
			n := 0
			if strings.EqualFold(call.To, collection) && l.has[call.Data[len(call.Data)-40:]] {
				n = 1
			}
			result = fmt.Sprintf("0x%064x", n)
		}
		answers = append(answers, fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":%q}`, q.ID, result))
	}
	fmt.Fprintf(w, "[%s]", strings.Join(answers, ","))
}

// grantedBy gives the role member to who has a piece of the collection.
func grantedBy(t *testing.T, l *ledger, invited bool) func(*RealmConfig, *Site) {
	return func(r *RealmConfig, s *Site) {
		withChain(t, &chain{Server: l.Server})(r, s)
		r.OpenRegistration = !invited
		r.Grants = append(r.Grants, Grant{Role: "member", To: []string{"nft", "10", collection}})
	}
}

// A role goes with what the wallet has: from the next sign-in or renewal on, once what the chain said is old.
func TestRoleFromChain(t *testing.T) {
	l := newLedger(t)
	h := build(t, grantedBy(t, l, false))
	alice := newSigner(1)
	roles := func() []string { return h.signInTokens(alice).User.Roles }
	if got := roles(); slices.Contains(got, "member") {
		t.Errorf("without a piece: %q", got)
	}
	l.set(alice, true)
	if got := roles(); slices.Contains(got, "member") {
		t.Errorf("the answer was not kept: %q", got)
	}
	h.now = h.now.Add(10 * time.Minute)
	session := h.signInTokens(alice)
	if !slices.Contains(session.User.Roles, "member") {
		t.Errorf("with a piece: %q", session.User.Roles)
	}
	l.set(alice, false) // sold
	h.now = h.now.Add(10 * time.Minute)
	var renewed signedInView
	h.do("POST", "token/refresh", fmt.Sprintf(`{"refresh_token":%q}`, session.RefreshToken)).ok(&renewed)
	if slices.Contains(renewed.User.Roles, "member") {
		t.Errorf("renewed without a piece: %q", renewed.User.Roles)
	}
}

// A chain that cannot be asked costs the role, and neither the sign-in nor other roles.
func TestRoleFromDeadChain(t *testing.T) {
	l := newLedger(t)
	alice := newSigner(1)
	h := build(t, grantedBy(t, l, false), func(r *RealmConfig, _ *Site) {
		r.Grants = append(r.Grants, Grant{Role: "founder", To: []string{alice.address()}})
	})
	l.set(alice, true)
	l.cut(true)
	if got := h.signInTokens(alice).User.Roles; !slices.Equal(got, []string{"founder"}) {
		t.Errorf("roles %q", got)
	}
	if !strings.Contains(h.log.String(), "roles from chains may be missing") || strings.Contains(h.log.String(), l.URL) {
		t.Errorf("log: %s", h.log)
	}
	l.cut(false)
	h.now = h.now.Add(time.Minute)
	if got := h.signInTokens(alice).User.Roles; !slices.Equal(got, []string{"founder", "member"}) {
		t.Errorf("roles %q", got)
	}
	// What is known already counts while it is fresh.
	l.cut(true)
	if got := h.signInTokens(alice).User.Roles; !slices.Contains(got, "member") {
		t.Errorf("roles %q", got)
	}
}

// Under `registration invite`, whoever has what a role is granted for may open an account; who has not may not, and who
// cannot be told is not told no.
func TestChainLetsRegister(t *testing.T) {
	l := newLedger(t)
	h := build(t, grantedBy(t, l, true))
	alice, bob := newSigner(1), newSigner(2)
	l.set(alice, true)
	h.present(bob, "").refused(403, "registration_closed")
	l.cut(true)
	h.present(alice, "").refused(503, "rpc_unavailable")
	l.cut(false)
	h.now = h.now.Add(time.Minute)
	h.present(alice, "").ok(new(signedInView))
	// The account stays, whatever becomes of the piece.
	l.set(alice, false)
	h.now = h.now.Add(time.Hour)
	if got := h.signInTokens(alice).User.Roles; len(got) != 0 {
		t.Errorf("roles %q", got)
	}
}

// A reload keeps what is known, and forgets it with the endpoints that said it: one may have lied.
func TestReloadForgetsWhatOtherEndpointsSaid(t *testing.T) {
	l := newLedger(t)
	h := build(t, grantedBy(t, l, false))
	alice := newSigner(1)
	l.set(alice, true)
	h.signInTokens(alice)
	l.set(alice, false)
	reload := func(c RealmConfig) []string {
		c.Stores, c.Challenges, c.State, c.Now = h.store.Stores(), h.store.ChallengeStores(), h.realm.State, h.realm.Now
		r, err := NewRealm(c)
		if err != nil {
			t.Fatal(err)
		}
		roles, err := r.chainRoles(t.Context(), []string{alice.address()})
		if err != nil {
			t.Fatal(err)
		}
		if roles[0].Has {
			return []string{roles[0].Role}
		}
		return nil
	}
	same := RealmConfig{Wallet: h.realm.Wallet, Grants: h.realm.Grants}
	if got := reload(same); len(got) != 1 {
		t.Errorf("the same endpoints: %q", got)
	}
	other := RealmConfig{Wallet: &WalletConfig{}, Now: h.realm.Now}
	grantedBy(t, l, false)(&other, nil)
	if got := reload(other); len(got) != 0 {
		t.Errorf("other endpoints: %q", got)
	}
}

// Whoever asks why somebody is let in, or is not, is told which roles go by a chain.
func TestExplainTellsChainRoles(t *testing.T) {
	l := newLedger(t)
	h := build(t, grantedBy(t, l, false))
	for i, want := range []string{"has.", "is known to have."} {
		s := newSigner(byte(i + 1))
		l.set(s, i == 0)
		name := h.signInTokens(s).User.Username
		answers, err := h.realm.Explain(t.Context(), Question{URL: "/reports", User: name})
		if err != nil {
			t.Fatal(err)
		}
		words := strings.Join(answers[0].Words, " ")
		if !strings.Contains(words, "The role member goes by the chain: nft 10 "+collection) || !strings.Contains(words, want) {
			t.Errorf("%s", words)
		}
	}
}

// An operator sees which roles come from a chain, and which do not at this moment.
func TestOperatorSeesChainRoles(t *testing.T) {
	l := newLedger(t)
	h := build(t, grantedBy(t, l, false))
	for i, has := range []bool{true, false} {
		s := newSigner(byte(i + 1))
		l.set(s, has)
		a, err := h.realm.Account(t.Context(), h.signInTokens(s).User.Username)
		want := []ChainRole{{Role: "member", Holding: "nft 10 " + collection, Has: has}}
		if err != nil || !slices.Equal(a.ChainRoles, want) || slices.Contains(a.Roles, "member") != has {
			t.Errorf("%v %v, %v", a.Roles, a.ChainRoles, err)
		}
	}
}

// What can never be is an error of the configuration.
func TestChainGrantsThatCannotWork(t *testing.T) {
	for _, to := range [][]string{
		{"nft"}, {"nft", "10"}, {"nft", "11", collection}, {"ens", "*.example.eth"}, {"nft", "10", collection, "min", "0"}, {"nft", "10", collection, newSigner(1).address()},
	} {
		h := newLedger(t)
		c := RealmConfig{Wallet: &WalletConfig{}, Grants: []Grant{{Role: "r", To: to}}}
		withChain(t, &chain{Server: h.Server})(&c, nil)
		if _, err := NewRealm(c); err == nil {
			t.Errorf("%q is taken", to)
		}
	}
	if _, err := NewRealm(RealmConfig{Grants: []Grant{{Role: "r", To: []string{"nft", "10", collection}}}}); err == nil || !strings.Contains(err.Error(), "wallet sign-in is off") {
		t.Error(err)
	}
}
