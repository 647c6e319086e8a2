package gateway

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/crypto"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/store/memstore"
	"github.com/caddy-authgate/authgate/authcore/wallet"
)

const home = "https://app.example.com"

// house is a site with everything behind it in memory, and a clock that a test turns.
type house struct {
	t       testing.TB
	now     time.Time
	store   *memstore.Store
	faults  *faults
	realm   *Realm
	gateway *Gateway
	log     *bytes.Buffer
	seen    *signIns
}

// build makes a house; the functions change its configuration first.
func build(t testing.TB, change ...func(*RealmConfig, *Site)) *house {
	t.Helper()
	h := &house{
		t: t, now: time.Date(2026, 11, 21, 11, 59, 0, 0, time.UTC), store: memstore.New(), faults: &faults{on: map[string]func() error{}},
		log: new(bytes.Buffer), seen: new(signIns),
	}
	accounts, short := h.store.Stores(), h.store.ChallengeStores()
	accounts = h.faults.in(accounts)
	broken := faulty{Challenges: short.Challenges, AttemptCounter: short.Attempts, faults: h.faults}
	short.Challenges, short.Attempts = broken, broken
	c := RealmConfig{
		Stores: accounts, Challenges: short, OpenRegistration: true, Wallet: &WalletConfig{},
		Now: func() time.Time { return h.now }, Observer: h.seen,
		Logger: slog.New(slog.NewTextHandler(h.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	s := Site{Origin: home, Pages: plainPages{}}
	for _, f := range change {
		f(&c, &s)
	}
	var err error
	if h.realm, err = NewRealm(c); err != nil {
		t.Fatal(err)
	}
	if h.gateway, err = New(h.realm, s); err != nil {
		t.Fatal(err)
	}
	h.now = h.now.Add(time.Minute) // the process has been running for a while
	return h
}

// neighbour is another site on the same realm.
func (h *house) neighbour(s Site) *house {
	h.t.Helper()
	n := *h
	var err error
	if n.gateway, err = New(h.realm, s); err != nil {
		h.t.Fatal(err)
	}
	return &n
}

// request makes a request to a path below the mount; a body that is not empty is sent as JSON.
func (h *house) request(method, sub, body string, headers ...string) *http.Request {
	r := httptest.NewRequest(method, h.gateway.origin.text+"/auth/"+sub, strings.NewReader(body))
	if body == "" {
		r.Body, r.ContentLength = http.NoBody, 0
	} else {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

// serve sends a request through the whole gateway; the backend answers 418.
func (h *house) serve(r *http.Request) answer {
	h.t.Helper()
	if r.TLS != nil {
		r.TLS.HandshakeComplete = true // as net/http has it; httptest leaves it out
	}
	return h.serveAsIs(r)
}

func (h *house) serveAsIs(r *http.Request) answer {
	w := httptest.NewRecorder()
	h.gateway.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusTeapot)
	})).ServeHTTP(w, r)
	return answer{h.t, w}
}

func (h *house) do(method, sub, body string, headers ...string) answer {
	h.t.Helper()
	return h.serve(h.request(method, sub, body, headers...))
}

// answer is what came back.
type answer struct {
	t testing.TB
	*httptest.ResponseRecorder
}

// refused checks that the answer is a problem document with this status and code.
func (a answer) refused(status int, code string) answer {
	a.t.Helper()
	var p struct {
		Type, Title, Code, Detail string
		Status                    int
	}
	if err := json.Unmarshal(a.Body.Bytes(), &p); err != nil {
		a.t.Fatalf("%d, body is no problem document: %q", a.Code, a.Body)
	}
	if a.Code != status || p.Code != code {
		a.t.Fatalf("answered %d %q, want %d %q", a.Code, p.Code, status, code)
	}
	if p.Status != status || p.Type != "about:blank" || p.Title != http.StatusText(status) || p.Detail == "" || a.Header().Get("Content-Type") != "application/problem+json" {
		a.t.Errorf("not a problem document of RFC 9457: %s %s", a.Header().Get("Content-Type"), a.Body)
	}
	return a
}

// ok checks for 200 and reads the body into v.
func (a answer) ok(v any) answer {
	a.t.Helper()
	if a.Code != http.StatusOK {
		a.t.Fatalf("answered %d: %s", a.Code, a.Body)
	}
	if err := json.Unmarshal(a.Body.Bytes(), v); err != nil {
		a.t.Fatalf("body %q: %v", a.Body, err)
	}
	return a
}

// cookie answers the pair that a browser would send back from now on, "" where the cookie was cleared.
func (a answer) cookie() (pair string, set bool) {
	a.t.Helper()
	lines := a.Header()["Set-Cookie"]
	if len(lines) == 0 {
		return "", false
	}
	if len(lines) > 1 {
		a.t.Fatalf("more than one Set-Cookie: %q", lines)
	}
	pair, attrs, _ := strings.Cut(lines[0], ";")
	if strings.Contains(attrs, "Max-Age=0") {
		return "", true
	}
	return pair, true
}

// signer is a wallet.
type signer struct{ key *ecdsa.PrivateKey }

// newSigner makes the wallet with this number, the same at every run.
func newSigner(n byte) signer {
	key, err := crypto.ToECDSA(bytes.Repeat([]byte{n}, 32))
	if err != nil {
		panic(err)
	}
	return signer{key}
}

func (s signer) address() string { return crypto.PubkeyToAddress(s.key.PublicKey).Hex() }

func (s signer) sign(message string) string {
	sum := wallet.Hash(message)
	sig, err := crypto.Sign(sum[:], s.key)
	if err != nil {
		panic(err)
	}
	sig[64] += 27
	return "0x" + hex.EncodeToString(sig)
}

// challenge asks for a message to sign.
func (h *house) challenge(s signer, headers ...string) string {
	h.t.Helper()
	var asked struct{ ChallengeMessage string }
	h.do("POST", "challenge/create", fmt.Sprintf(`{"address":%q}`, s.address()), headers...).ok(&asked)
	return asked.ChallengeMessage
}

// solution is the body that answers a message; more holds further members.
func solution(s signer, message, more string) string {
	return fmt.Sprintf(`{"challenge":%q,"signature":%q%s}`, message, s.sign(message), more)
}

// present goes through both steps of signing in with a wallet.
func (h *house) present(s signer, more string, headers ...string) answer {
	h.t.Helper()
	return h.do("POST", "challenge/sign", solution(s, h.challenge(s, headers...), more), headers...)
}

// signedInView is how a sign-in ends, either way.
type signedInView struct {
	tokensView
	ReturnTo string `json:"return_to"`
}

func (v signedInView) bearer() []string { return []string{"Authorization", "Bearer " + v.AccessToken} }

// signInTokens signs in as programs do.
func (h *house) signInTokens(s signer) signedInView {
	h.t.Helper()
	var v signedInView
	h.present(s, "").ok(&v)
	return v
}

// signInCookie signs in as browsers do and answers the header that carries the cookie.
func (h *house) signInCookie(s signer, headers ...string) []string {
	h.t.Helper()
	var v signedInView
	pair, set := h.present(s, `,"session":"cookie"`, headers...).ok(&v).cookie()
	if !set || pair == "" {
		h.t.Fatal("no cookie was set")
	}
	return []string{"Cookie", pair}
}

// signedInAs answers the user behind headers, "" where they make nobody; the door to the backend must agree.
func (h *house) signedInAs(headers []string) string {
	h.t.Helper()
	r := h.request("GET", "", "", headers...)
	r.URL.Path = "/reports"
	passed := h.serve(r).Code == http.StatusTeapot
	a := h.do("GET", "session", "", headers...)
	if passed != (a.Code == http.StatusOK) {
		h.t.Fatalf("passed to the backend: %v, but GET session answers %d", passed, a.Code)
	}
	if !passed {
		a.refused(401, "unauthenticated")
		return ""
	}
	var v struct{ User userView }
	a.ok(&v)
	return v.User.ID
}

// signIns notes what an observer is told.
type signIns struct {
	mu   sync.Mutex
	told []string
}

func (s *signIns) Decided(string, time.Duration) {}

func (s *signIns) SignedIn(m authcore.Method, outcome string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told = append(s.told, string(m)+" "+outcome)
}

func (s *signIns) PasskeyOdd(event string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told = append(s.told, "odd "+event)
}

func (s *signIns) Happened(e authcore.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.Kind == authcore.EventSuspended && e.Subject != "" {
		s.told = append(s.told, "suspended")
	}
}

func (s *signIns) MailWritten(kind authcore.MailKind) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told = append(s.told, "mail "+string(kind))
}

