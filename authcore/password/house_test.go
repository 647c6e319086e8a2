package password

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/argon2"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/store/memstore"
)

const (
	right  = "glacier tuba envelope"
	wrong  = "mustard kayak sunrise"
	second = "thimble orchard bridge"

	alice   = "alice@example.com"
	mallory = "mallory@evil.example"
)

var about = authcore.Trace{Origin: "https://app.example.com", Client: "192.0.2.1", UserAgent: "Mozilla/5.0"}

// house is a site with its stores. What it does to them, and each hash, is noted in the ledger.
type house struct {
	*Passwords
	ledger *ledger
	now    time.Time
	closed bool
}

func newHouse(tb testing.TB) *house {
	store := memstore.New()
	return newHouseOn(tb, store.Stores(), store.ChallengeStores().Attempts)
}

func newHouseOn(tb testing.TB, stores authcore.Stores, attempts authcore.AttemptCounter) *house {
	tb.Helper()
	h := &house{ledger: &ledger{}, now: time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)}
	hasher := quick()
	hasher.Parallel = 8
	hasher.derive = func(password, salt []byte, time, memory uint32, threads uint8, size uint32) []byte {
		_ = h.ledger.note("hash")
		return argon2.IDKey(password, salt, time, memory, threads, size)
	}
	h.Passwords = &Passwords{
		Stores:      h.ledger.stores(stores),
		Attempts:    notedAttempts{attempts, h.ledger},
		Hasher:      hasher,
		Sites:       []string{"Example"},
		MayRegister: func(string) bool { return !h.closed },
		Now:         func() time.Time { return h.now },
		// Not sealed at all, so that tests read what was written.
		Seal: func(_ context.Context, m authcore.Mail) (authcore.SealedMail, error) {
			if err := h.ledger.note("seal"); err != nil {
				return authcore.SealedMail{}, err
			}
			sealed, err := json.Marshal(m)
			return authcore.SealedMail{ID: rand.Text(), Sealed: sealed}, err
		},
	}
	if err := h.Validate(); err != nil {
		tb.Fatal(err)
	}
	return h
}

// ledger notes what is done, in order. Where fail is not 0, the step with that number, counted from 1, fails.
type ledger struct {
	mu   sync.Mutex
	done []string
	fail int
}

var errDown = errors.New("the disk is gone")

func (l *ledger) note(what string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.done = append(l.done, what)
	if len(l.done) == l.fail {
		return errDown
	}
	return nil
}

// during answers what was done by f.
func (l *ledger) during(f func()) []string {
	l.mu.Lock()
	l.done = nil
	l.mu.Unlock()
	f()
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.done)
}

func count(done []string, what string) int {
	n := 0
	for _, d := range done {
		if d == what {
			n++
		}
	}
	return n
}

func (l *ledger) stores(s authcore.Stores) authcore.Stores {
	s.Users, s.Credentials, s.Sessions = notedUsers{s.Users, l}, notedCredentials{s.Credentials, l}, notedSessions{s.Sessions, l}
	s.Confirmations, s.Outbox = notedConfirmations{s.Confirmations, l}, notedOutbox{s.Outbox, l}
	if s.Transactions != nil {
		s.Transactions = notedTransactions{s.Transactions, l}
	}
	return s
}

type notedUsers struct {
	authcore.Users
	*ledger
}

func (n notedUsers) UserByEmail(ctx context.Context, email string) (authcore.User, error) {
	if email == "" { // a store could find whoever has none
		return authcore.User{}, errors.New("looked for a user without an address")
	}
	if err := n.note("read user"); err != nil {
		return authcore.User{}, err
	}
	return n.Users.UserByEmail(ctx, email)
}

func (n notedUsers) User(ctx context.Context, id string) (authcore.User, error) {
	if err := n.note("read user"); err != nil {
		return authcore.User{}, err
	}
	return n.Users.User(ctx, id)
}

func (n notedUsers) CreateUser(ctx context.Context, u authcore.User, c authcore.Credential) error {
	if err := n.note("create user"); err != nil {
		return err
	}
	return n.Users.CreateUser(ctx, u, c)
}

