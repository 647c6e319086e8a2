package gateway

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/policy"
)

// adminRoutes answers every route below admin/ that there is, with the method, as it is asked for about somebody else.
func (o *office) adminRoutes() (all [][2]string) {
	for sub, to := range o.gateway.routes {
		if !strings.HasPrefix(sub, "admin/") {
			continue
		}
		path := strings.Replace(sub, "users/*", "users/"+o.otherID, 1)
		path = strings.ReplaceAll(path, "*", "x")
		for method, do := range map[string]serve{"GET": to.get, "POST": to.post, "PATCH": to.patch, "DELETE": to.delete} {
			if do != nil {
				all = append(all, [2]string{method, path})
			}
		}
	}
	slices.SortFunc(all, func(a, b [2]string) int { return strings.Compare(a[1]+a[0], b[1]+b[0]) })
	return all
}

// closed checks that a route lets nobody in: pages send who is signed out to sign in.
func (a answer) closed(status int, code string) {
	a.t.Helper()
	if status == http.StatusUnauthorized && a.Code == http.StatusFound && strings.HasPrefix(a.Header().Get("Location"), "/auth/sign-in?") {
		return
	}
	if a.Code != status || !strings.Contains(a.Body.String(), code) {
		a.t.Errorf("answered %d %s, want %d %s", a.Code, a.Body, status, code)
	}
}

// looks are routes of administration that change nothing although they are posted.
var looks = []string{"admin/explain"}

// Every route of administration that there is, whoever added it: nobody, who is none, a sign-in that is not fresh, and a
// page of another origin get nothing.
func TestNoRouteOfAdministrationIsLeftOpen(t *testing.T) {
	o := openOffice(t, passwordsOn)
	routes := o.adminRoutes()
	if len(routes) < 19 {
		t.Fatalf("only %d routes: %q", len(routes), routes)
	}
	cookie := o.signInCookie(o.boss)
	for _, one := range routes {
		method, sub := one[0], one[1]
		o.do(method, sub, `{}`).closed(401, "unauthenticated")
		o.do(method, sub, `{}`, o.asOther...).closed(403, "forbidden")
		if method != "GET" {
			o.do(method, sub, `{}`, append(slices.Clone(cookie), "Origin", "https://evil.example")...).refused(403, "cross_origin")
			o.do(method, sub, `{}`, append(slices.Clone(cookie), "Sec-Fetch-Site", "same-site")...).refused(403, "cross_origin")
		}
	}
	o.now = o.now.Add(o.realm.Fresh)
	for _, one := range routes {
		if one[0] != "GET" && !slices.Contains(looks, one[1]) {
			o.do(one[0], one[1], `{}`, cookie...).refused(401, "step_up_required")
		}
	}
}

// changesOfAdministrators are changes with bodies that they take.
func (o *office) changesOfAdministrators() [][3]string {
	user := "admin/users/" + o.otherID
	i, _ := o.invite(NewInvite{})
	credentials, err := o.store.Stores().Credentials.CredentialsOf(o.t.Context(), o.otherID)
	if err != nil || len(credentials) < 2 {
		o.t.Fatal(credentials, err)
	}
	return [][3]string{
		{"POST", "admin/invites", `{"roles":["admin"]}`},
		{"DELETE", "admin/invites/" + i.ID, ""},
		{"POST", user + "/recover", ""},
		{"POST", user + "/roles", `{"role":"admin"}`},
		{"POST", user + "/disable", ""},
		{"POST", user + "/unlock", ""},
		{"DELETE", user + "/sessions", ""},
		{"DELETE", user + "/tokens/" + o.newToken(o.asOther, "").ID, ""},
		{"DELETE", user + "/credentials/" + credentials[0].ID, ""},
		{"DELETE", user, ""},
	}
}