// plainPages are pages of one line.
type plainPages struct{}

func (plainPages) ServePage(w http.ResponseWriter, _ *http.Request, p Page) error {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(p.Status)
	fmt.Fprintf(w, "page=%s mount=%s origin=%s methods=%v return=%s", p.Name, p.Mount, p.Origin, p.Methods, p.ReturnTo)
	if p.Identity != nil {
		fmt.Fprintf(w, " user=%s", p.Identity.Username)
	}
	if p.Problem != nil {
		fmt.Fprintf(w, " code=%s", p.Problem.Code)
	}
	if p.Again != "" {
		fmt.Fprintf(w, " again=%s", p.Again)
	}
	return nil
}

func (plainPages) ServeAsset(w http.ResponseWriter, r *http.Request, name string) {
	if name != "style.css" {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/css")
	fmt.Fprint(w, "body{}")
}

// faults are what happens in methods of stores before they do their work, or instead of it.
type faults struct {
	mu sync.Mutex
	on map[string]func() error
}

// before has f called before a method does its work, or instead of it where f answers an error.
func (f *faults) before(method string, do func() error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.on[method] = do
}

// breakDown has methods fail as a store does that cannot be reached.
func (f *faults) breakDown(methods ...string) {
	for _, m := range methods {
		f.before(m, func() error { return fmt.Errorf("store at 10.9.8.7: connection refused: %w", authcore.ErrUnavailable) })
	}
}

func (f *faults) repair() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.on)
}