func (n notedUsers) UpdateUser(ctx context.Context, u authcore.User) error {
	if err := n.note("update user"); err != nil {
		return err
	}
	return n.Users.UpdateUser(ctx, u)
}

type notedCredentials struct {
	authcore.Credentials
	*ledger
}

func (n notedCredentials) CredentialByKey(ctx context.Context, kind authcore.Method, key string) (authcore.Credential, error) {
	if err := n.note("read credential"); err != nil {
		return authcore.Credential{}, err
	}
	return n.Credentials.CredentialByKey(ctx, kind, key)
}

func (n notedCredentials) AddCredential(ctx context.Context, c authcore.Credential) error {
	if err := n.note("add credential"); err != nil {
		return err
	}
	return n.Credentials.AddCredential(ctx, c)
}

func (n notedCredentials) UpdateCredential(ctx context.Context, c authcore.Credential) error {
	if err := n.note("update credential"); err != nil {
		return err
	}
	return n.Credentials.UpdateCredential(ctx, c)
}

type notedSessions struct {
	authcore.Sessions
	*ledger
}

func (n notedSessions) EndSessionsOf(ctx context.Context, userID, but string, spare int, now time.Time) ([]string, error) {
	if err := n.note("end sessions"); err != nil {
		return nil, err
	}
	return n.Sessions.EndSessionsOf(ctx, userID, but, spare, now)
}

type notedConfirmations struct {
	authcore.Confirmations
	*ledger
}

func (n notedConfirmations) Confirmation(ctx context.Context, p authcore.ConfirmationPurpose, h [32]byte) (authcore.Confirmation, error) {
	if err := n.note("read confirmation"); err != nil {
		return authcore.Confirmation{}, err
	}
	return n.Confirmations.Confirmation(ctx, p, h)
}

func (n notedConfirmations) ReplaceConfirmation(ctx context.Context, c authcore.Confirmation) error {
	if err := n.note("replace confirmation"); err != nil {
		return err
	}
	return n.Confirmations.ReplaceConfirmation(ctx, c)
}

func (n notedConfirmations) ConsumeConfirmation(ctx context.Context, p authcore.ConfirmationPurpose, h [32]byte, now time.Time) (authcore.Confirmation, error) {
	if err := n.note("consume confirmation"); err != nil {
		return authcore.Confirmation{}, err
	}
	return n.Confirmations.ConsumeConfirmation(ctx, p, h, now)
}

type notedOutbox struct {
	authcore.Outbox
	*ledger
}

func (n notedOutbox) AddMail(ctx context.Context, m authcore.SealedMail) error {
	if err := n.note("add mail"); err != nil {
		return err
	}
	return n.Outbox.AddMail(ctx, m)
}

type notedTransactions struct {
	authcore.Transactions
	*ledger
}

func (n notedTransactions) Transact(ctx context.Context, f func(authcore.Stores) error) error {
	if err := n.note("transact"); err != nil {
		return err
	}
	return n.Transactions.Transact(ctx, func(s authcore.Stores) error { return f(n.stores(s)) })
}

type notedAttempts struct {
	authcore.AttemptCounter
	*ledger
}

func (n notedAttempts) CountLockout(ctx context.Context, key string, l authcore.Lockout, now time.Time) (authcore.Attempts, error) {
	if err := n.note("count try"); err != nil {
		return authcore.Attempts{}, err
	}
	return n.AttemptCounter.CountLockout(ctx, key, l, now)
}

func (n notedAttempts) CountAttempt(ctx context.Context, key string, window time.Duration, now time.Time) (authcore.Attempts, error) {
	if err := n.note("count mail"); err != nil {
		return authcore.Attempts{}, err
	}
	return n.AttemptCounter.CountAttempt(ctx, key, window, now)
}

func (n notedAttempts) ClearAttempts(ctx context.Context, key string) error {
	if err := n.note("clear"); err != nil {
		return err
	}
	return n.AttemptCounter.ClearAttempts(ctx, key)
}