// An administrator sends a request whose body arrives byte by byte. Meanwhile the role is taken away, or the session ended,
// or the account disabled: what arrives at last must change nothing. The invite would be the way back in.
func TestChangesOfWhoIsNoAdministratorAnyMore(t *testing.T) {
	for name, take := range map[string]struct {
		from   func(o *office, u *authcore.User)
		status int
		code   string
	}{
		"role":    {func(_ *office, u *authcore.User) { u.Roles = nil }, 403, "forbidden"},
		"account": {func(_ *office, u *authcore.User) { u.Disabled = true }, 403, "forbidden"},
		"session": {func(o *office, u *authcore.User) {
			open, err := o.store.Stores().Sessions.SessionsOf(o.t.Context(), u.ID, o.now)
			if err != nil {
				o.t.Error(err)
			}
			for _, s := range open {
				if err := o.store.Stores().Sessions.EndSession(o.t.Context(), s.ID); err != nil {
					o.t.Error(err)
				}
			}
		}, 401, "unauthenticated"},
	} {
		t.Run(name, func(t *testing.T) {
			o := openOffice(t, passwordsOn)
			o.present(newSigner(5), "", o.asOther...).ok(new(signedInView)) // a second wallet, so that one can be removed
			mallory := newSigner(4)
			id := o.signInTokens(mallory).User.ID
			for i, change := range o.changesOfAdministrators() {
				u, err := o.store.Stores().Users.User(t.Context(), id)
				if err != nil {
					t.Fatal(err)
				}
				u.Roles, u.Disabled = []string{AdminRole}, false
				if err := o.store.Stores().Users.UpdateUser(t.Context(), u); err != nil {
					t.Fatal(err)
				}
				u.Version++
				o.now = o.now.Add(time.Second)
				as := o.signInTokens(mallory).bearer()
				done := false
				o.faults.before("Transact", func() error {
					if !done {
						done = true
						take.from(o, &u)
						if err := o.store.Stores().Users.UpdateUser(t.Context(), u); err != nil {
							t.Error(err)
						}
					}
					return nil
				})
				if a := o.do(change[0], change[1], change[2], as...); !done {
					t.Errorf("%d %q: nothing was asked: %d %s", i, change, a.Code, a.Body)
				} else if a.Code != take.status || !strings.Contains(a.Body.String(), take.code) {
					t.Errorf("%q: answered %d %s", change, a.Code, a.Body)
				}
				o.faults.repair()
			}
		})
	}
}

// An administrator by what the wallet has on a chain can change things as any other, and not once it is gone.
func TestAdministratorByChain(t *testing.T) {
	l := newLedger(t)
	boss := newSigner(7)
	l.set(boss, true)
	h := build(t, grantedBy(t, l, false), func(c *RealmConfig, _ *Site) { c.Grants[0].Role = AdminRole })
	as := h.signInTokens(boss).bearer()
	other := h.signInTokens(newSigner(8)).User.ID
	h.do("POST", "admin/invites", `{}`, as...).ok(new(any))
	h.do("POST", "admin/users/"+other+"/roles", `{"role":"editor"}`, as...).ok(new(any))
	l.set(boss, false)
	h.now = h.now.Add(10*time.Minute + time.Second)
	as = h.signInTokens(boss).bearer()
	h.do("POST", "admin/invites", `{}`, as...).refused(403, "forbidden")
}

// A rule lets alice in, who has no account yet. Whoever has one must not become her by asking for the name.
func TestUsernameOfARuleIsNotTaken(t *testing.T) {
	o := openOffice(t, func(_ *RealmConfig, s *Site) {
		s.Rules = []policy.Rule{{Users: []string{"Alice", "bob@example.com"}, Paths: []string{"/hers/*"}}, {SignedIn: true}}
	})
	for _, name := range []string{"alice", "ALICE", "\u212alice", "al\u0131ce"} {
		a := o.do("PATCH", "profile", fmt.Sprintf(`{"username":%q}`, name), o.asOther...)
		if a.Code == http.StatusOK && strings.Contains(a.Body.String(), `"alice"`) {
			t.Errorf("%q: %s", name, a.Body)
		}
	}
	o.now = o.now.Add(2 * time.Second)
	as := o.signInTokens(o.other).bearer()
	o.do("PATCH", "profile", `{"username":"alice"}`, as...).refused(409, "username_taken")
	if got := o.reaches("/hers/x", o.signInTokens(o.other).bearer()); got != http.StatusForbidden {
		t.Errorf("answered %d", got)
	}
	o.do("PATCH", "profile", `{"username":"alicia"}`, as...).ok(new(any))
}

// Usernames are never given again: one account asks for all of a dictionary, one after the other.
func TestUsernamesAreNotHoarded(t *testing.T) {
	o := openOffice(t)
	for i := range usernamesPerUser {
		o.now = o.now.Add(2 * time.Second)
		o.do("PATCH", "profile", fmt.Sprintf(`{"username":"name-%d"}`, i), o.signInTokens(o.other).bearer()...).ok(new(any))
	}
	o.now = o.now.Add(2 * time.Second)
	as := o.signInTokens(o.other).bearer()
	if o.do("PATCH", "profile", `{"username":"one-more"}`, as...).refused(429, "too_many_requests").Header().Get("Retry-After") == "" {
		t.Error("not told for how long")
	}
	o.do("PATCH", "profile", `{"name":"One More"}`, as...).ok(new(any))
}