func (f *faults) check(method string) error {
	f.mu.Lock()
	do := f.on[method]
	f.mu.Unlock()
	if do == nil {
		return nil
	}
	return do()
}

// in answers stores whose methods break down one by one, in transactions too.
func (f *faults) in(s authcore.Stores) authcore.Stores {
	broken := faulty{
		Users: s.Users, Credentials: s.Credentials, Sessions: s.Sessions, Confirmations: s.Confirmations, Outbox: s.Outbox,
		eventStore: s.Events, Transactions: s.Transactions, faults: f,
	}
	s.Users, s.Credentials, s.Sessions, s.Confirmations, s.Outbox, s.Events = broken, broken, broken, broken, broken, broken
	if s.Transactions != nil {
		s.Transactions = broken
	}
	return s
}

// faulty is a store whose methods break down one by one.
type faulty struct {
	authcore.Users
	authcore.Credentials
	authcore.Sessions
	authcore.Confirmations
	authcore.Outbox
	eventStore
	authcore.Transactions
	authcore.Challenges
	authcore.AttemptCounter
	*faults
}

func (f faulty) Transact(ctx context.Context, do func(authcore.Stores) error) error {
	if err := f.check("Transact"); err != nil {
		return err
	}
	return f.Transactions.Transact(ctx, func(s authcore.Stores) error { return do(f.in(s)) })
}

func (f faulty) UserByEmail(ctx context.Context, email string) (authcore.User, error) {
	if err := f.check("UserByEmail"); err != nil {
		return authcore.User{}, err
	}
	return f.Users.UserByEmail(ctx, email)
}

func (f faulty) AddMail(ctx context.Context, m authcore.SealedMail) error {
	if err := f.check("AddMail"); err != nil {
		return err
	}
	return f.Outbox.AddMail(ctx, m)
}