// mails takes all mails out of the outbox, oldest first.
func (h *house) mails(tb testing.TB) []authcore.Mail {
	tb.Helper()
	sealed, err := h.Stores.Outbox.ClaimMails(tb.Context(), 1000, h.now, h.now.Add(time.Hour))
	if err != nil {
		tb.Fatal(err)
	}
	var all []authcore.Mail
	for _, s := range sealed {
		var m authcore.Mail
		if err := json.Unmarshal(s.Sealed, &m); err != nil {
			tb.Fatal(err)
		}
		if s.Created.IsZero() || s.Created.After(h.now) || s.ID == "" {
			tb.Errorf("mail %s of %s", s.ID, s.Created)
		}
		if err := h.Stores.Outbox.DeleteMail(tb.Context(), s); err != nil {
			tb.Fatal(err)
		}
		all = append(all, m)
	}
	return all
}

// mail takes the only mail out of the outbox.
func (h *house) mail(tb testing.TB, kind authcore.MailKind, to string) authcore.Mail {
	tb.Helper()
	all := h.mails(tb)
	if len(all) != 1 || all[0].Kind != kind || all[0].To != to {
		tb.Fatalf("mails %+v, want one %s to %q", all, kind, to)
	}
	return all[0]
}

func link(key string) string { return "https://app.example.com/auth/page#" + key }

// key answers the key in a mail.
func key(tb testing.TB, m authcore.Mail) string {
	tb.Helper()
	_, k, found := strings.Cut(m.Link, "#")
	if !found || len(k) != 32 {
		tb.Fatalf("link %q", m.Link)
	}
	return k
}

func (h *house) register(tb testing.TB, email, password string) error {
	tb.Helper()
	return h.Register(tb.Context(), Registering{Email: email, Password: password, By: about, Link: link})
}

// pending registers an address and answers its key.
func (h *house) pending(tb testing.TB, email, password string) string {
	tb.Helper()
	if err := h.register(tb, email, password); err != nil {
		tb.Fatal(err)
	}
	return key(tb, h.mail(tb, authcore.MailConfirm, email))
}

// account opens an account.
func (h *house) account(tb testing.TB, email, password string) authcore.User {
	tb.Helper()
	u, err := h.Activate(tb.Context(), Activating{Key: h.pending(tb, email, password)})
	if err != nil {
		tb.Fatal(err)
	}
	return u
}

// withoutPassword opens an account with a wallet.
func (h *house) withoutPassword(tb testing.TB, id, email string) authcore.User {
	tb.Helper()
	u := authcore.User{ID: id, Username: id, Name: "No Password", Email: email, Created: h.now}
	c := authcore.Credential{ID: "wallet of " + id, UserID: id, Kind: authcore.Wallet, Key: "0x" + id, Created: h.now}
	if err := h.Stores.Users.CreateUser(tb.Context(), u, c); err != nil {
		tb.Fatal(err)
	}
	return u
}

func (h *house) signIn(tb testing.TB, email, password string) error {
	tb.Helper()
	_, err := h.SignIn(tb.Context(), Try{Email: email, Password: password, By: about})
	return err
}

// suspend has somebody guess until the account is suspended.
func (h *house) suspend(tb testing.TB, email string) {
	tb.Helper()
	for range 5 {
		_ = h.signIn(tb, email, wrong)
	}
	h.mails(tb)
}

// forgot asks for a new password and answers the key.
func (h *house) forgot(tb testing.TB, email string) string {
	tb.Helper()
	if err := h.Forgot(tb.Context(), Forgetting{Email: email, By: about, Link: link}); err != nil {
		tb.Fatal(err)
	}
	return key(tb, h.mail(tb, authcore.MailReset, strings.ToLower(email)))
}

// session opens a session for a user.
func (h *house) session(tb testing.TB, userID, id string) {
	tb.Helper()
	err := h.Stores.Sessions.CreateSession(tb.Context(), authcore.Session{
		ID: id, UserID: userID, Created: h.now, LastSeen: h.now, IdleUntil: h.now.Add(time.Hour), Until: h.now.Add(time.Hour),
	})
	if err != nil {
		tb.Fatal(err)
	}
}
