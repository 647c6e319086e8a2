package gateway

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/passkey/passkeytest"
)

var operator = authcore.Trace{Actor: authcore.Operator}

// invite makes an invite as the operator does, and answers its key.
func (h *house) invite(n NewInvite) (authcore.Invite, string) {
	h.t.Helper()
	var err error
	if n.Base, err = h.realm.Base(""); err != nil {
		h.t.Fatal(err)
	}
	i, link, err := h.realm.CreateInvite(h.t.Context(), operator, n)
	if err != nil {
		h.t.Fatal(err)
	}
	key, ok := strings.CutPrefix(link, home+"/auth/invite#")
	if !ok || len(key) != 32 {
		h.t.Fatalf("link %q", link)
	}
	return i, key
}

// used answers how often an invite was used.
func (h *house) used(key string) int {
	h.t.Helper()
	i, err := h.store.Stores().Invites.Invite(h.t.Context(), authcore.HashSecret(key))
	if err != nil {
		h.t.Fatal(err)
	}
	return i.Used
}

// come signs in with a wallet and an invite.
func (h *house) come(s signer, invite string) answer {
	h.t.Helper()
	m := h.challenge(s)
	return h.do("POST", "challenge/sign", fmt.Sprintf(`{"challenge":%q,"signature":%q,"invite":%q}`, m, s.sign(m), invite))
}

func TestInvitedWithAWallet(t *testing.T) {
	h := build(t, invited)
	_, key := h.invite(NewInvite{Roles: []string{"admin", "editor", "admin"}})
	s := newSigner(1)
	h.come(s, "").refused(403, "registration_closed")
	h.come(s, "guess").refused(404, "invite_not_found")
	var v signedInView
	h.come(s, key).ok(&v)
	if !slices.Equal(v.User.Roles, []string{"admin", "editor"}) || h.used(key) != 1 {
		t.Errorf("%+v, used %d", v.User, h.used(key))
	}
	h.come(newSigner(2), key).refused(412, "invite_expired")
	// Who has an account signs in, whatever invite comes along, and uses none.
	_, other := h.invite(NewInvite{})
	for _, invite := range []string{key, other, "guess"} {
		h.come(s, invite).ok(&v)
	}
	if h.used(other) != 0 {
		t.Error("a use was counted for somebody who has an account")
	}
}

func TestInvitedWithAPasskey(t *testing.T) {
	h := build(t, invited, passkeysOn)
	_, key := h.invite(NewInvite{Roles: []string{"editor"}})
	a := new(passkeytest.Authenticator)
	h.do("POST", "registration/request", `{}`).refused(403, "registration_closed")
	h.do("POST", "registration/request", `{"invite":"guess"}`).refused(404, "invite_not_found")
	first, second := h.begin("registration/request", fmt.Sprintf(`{"invite":%q}`, key)), h.begin("registration/request", fmt.Sprintf(`{"invite":%q}`, key))
	if h.used(key) != 0 {
		t.Error("asking used it")
	}
	var v signedInView
	h.do("POST", "registration/response", h.created(a, first, "")).ok(&v)
	if !slices.Equal(v.User.Roles, []string{"editor"}) || h.used(key) != 1 {
		t.Errorf("%+v, used %d", v.User, h.used(key))
	}
	// Somebody else has begun with it, too, and is too late.
	h.do("POST", "registration/response", h.created(new(passkeytest.Authenticator), second, "")).refused(412, "invite_expired")
	h.do("POST", "registration/request", fmt.Sprintf(`{"invite":%q}`, key)).refused(412, "invite_expired")
}

func TestInvitedWithAPassword(t *testing.T) {
	h := build(t, passwordsOn, invited)
	_, key := h.invite(NewInvite{Roles: []string{"editor"}})
	body := func(invite string) string {
		return fmt.Sprintf(`{"email":%q,"password":%q,"invite":%q}`, alice, alicesPassword, invite)
	}
	h.do("POST", "password/register", body("guess")).refused(404, "invite_not_found")
	h.do("POST", "password/register", body(key)).accepted()
	m := h.mail(authcore.MailConfirm, alice)
	if h.used(key) != 0 {
		t.Error("registering used it")
	}
	var v signedInView
	h.do("POST", "password/activate", fmt.Sprintf(`{"key":%q}`, keyOf(m))).ok(&v)
	if !slices.Equal(v.User.Roles, []string{"editor"}) || h.used(key) != 1 {
		t.Errorf("%+v, used %d", v.User, h.used(key))
	}
	h.do("POST", "password/register", body(key)).refused(412, "invite_expired")
}