func (f faulty) AddEvent(ctx context.Context, e authcore.Event) error {
	if err := f.check("AddEvent"); err != nil {
		return err
	}
	return f.eventStore.AddEvent(ctx, e)
}

func (f faulty) CountLockout(ctx context.Context, key string, l authcore.Lockout, now time.Time) (authcore.Attempts, error) {
	if err := f.check("CountLockout"); err != nil {
		return authcore.Attempts{}, err
	}
	return f.AttemptCounter.CountLockout(ctx, key, l, now)
}

func (f faulty) User(ctx context.Context, id string) (authcore.User, error) {
	if err := f.check("User"); err != nil {
		return authcore.User{}, err
	}
	return f.Users.User(ctx, id)
}

func (f faulty) UserByUsername(ctx context.Context, username string) (authcore.User, error) {
	if err := f.check("UserByUsername"); err != nil {
		return authcore.User{}, err
	}
	return f.Users.UserByUsername(ctx, username)
}

func (f faulty) CreateUser(ctx context.Context, u authcore.User, c authcore.Credential) error {
	if err := f.check("CreateUser"); err != nil {
		return err
	}
	return f.Users.CreateUser(ctx, u, c)
}

func (f faulty) CredentialByKey(ctx context.Context, kind authcore.Method, key string) (authcore.Credential, error) {
	if err := f.check("CredentialByKey"); err != nil {
		return authcore.Credential{}, err
	}
	return f.Credentials.CredentialByKey(ctx, kind, key)
}

func (f faulty) CredentialsOf(ctx context.Context, userID string) ([]authcore.Credential, error) {
	if err := f.check("CredentialsOf"); err != nil {
		return nil, err
	}
	return f.Credentials.CredentialsOf(ctx, userID)
}

func (f faulty) UpdateCredential(ctx context.Context, c authcore.Credential) error {
	if err := f.check("UpdateCredential"); err != nil {
		return err
	}
	return f.Credentials.UpdateCredential(ctx, c)
}

func (f faulty) AddCredential(ctx context.Context, c authcore.Credential) error {
	if err := f.check("AddCredential"); err != nil {
		return err
	}
	return f.Credentials.AddCredential(ctx, c)
}

func (f faulty) CreateSession(ctx context.Context, s authcore.Session) error {
	if err := f.check("CreateSession"); err != nil {
		return err
	}
	return f.Sessions.CreateSession(ctx, s)
}

func (f faulty) Session(ctx context.Context, id string) (authcore.Session, error) {
	if err := f.check("Session"); err != nil {
		return authcore.Session{}, err
	}
	return f.Sessions.Session(ctx, id)
}

func (f faulty) UpdateSession(ctx context.Context, s authcore.Session) error {
	if err := f.check("UpdateSession"); err != nil {
		return err
	}
	return f.Sessions.UpdateSession(ctx, s)
}

func (f faulty) EndSession(ctx context.Context, ids ...string) error {
	if err := f.check("EndSession"); err != nil {
		return err
	}
	return f.Sessions.EndSession(ctx, ids...)
}

func (f faulty) CreateChallenge(ctx context.Context, c authcore.Challenge, now time.Time) error {
	if err := f.check("CreateChallenge"); err != nil {
		return err
	}
	return f.Challenges.CreateChallenge(ctx, c, now)
}

func (f faulty) ConsumeChallenge(ctx context.Context, id [32]byte, want authcore.Binding, now time.Time) (authcore.Challenge, error) {
	if err := f.check("ConsumeChallenge"); err != nil {
		return authcore.Challenge{}, err
	}
	return f.Challenges.ConsumeChallenge(ctx, id, want, now)
}

func (f faulty) CountAttempt(ctx context.Context, key string, window time.Duration, now time.Time) (authcore.Attempts, error) {
	if err := f.check("CountAttempt"); err != nil {
		return authcore.Attempts{}, err
	}
	return f.AttemptCounter.CountAttempt(ctx, key, window, now)
}

// recorded answers what f writes.
func recorded(f func(http.ResponseWriter)) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	f(w)
	return w
}
