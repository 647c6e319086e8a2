package passkey

import (
	"context"
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/passkey/passkeytest"
	"github.com/caddy-authgate/authgate/authcore/store/memstore"
)

const origin = "https://app.example.com"

// house is a relying party with its stores.
type house struct {
	Ceremonies
	store *memstore.Store
	now   time.Time
	users int
}

func newHouse(tb testing.TB) *house {
	tb.Helper()
	h := &house{store: memstore.New(), now: time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)}
	h.Ceremonies = Ceremonies{
		Challenges:  h.store.ChallengeStores().Challenges,
		Credentials: h.store,
		Now:         func() time.Time { return h.now },
		Secret:      func(context.Context) ([]byte, error) { return []byte("a secret of the installation"), nil },
	}
	return h
}

func (h *house) beginRegistration(tb testing.TB, r Registering) Begun {
	tb.Helper()
	if r.Origin == "" {
		r.Origin = origin
	}
	begun, err := h.BeginRegistration(tb.Context(), r)
	if err != nil {
		tb.Fatal(err)
	}
	return begun
}

// create has a make the passkey that was asked for.
func create(tb testing.TB, a *passkeytest.Authenticator, begun Begun) []byte {
	tb.Helper()
	response, err := a.Create(begun.Options, origin)
	if err != nil {
		tb.Fatal(err)
	}
	return response
}

// register tries to make a new account with a passkey of a.
func (h *house) register(tb testing.TB, a *passkeytest.Authenticator) (Registered, error) {
	tb.Helper()
	h.users++
	begun := h.beginRegistration(tb, Registering{UserID: "user-" + string(rune('a'-1+h.users)), Username: "alice", New: true})
	return h.FinishRegistration(tb.Context(), Registration{
		Origin: origin, ChallengeID: begun.ChallengeID, Response: create(tb, a, begun), Name: "laptop",
	})
}

// account makes a new account with a passkey of a, and stores it.
func (h *house) account(tb testing.TB, a *passkeytest.Authenticator) authcore.Credential {
	tb.Helper()
	done, err := h.register(tb, a)
	if err != nil {
		tb.Fatal(err)
	}
	return h.keepAccount(tb, done)
}

func (h *house) keepAccount(tb testing.TB, done Registered) authcore.Credential {
	tb.Helper()
	c := done.Credential
	c.ID = "credential-" + done.UserID
	err := h.store.CreateUser(tb.Context(), authcore.User{ID: done.UserID, Username: done.UserID}, c)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

func (h *house) beginAuthentication(tb testing.TB, a Authenticating) Begun {
	tb.Helper()
	if a.Origin == "" {
		a.Origin = origin
	}
	begun, err := h.BeginAuthentication(tb.Context(), a)
	if err != nil {
		tb.Fatal(err)
	}
	return begun
}

func get(tb testing.TB, a *passkeytest.Authenticator, begun Begun) []byte {
	tb.Helper()
	response, err := a.Get(begun.Options, origin)
	if err != nil {
		tb.Fatal(err)
	}
	return response
}

// signIn tries to sign in with the newest passkey of a.
func (h *house) signIn(tb testing.TB, a *passkeytest.Authenticator) (Authenticated, error) {
	tb.Helper()
	begun := h.beginAuthentication(tb, Authenticating{})
	return h.finish(tb, begun, get(tb, a, begun))
}

func (h *house) finish(tb testing.TB, begun Begun, response []byte) (Authenticated, error) {
	tb.Helper()
	return h.FinishAuthentication(tb.Context(), Authentication{Origin: origin, ChallengeID: begun.ChallengeID, Response: response})
}

// record reads what is stored of a passkey now.
func (h *house) record(tb testing.TB, c authcore.Credential) Record {
	tb.Helper()
	stored, err := h.store.CredentialByKey(tb.Context(), authcore.Passkey, c.Key)
	if err != nil {
		tb.Fatal(err)
	}
	r, err := ReadRecord(stored)
	if err != nil {
		tb.Fatal(err)
	}
	return r
}