// Two people open the same link at the same moment: one account is opened.
func TestRacingUsesOfAnInvite(t *testing.T) {
	h := build(t, invited)
	for round := range 5 {
		_, key := h.invite(NewInvite{})
		const many = 8
		bodies, answers := make([]*http.Request, many), make([]answer, many)
		for i := range many {
			s := newSigner(byte(1 + round*many + i))
			h.now = h.now.Add(5 * time.Second) // of the rate limit
			m := h.challenge(s)
			bodies[i] = h.request("POST", "challenge/sign", fmt.Sprintf(`{"challenge":%q,"signature":%q,"invite":%q}`, m, s.sign(m), key))
		}
		var all sync.WaitGroup
		for i := range many {
			all.Go(func() { answers[i] = h.serveAsIs(bodies[i]) })
		}
		all.Wait()
		won := 0
		for _, a := range answers {
			if a.Code == http.StatusOK {
				won++
			} else {
				a.refused(412, "invite_expired")
			}
		}
		if won != 1 || h.used(key) != 1 {
			t.Fatalf("%d came in, used %d", won, h.used(key))
		}
	}
}

// What an invite may be, and where its link leads.
func TestCreateInvite(t *testing.T) {
	h := build(t, invited)
	i, _ := h.invite(NewInvite{Note: "for Bob\x00\nand Carol"})
	if i.Uses != 1 || !i.Expires.Equal(h.now.Add(24*time.Hour)) || i.By != authcore.Operator || strings.ContainsAny(i.Note, "\x00\n") || len(i.Roles) != 0 {
		t.Errorf("%+v", i)
	}
	for name, n := range map[string]NewInvite{
		"a role with a space": {Roles: []string{"a b"}}, "a role that is none": {Roles: []string{""}}, "no uses": {Uses: -1},
		"too many uses": {Uses: 10001}, "over at once": {Expires: time.Second}, "over before": {Expires: -time.Hour}, "without end": {Expires: 366 * 24 * time.Hour},
	} {
		if _, link, err := h.realm.CreateInvite(t.Context(), operator, n); !errors.Is(err, ErrInvalidInvite) || link != "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := h.realm.Base("https://other.example.com"); !errors.Is(err, ErrWhichSite) || !strings.Contains(err.Error(), home) {
		t.Error(err)
	}
	h.neighbour(Site{Origin: "https://other.example.com", Path: "/door"})
	if _, err := h.realm.Base(""); !errors.Is(err, ErrWhichSite) || !strings.Contains(err.Error(), home) {
		t.Error(err)
	}
	for _, typed := range []string{"https://other.example.com", "https://Other.Example.com/", "https://other.example.com:443", "HTTPS://other.example.com"} {
		if base, err := h.realm.Base(typed); err != nil || base != "https://other.example.com/door" {
			t.Error(typed, base, err)
		}
	}
}

func TestCheckInvite(t *testing.T) {
	h := build(t, invited)
	_, key := h.invite(NewInvite{Roles: []string{"editor"}, Note: "for nobody else to read"})
	for range 2 {
		a := h.do("POST", "invite/check", fmt.Sprintf(`{"invite":%q}`, key))
		if got := strings.TrimSpace(a.Body.String()); a.Code != 200 || got != `{"roles":["editor"],"expires":"2026-11-22T12:00:00Z"}` {
			t.Errorf("%d %s", a.Code, got)
		}
	}
	if h.used(key) != 0 {
		t.Error("looking used it")
	}
	h.do("POST", "invite/check", `{"invite":"guess"}`).refused(404, "invite_not_found")
	h.now = h.now.Add(24 * time.Hour)
	h.do("POST", "invite/check", fmt.Sprintf(`{"invite":%q}`, key)).refused(412, "invite_expired")
	h.come(newSigner(1), key).refused(412, "invite_expired")
}

