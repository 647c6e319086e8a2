package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/passkey/passkeytest"
)

// logged answers the events of these kinds, or all, the oldest first, as "kind code".
func (h *house) logged(kinds ...authcore.EventKind) []string {
	h.t.Helper()
	if _, err := h.realm.Seal(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
	all := []string{}
	for _, e := range h.events(authcore.EventQuery{Kinds: kinds, Limit: 1000}) {
		all = append(all, strings.TrimSpace(string(e.Kind)+" "+e.Code))
	}
	return all
}

// events answers those of a query, the oldest first.
func (h *house) events(q authcore.EventQuery) []authcore.Event {
	h.t.Helper()
	all, err := h.realm.Events(h.t.Context(), q)
	if err != nil {
		h.t.Fatal(err)
	}
	slices.Reverse(all)
	return all
}

// accounts tells everything of all accounts that the audit log tells changes of.
func (h *house) accounts() string {
	h.t.Helper()
	ctx, s := h.t.Context(), h.store.Stores()
	page, err := s.Directory.FindUsers(ctx, authcore.UserQuery{Limit: 1000})
	if err != nil {
		h.t.Fatal(err)
	}
	var b strings.Builder
	for _, u := range page.Users {
		fmt.Fprintln(&b, u.ID, u.Username, u.Email, u.Roles, u.Disabled)
		credentials, err := s.Credentials.CredentialsOf(ctx, u.ID)
		if err != nil {
			h.t.Fatal(err)
		}
		for _, c := range credentials {
			fmt.Fprint(&b, c.Kind, c.Key)
			if c.Kind == authcore.Password {
				fmt.Fprintf(&b, "%s", c.Data)
			}
		}
		sessions, err := s.Sessions.SessionsOf(ctx, u.ID, h.now)
		if err != nil {
			h.t.Fatal(err)
		}
		for _, session := range sessions {
			fmt.Fprintln(&b, session.ID, session.Methods)
		}
	}
	keys, err := s.Keys.Keys(ctx)
	if err != nil {
		h.t.Fatal(err)
	}
	mails, _, err := s.Outbox.MailWaiting(ctx)
	if err != nil {
		h.t.Fatal(err)
	}
	fmt.Fprintln(&b, len(keys), mails)
	return b.String()
}

// Every change and its event happen together or not at all: where the event cannot be written, the change does not happen,
// and where the change cannot be made, no event tells of it.
func TestNothingHappensUnseen(t *testing.T) {
	signIn := func(h *house) func() answer {
		h.signInTokens(newSigner(1))
		body := solution(newSigner(1), h.challenge(newSigner(1)), "")
		return func() answer { return h.do("POST", "challenge/sign", body) }
	}
	for name, one := range map[string]struct {
		prepare func(h *house) func() answer // what it answers makes the change, once
		changes string                       // the method of the store that does
		status  int                          // of the answer where the change is made
		want    []string                     // events
	}{
		"challenge/sign": {signIn, "CreateSession", 200, []string{"sign_in wallet"}},
		"challenge/sign, new account": {func(h *house) func() answer {
			body := solution(newSigner(2), h.challenge(newSigner(2)), "")
			return func() answer { return h.do("POST", "challenge/sign", body) }
		}, "CreateUser", 200, []string{"user_created wallet", "sign_in wallet"}},
		"challenge/sign, linking": {func(h *house) func() answer {
			me := h.signInTokens(newSigner(1)).bearer()
			body := solution(newSigner(2), h.challenge(newSigner(2), me...), "")
			return func() answer { return h.do("POST", "challenge/sign", body, me...) }
		}, "AddCredential", 200, []string{"method_added wallet", "sign_in wallet"}},
		"step-up/challenge/sign": {func(h *house) func() answer {
			me := h.signInTokens(newSigner(1)).bearer()
			var asked struct{ ChallengeMessage string }
			h.do("POST", "step-up/challenge/create", fmt.Sprintf(`{"address":%q}`, newSigner(1).address()), me...).ok(&asked)
			body := solution(newSigner(1), asked.ChallengeMessage, "")
			return func() answer { return h.do("POST", "step-up/challenge/sign", body, me...) }
		}, "UpdateSession", 200, []string{"step_up wallet"}},
		"registration/response": {func(h *house) func() answer {
			var a passkeytest.Authenticator
			body := h.created(&a, h.begin("registration/request", `{"username":"carol"}`), "")
			return func() answer { return h.do("POST", "registration/response", body) }
		}, "CreateUser", 200, []string{"user_created passkey", "sign_in passkey"}},
		"registration/response, signed in": {func(h *house) func() answer {
			var a passkeytest.Authenticator
			me := h.signInTokens(newSigner(1)).bearer()
			body := h.created(&a, h.begin("registration/request", `{}`, me...), "")
			return func() answer { return h.do("POST", "registration/response", body, me...) }
		}, "AddCredential", 200, []string{"method_added passkey"}},
		"authentication/response": {func(h *house) func() answer {
			var a passkeytest.Authenticator
			h.newcomer(&a, "carol")
			body := h.asserted(&a, h.begin("authentication/request", `{}`), "")
			return func() answer { return h.do("POST", "authentication/response", body) }
		}, "CreateSession", 200, []string{"sign_in passkey"}},
		"sign-out": {func(h *house) func() answer {
			me := h.signInTokens(newSigner(1)).bearer()
			return func() answer { return h.do("POST", "sign-out", "", me...) }
		}, "EndSession", 204, []string{"sign_out"}},
		"password/activate": {func(h *house) func() answer {
			key := h.asked(alice, alicesPassword)
			return func() answer { return h.do("POST", "password/activate", fmt.Sprintf(`{"key":%q}`, key)) }
		}, "CreateUser", 200, []string{"user_created password", "sign_in password"}},
		"password/sign-in": {func(h *house) func() answer {
			h.person(alice, alicesPassword)
			return func() answer { return h.knock(alice, alicesPassword, "") }
		}, "CreateSession", 200, []string{"sign_in password"}},
		"password/sign-in, once too often": {func(h *house) func() answer {
			h.person(alice, alicesPassword)
			for range 4 {
				h.knock(alice, bobsPassword, "")
			}
			return func() answer { return h.knock(alice, bobsPassword, "") }
		}, "AddMail", 401, []string{"suspended", "sign_in_refused suspended"}},
		"password/reset": {func(h *house) func() answer {
			h.person(alice, alicesPassword)
			key := h.forgot(alice)
			return func() answer { return h.reset(key, newPassword, "") }
		}, "AddMail", 200, []string{"password_changed reset", "sign_in password"}},
		"password/change": {func(h *house) func() answer {
			me := h.person(alice, alicesPassword).bearer()
			return func() answer {
				return h.do("POST", "password/change", fmt.Sprintf(`{"password":%q}`, newPassword), me...)
			}
		}, "AddMail", 204, []string{"password_changed change"}},
		"email/confirm": {func(h *house) func() answer {
			me := h.person(alice, alicesPassword).bearer()
			h.do("POST", "email/request", fmt.Sprintf(`{"email":%q}`, bob), me...).accepted()
			key := keyOf(h.mail(authcore.MailConfirmEmail, bob))
			return func() answer { return h.do("POST", "email/confirm", fmt.Sprintf(`{"key":%q}`, key), me...) }
		}, "AddMail", 200, []string{"email_changed"}},
		"DELETE credentials/{id}": {func(h *house) func() answer {
			var a passkeytest.Authenticator
			me := h.signInTokens(newSigner(1)).bearer()
			h.register(&a, `{}`, "", me...).ok(new(map[string]any))
			id := h.idOf(authcore.Passkey, me...)
			return func() answer { return h.do("DELETE", "credentials/"+id, "", me...) }
		}, "Transact", 204, []string{"method_removed passkey"}},
	} {
		t.Run(name, func(t *testing.T) {
			everything := func() *house { return build(t, passkeysOn, passwordsOn) }
			for _, broken := range []string{"AddEvent", one.changes} {
				h := everything()
				do := one.prepare(h)
				before, log := h.accounts(), h.logged()
				h.faults.breakDown(broken)
				do().refused(503, "unavailable")
				h.faults.repair()
				if after := h.accounts(); after != before {
					t.Errorf("%s is down, and yet:\n%s\nwas\n%s", broken, after, before)
				}
				if after := h.logged(); !slices.Equal(after, log) {
					t.Errorf("%s is down, and yet the log has %q, had %q", broken, after, log)
				}
			}
			h := everything()
			do := one.prepare(h)
			before := len(h.logged())
			if a := do(); a.Code != one.status {
				t.Fatalf("answered %d %s", a.Code, a.Body)
			}
			if got := h.logged()[before:]; !slices.Equal(got, one.want) {
				t.Errorf("the log has %q, want %q", got, one.want)
			}
		})
	}
}

// A key that was due is made together with its event, or not at all.
func TestKeyIsMadeInSight(t *testing.T) {
	h := build(t)
	h.faults.breakDown("AddEvent")
	if err := h.realm.keys.Refresh(t.Context()); !errors.Is(err, authcore.ErrUnavailable) {
		t.Fatalf("got error %v", err)
	}
	if keys, err := h.store.Keys(t.Context()); err != nil || len(keys) != 0 {
		t.Fatalf("%d keys: %v", len(keys), err)
	}
	h.faults.repair()
	h.now = h.now.Add(time.Minute)
	if err := h.realm.keys.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := h.logged(); !slices.Equal(got, []string{"key_rotated first"}) {
		t.Errorf("the log has %q", got)
	}
}

func TestEventTellsWhoFromWhereAndThroughWhat(t *testing.T) {
	h := build(t)
	me := h.signInTokens(newSigner(1))
	h.do("POST", "sign-out", "", append(me.bearer(), "User-Agent", "Browser\t<b>")...)
	e := h.events(authcore.EventQuery{Kinds: []authcore.EventKind{authcore.EventSignOut}})[0]
	in := h.events(authcore.EventQuery{Kinds: []authcore.EventKind{authcore.EventSignIn}})[0]
	want := authcore.Trace{Actor: me.User.ID, SessionID: in.SessionID, Origin: home, Client: "192.0.2.1", UserAgent: "Browser<b>"}
	if e.Trace != want || e.Subject != me.User.ID || in.SessionID == "" {
		t.Errorf("%+v, want %+v", e.Trace, want)
	}
}

// A thief uses a refresh token that its owner has used since: the session ends, and the log says why.
func TestStolenRefreshTokenIsInTheLog(t *testing.T) {
	h := build(t)
	me := h.signInTokens(newSigner(1))
	body := fmt.Sprintf(`{"refresh_token":%q}`, me.RefreshToken)
	h.do("POST", "token/refresh", body).ok(new(map[string]any))
	h.now = h.now.Add(time.Minute)
	h.do("POST", "token/refresh", body).refused(401, "invalid_grant")
	if got := h.logged(authcore.EventSessionEnded); !slices.Equal(got, []string{"session_ended refresh_token_reused"}) {
		t.Errorf("the log has %q", got)
	}
}

// Whoever floods the sign-in fills neither the store nor the log: see refusalsPerClient.
func TestFloodOfRefusalsIsCounted(t *testing.T) {
	h := build(t, passwordsOn, func(c *RealmConfig, _ *Site) { c.RateLimit.Off = true })
	h.person(alice, alicesPassword)
	before := len(h.logged())
	for i := range 30 {
		h.knock(fmt.Sprintf("nobody%d@example.com", i), alicesPassword, "")
	}
	for range 4 {
		h.knock(alice, bobsPassword, "")
	}
	if got := h.logged()[before:]; len(got) != refusalsPerClient {
		t.Fatalf("the log has %q", got)
	}
	h.now = h.now.Add(refusalWindow)
	for range 3 { // each with the same words about the same account
		h.knock(alice, alicesPassword+"!", "")
	}
	h.now = h.now.Add(refusalWindow)
	h.logged()
	all := h.events(authcore.EventQuery{Kinds: []authcore.EventKind{authcore.EventSignInRefused}})[refusalsPerClient:]
	var got []string
	for _, e := range all {
		got = append(got, e.Code+": "+e.Detail)
	}
	want := []string{"many: 24 more within a minute", "suspended: password", "suspended: password, 2 more within a minute"}
	if !slices.Equal(got, want) {
		t.Errorf("the log has %q, want %q", got, want)
	}
	if last := all[len(all)-1]; last.Subject == "" || last.Client != "192.0.2.1" {
		t.Errorf("%+v", last)
	}
}

// An address that nobody has makes as much work, and as many events, as one with an account.
func TestRefusalsOfUnknownAddressesAreWrittenAlike(t *testing.T) {
	h := build(t, passwordsOn)
	h.person(alice, alicesPassword)
	before := len(h.logged())
	for range 6 {
		h.knock(alice, bobsPassword, "")
	}
	known := h.logged()[before:]
	for range 6 {
		h.knock("nobody@example.com", bobsPassword, "")
	}
	unknown := h.logged()[before+len(known):]
	if len(known) != len(unknown) || len(known) != 3 {
		t.Errorf("%q for a known address, %q for an unknown one", known, unknown)
	}
}

func TestOwnEvents(t *testing.T) {
	h := build(t)
	me, other := h.signInTokens(newSigner(1)), h.signInTokens(newSigner(2))
	err := h.realm.note(t.Context(), h.store.Stores(), authcore.EventRoleGranted, "editor", me.User.ID,
		authcore.Trace{Actor: other.User.ID, Client: "203.0.113.9", UserAgent: "of the administrator"}, "secret words")
	if err != nil {
		t.Fatal(err)
	}
	var v struct {
		Events []ownEventView
		Next   string
	}
	a := h.do("GET", "events?limit=2", "", me.bearer()...).ok(&v)
	if len(v.Events) != 2 || v.Events[0].Kind != "role_granted" || v.Events[0].By != "administrator" || v.Next == "" {
		t.Fatalf("%s", a.Body)
	}
	for _, not := range []string{other.User.ID, "203.0.113.9", "of the administrator", "secret words"} {
		if strings.Contains(a.Body.String(), not) {
			t.Errorf("%q is told: %s", not, a.Body)
		}
	}
	h.do("GET", "events?before="+v.Next, "", me.bearer()...).ok(&v)
	if len(v.Events) != 1 || v.Events[0].Kind != "user_created" || v.Events[0].By != "self" || v.Next != "" {
		t.Errorf("%+v", v)
	}
	h.do("GET", "events?user="+other.User.ID, "", me.bearer()...).ok(&v)
	for _, e := range v.Events {
		if e.Subject != me.User.ID {
			t.Errorf("somebody else's: %+v", e)
		}
	}
	h.do("GET", "events", "").refused(401, "unauthenticated")
	h.do("GET", "admin/events", "", me.bearer()...).refused(403, "forbidden")
	for _, q := range []string{"since=yesterday", "before=0", "before=x", "limit=0", "limit=501", "until=1"} {
		h.do("GET", "events?"+q, "", me.bearer()...).refused(400, "invalid_request")
	}
}

func TestAdministratorsSeeEvents(t *testing.T) {
	h := build(t, func(c *RealmConfig, _ *Site) { c.Grants = []Grant{{AdminRole, []string{newSigner(9).address()}}} })
	boss, me := h.signInTokens(newSigner(9)).bearer(), h.signInTokens(newSigner(1))
	var v struct{ Events []eventView }
	h.do("GET", "admin/events?kind=sign_in&kind=sign_out&user="+me.User.ID+"&client=192.0.2.1&since=2020-01-01T00:00:00Z", "", boss...).ok(&v)
	if len(v.Events) != 1 || v.Events[0].Kind != "sign_in" || v.Events[0].Actor != me.User.ID || len(v.Events[0].Hash) != 64 {
		t.Fatalf("%+v", v)
	}
	h.do("GET", "admin/users/"+me.User.ID+"/events", "", boss...).ok(&v)
	if len(v.Events) != 2 {
		t.Errorf("%+v", v)
	}
	if r, err := h.realm.VerifyEvents(context.Background(), nil); err != nil || r.Broken != 0 || r.Count < 4 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestOldEventsAreDeleted(t *testing.T) {
	h := build(t, func(c *RealmConfig, _ *Site) { c.KeepEvents = 48 * time.Hour })
	h.signInTokens(newSigner(1))
	h.logged()
	h.now = h.now.Add(47 * time.Hour)
	h.signInTokens(newSigner(1))
	n := len(h.logged())
	h.now = h.now.Add(2 * time.Hour)
	if err := h.realm.Clean(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left := h.logged(authcore.EventSignIn); len(left) != 1 || n < 3 {
		t.Errorf("%q", left)
	}
	if r, err := h.realm.VerifyEvents(t.Context(), nil); err != nil || r.Broken != 0 || r.Anchor.Number == 0 {
		t.Errorf("%+v, %v", r, err)
	}
}

func FuzzEventQuery(f *testing.F) {
	f.Add("user=a&kind=sign_in&since=2026-01-01T00:00:00Z&before=5&limit=10")
	f.Add("kind=&kind=x&until=2026-13-01T00:00:00Z")
	f.Add("limit=-1&before=99999999999999999999")
	f.Fuzz(func(t *testing.T, query string) {
		u := httptest.NewRequest("GET", "/", nil).URL
		u.RawQuery = query
		q, err := readEventQuery(u.Query())
		if err == nil && (q.Limit < 1 || q.Limit > maxEvents || q.Before < 0 || len(q.Kinds) > 50) {
			t.Fatalf("%+v", q)
		}
	})
}
