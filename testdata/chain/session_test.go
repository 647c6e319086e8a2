package chain

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/caddy-authgate/authgate/authcore/gateway"
	"github.com/caddy-authgate/authgate/authcore/store/memstore"
	"github.com/caddy-authgate/authgate/authcore/wallet"
)

// site is a gateway whose time is at the test's word.
type site struct {
	tb      testing.TB
	handler http.Handler
	passed  atomic.Int64 // since clock
}

func newSite(tb testing.TB, w *world) *site {
	tb.Helper()
	s := &site{tb: tb}
	store := memstore.New()
	realm, err := gateway.NewRealm(gateway.RealmConfig{
		Stores: store.Stores(), Challenges: store.ChallengeStores(), OpenRegistration: true,
		Wallet: &gateway.WalletConfig{Contracts: w.contracts(tb), Recheck: time.Hour},
		Now:    func() time.Time { return clock.Add(time.Duration(s.passed.Load())) },
	})
	if err != nil {
		tb.Fatal(err)
	}
	g, err := gateway.New(realm, gateway.Site{Origin: origin})
	if err != nil {
		tb.Fatal(err)
	}
	s.handler = g.Handler(http.NotFoundHandler())
	return s
}

// post answers what the gateway says to a request with this body, in the members of answer.
func (s *site) post(route string, body any, status int) (answer struct {
	Message string `json:"challengeMessage"`
	Code    string `json:"code"`
	Refresh string `json:"refresh_token"`
	User    struct {
		ID      string   `json:"id"`
		Wallets []string `json:"wallets"`
	} `json:"user"`
},
) {
	s.tb.Helper()
	raw, err := json.Marshal(body)
	if err != nil {
		s.tb.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodPost, origin+"/auth/"+route, bytes.NewReader(raw))
	r.Header.Set("Content-Type", "application/json")
	recorder := httptest.NewRecorder()
	s.handler.ServeHTTP(recorder, r)
	if recorder.Code != status {
		s.tb.Fatalf("%s: %d instead of %d: %s", route, recorder.Code, status, recorder.Body)
	}
	if err := json.Unmarshal(recorder.Body.Bytes(), &answer); err != nil {
		s.tb.Fatal(err)
	}
	return answer
}

// signIn opens a session and answers its refresh token.
func (s *site) signIn(account common.Address, sign func(hash [32]byte) []byte) string {
	s.tb.Helper()
	asked := s.post("challenge/create", map[string]any{"address": account, "chainId": chainID}, http.StatusOK)
	return s.post("challenge/sign", map[string]string{"challenge": asked.Message, "signature": hex(sign(wallet.Hash(asked.Message)))}, http.StatusOK).Refresh
}

// refresh answers the next refresh token.
func (s *site) refresh(token string) string {
	s.tb.Helper()
	return s.post("token/refresh", map[string]string{"refresh_token": token}, http.StatusOK).Refresh
}

// TestRotatedOwnerEndsSessions: a session that an owner of a contract opened ends, within the time between two checks, after
// they own it no more. Sessions of others go on.
func TestRotatedOwnerEndsSessions(t *testing.T) {
	w := theWorld(t)
	s := newSite(t, w)
	account, err := w.deploy(w.creation("ForSaleWallet", address(w.owner)))
	if err != nil {
		t.Fatal(err)
	}
	byOwner := func(hash [32]byte) []byte { return sign(hash, w.owner) }
	sold, kept, key := s.signIn(account, byOwner), s.signIn(w.at["OwnerWallet"], byOwner), s.signIn(address(w.owner), byOwner)
	pass := func(d time.Duration) {
		t.Helper()
		s.passed.Add(int64(d))
		kept, key = s.refresh(kept), s.refresh(key)
	}
	pass(59 * time.Minute)
	sold = s.refresh(sold)
	pass(2 * time.Minute) // asked again: the owner is the same
	sold = s.refresh(sold)
	if _, err := w.send(&account, w.call("ForSaleWallet", "buy", address(w.other))); err != nil {
		t.Fatal(err)
	}
	pass(50 * time.Minute)
	sold = s.refresh(sold) // not asked yet
	pass(10 * time.Minute)
	if code := s.post("token/refresh", map[string]string{"refresh_token": sold}, http.StatusUnauthorized).Code; code != "invalid_grant" {
		t.Error(code)
	}
}