// Guessing keys of invites costs what guessing anything costs.
func TestGuessingInvitesIsLimited(t *testing.T) {
	h := build(t, invited, func(c *RealmConfig, _ *Site) { c.RateLimit = RateLimit{Count: 3} })
	for range 3 {
		h.do("POST", "invite/check", `{"invite":"guess"}`).refused(404, "invite_not_found")
	}
	h.do("POST", "invite/check", `{"invite":"guess"}`).refused(429, "too_many_requests")
	h.do("POST", "recover/check", `{"key":"guess"}`).refused(429, "too_many_requests")
}

func TestAdministratorsInvite(t *testing.T) {
	h := build(t, invited)
	_, key := h.invite(NewInvite{Roles: []string{AdminRole}})
	var admin, guest signedInView
	h.come(newSigner(1), key).ok(&admin)
	var made struct {
		Invite inviteView
		Link   string
	}
	h.now = h.now.Add(time.Second)
	h.do("POST", "admin/invites", `{"roles":["editor"],"uses":2,"expires_in":3600,"note":"the team"}`, admin.bearer()...).ok(&made)
	_, key, _ = strings.Cut(made.Link, "#")
	if made.Link != home+"/auth/invite#"+key || made.Invite.By != admin.User.ID || made.Invite.Uses != 2 || !made.Invite.Live || made.Invite.Note != "the team" ||
		made.Invite.Expires != "2026-11-21T13:00:01Z" {
		t.Errorf("%+v", made)
	}
	h.come(newSigner(2), key).ok(&guest)
	if !slices.Equal(guest.User.Roles, []string{"editor"}) {
		t.Errorf("%+v", guest.User)
	}
	var by struct{ By string }
	h.do("POST", "invite/check", fmt.Sprintf(`{"invite":%q}`, key)).ok(&by)
	if by.By != admin.User.Username {
		t.Errorf("invited by %q", by.By)
	}
	var list struct{ Invites []inviteView }
	a := h.do("GET", "admin/invites", "", admin.bearer()...).ok(&list)
	if len(list.Invites) != 2 || list.Invites[0].Used != 1 || !list.Invites[0].Live || list.Invites[1].Live || strings.Contains(a.Body.String(), key) {
		t.Errorf("%s", a.Body)
	}
	for _, body := range []string{`{"roles":["a b"]}`, `{"uses":10001}`, `{"uses":99999999999999999999}`, `{"expires_in":1}`, `{"roles":"editor"}`, `{"roles":[1]}`} {
		if a := h.do("POST", "admin/invites", body, admin.bearer()...); a.Code != 400 {
			t.Errorf("%s: %d %s", body, a.Code, a.Body)
		}
	}
	h.do("DELETE", "admin/invites/"+made.Invite.ID, "", guest.bearer()...).refused(403, "forbidden")
	h.do("POST", "admin/invites", `{}`, guest.bearer()...).refused(403, "forbidden")
	h.do("GET", "admin/invites", "", guest.bearer()...).refused(403, "forbidden")
	h.do("POST", "admin/users/"+guest.User.ID+"/recover", "", guest.bearer()...).refused(403, "forbidden")
	h.do("POST", "admin/invites", `{}`).refused(401, "unauthenticated")
	h.do("DELETE", "admin/invites/"+made.Invite.ID, "", admin.bearer()...).done()
	h.do("DELETE", "admin/invites/"+made.Invite.ID, "", admin.bearer()...).refused(404, "invite_not_found")
	h.come(newSigner(3), key).refused(404, "invite_not_found")
	h.now = h.now.Add(5*time.Minute - 2*time.Second)
	h.do("POST", "admin/invites", `{}`, admin.bearer()...).ok(&made)
	h.now = h.now.Add(time.Second)
	h.refresh(admin.RefreshToken).ok(&admin)
	h.do("POST", "admin/invites", `{}`, admin.bearer()...).refused(401, "step_up_required")
}
