package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/policy"
)

// office is a site with an administrator by configuration and somebody else.
type office struct {
	*house
	boss, other     signer
	asBoss, asOther []string
	bossID, otherID string
}

func openOffice(t *testing.T, change ...func(*RealmConfig, *Site)) *office {
	t.Helper()
	o := &office{boss: newSigner(1), other: newSigner(2)}
	change = append([]func(*RealmConfig, *Site){func(c *RealmConfig, s *Site) {
		c.Grants = []Grant{{Role: AdminRole, To: []string{o.boss.address()}}}
		s.Rules = []policy.Rule{{Roles: []string{"editor"}, Paths: []string{"/edit/*"}}, {SignedIn: true}}
	}}, change...)
	o.house = build(t, change...)
	boss, other := o.signInTokens(o.boss), o.signInTokens(o.other)
	o.asBoss, o.asOther = boss.bearer(), other.bearer()
	o.bossID, o.otherID = boss.User.ID, other.User.ID
	return o
}

// events answers the kinds and codes of what was written about a user.
func (o *office) events(userID string) (told []string) {
	o.t.Helper()
	all, err := o.realm.Events(o.t.Context(), authcore.EventQuery{Subject: userID})
	if err != nil {
		o.t.Fatal(err)
	}
	for _, e := range slices.Backward(all) {
		if e.Subject == userID {
			told = append(told, strings.TrimSpace(string(e.Kind)+" "+e.Code)+" by "+e.Actor)
		}
	}
	return told
}

// wrote checks that an event was written, once; the clock of the house stands, so that there is no order.
func (o *office) wrote(userID, want string) {
	o.t.Helper()
	all := o.events(userID)
	if n := len(slices.DeleteFunc(slices.Clone(all), func(s string) bool { return s != want })); n != 1 {
		o.t.Errorf("%q was written %d times: %q", want, n, all)
	}
}

// reaches reports whether a request to a path of the backend passes.
func (o *office) reaches(path string, headers []string) int {
	r := o.request("GET", "", "", headers...)
	r.URL.Path = path
	return o.serve(r).Code
}

// Every route of administration, and who must not get through it.
var administration = []struct{ method, sub, body string }{
	{"GET", "admin/roles", ""},
	{"GET", "admin/users", ""},
	{"GET", "admin/users/OTHER", ""},
	{"DELETE", "admin/users/OTHER", ""},
	{"POST", "admin/users/OTHER/roles", `{"role":"editor"}`},
	{"DELETE", "admin/users/OTHER/roles/editor", ""},
	{"POST", "admin/users/OTHER/disable", ""},
	{"POST", "admin/users/OTHER/enable", ""},
	{"POST", "admin/users/OTHER/unlock", ""},
	{"DELETE", "admin/users/OTHER/sessions", ""},
	{"DELETE", "admin/users/OTHER/sessions/x", ""},
	{"DELETE", "admin/users/OTHER/tokens/x", ""},
	{"DELETE", "admin/users/OTHER/credentials/x", ""},
}

func (o *office) administer(headers []string, want func(change bool) (int, string)) {
	o.t.Helper()
	for _, route := range administration {
		status, code := want(route.method != "GET")
		if status == 0 {
			continue
		}
		o.do(route.method, strings.Replace(route.sub, "OTHER", o.otherID, 1), route.body, headers...).refused(status, code)
	}
}

func always(status int, code string) func(bool) (int, string) {
	return func(bool) (int, string) { return status, code }
}

// The table above is all there is: a route that is added and not tried here would be the one without a guard.
func TestEveryRouteOfAdministrationIsGuarded(t *testing.T) {
	o := openOffice(t)
	tried := map[string]bool{}
	for _, route := range administration {
		sub := strings.NewReplacer("OTHER", "*", "editor", "*", "/x", "/*").Replace(route.sub)
		tried[route.method+" "+sub] = true
	}
	for sub, to := range o.gateway.adminUserRoutes() {
		for method, do := range map[string]serve{"GET": to.get, "POST": to.post, "PATCH": to.patch, "DELETE": to.delete} {
			if do != nil && !tried[method+" "+sub] {
				t.Errorf("%s %s is not in the table", method, sub)
			}
		}
	}
}

// Somebody who is no administrator, or nobody at all, tries every route.
func TestOnlyAdministratorsAdminister(t *testing.T) {
	o := openOffice(t)
	o.administer(nil, always(401, "unauthenticated"))
	o.administer(o.asOther, always(403, "forbidden"))
	o.administer([]string{"Authorization", "Bearer x.y.z"}, always(401, "unauthenticated"))
}

// An administrator was demoted on another instance: the access token still says admin, for minutes.
func TestStaleAdministratorTokenCountsNoMore(t *testing.T) {
	o := openOffice(t)
	if _, err := o.realm.GrantRole(t.Context(), authcore.Trace{Actor: authcore.Operator}, o.otherID, AdminRole); err != nil {
		t.Fatal(err)
	}
	o.now = o.now.Add(time.Second)
	stale := o.signInTokens(o.other).bearer()
	o.do("GET", "admin/users", "", stale...).ok(new(any))
	// In the store only, as another instance does whose notice has not come yet.
	u, err := o.store.Stores().Users.User(t.Context(), o.otherID)
	if err != nil {
		t.Fatal(err)
	}
	u.Roles = nil
	if err := o.store.Stores().Users.UpdateUser(t.Context(), u); err != nil {
		t.Fatal(err)
	}
	o.administer(stale, always(403, "forbidden"))
	// Disabled, and the session ended, the same way.
	u.Version++
	u.Roles, u.Disabled = []string{AdminRole}, true
	if err := o.store.Stores().Users.UpdateUser(t.Context(), u); err != nil {
		t.Fatal(err)
	}
	o.administer(stale, always(401, "unauthenticated"))
	u.Version++
	u.Disabled = false
	if err := o.store.Stores().Users.UpdateUser(t.Context(), u); err != nil {
		t.Fatal(err)
	}
	o.do("GET", "admin/users", "", stale...).ok(new(any))
	open, err := o.store.Stores().Sessions.SessionsOf(t.Context(), o.otherID, o.now)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range open {
		if err := o.store.Stores().Sessions.EndSession(t.Context(), s.ID); err != nil {
			t.Fatal(err)
		}
	}
	o.administer(stale, always(401, "unauthenticated"))
}

// A browser was left open by an administrator: whoever finds it may look, and change nothing.
func TestChangesOfUsersNeedAFreshSignIn(t *testing.T) {
	o := openOffice(t)
	cookie := o.signInCookie(o.boss)
	o.now = o.now.Add(o.realm.Fresh)
	for _, as := range [][]string{cookie, o.signInRefreshed(o.boss)} {
		o.do("GET", "admin/users", "", as...).ok(new(any))
		o.administer(as, func(change bool) (int, string) {
			if change {
				return 401, "step_up_required"
			}
			return 0, ""
		})
	}
	if got := o.events(o.otherID); slices.ContainsFunc(got, func(s string) bool { return strings.Contains(s, o.bossID) }) {
		t.Errorf("something happened: %q", got)
	}
}

// signInRefreshed is a program that signed in long ago and has a new access token.
func (o *office) signInRefreshed(s signer) []string {
	o.t.Helper()
	v := o.signInTokens(s)
	o.now = o.now.Add(o.realm.Fresh)
	var again signedInView
	o.do("POST", "token/refresh", fmt.Sprintf(`{"refresh_token":%q}`, v.RefreshToken)).ok(&again)
	return again.bearer()
}

// A page of somebody else makes the browser of an administrator send requests, with the cookie.
func TestAdministrationRefusesOtherOrigins(t *testing.T) {
	o := openOffice(t)
	cookie := o.signInCookie(o.boss)
	for _, from := range [][]string{
		{"Origin", "https://evil.example"},
		{"Origin", "null"},
		{"Origin", "https://app.example.com:8443"},
		{"Origin", "https://other.example.com"},
		{"Sec-Fetch-Site", "cross-site"},
		{"Sec-Fetch-Site", "same-site"},
	} {
		o.administer(append(slices.Clone(cookie), from...), func(change bool) (int, string) {
			if change {
				return 403, "cross_origin"
			}
			return 0, ""
		})
	}
	// Forms cannot send JSON; what takes no body must not depend on that.
	r := o.request("POST", "admin/users/"+o.otherID+"/roles", "role=admin", cookie...)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	o.serve(r).refused(415, "unsupported_media_type")
}

type userListView struct {
	Users []listedUserView
	Next  string
	Total int
}

func TestUsersAreListed(t *testing.T) {
	o := openOffice(t)
	var list userListView
	a := o.do("GET", "admin/users?limit=1&order=created", "", o.asBoss...).ok(&list)
	if len(list.Users) != 1 || list.Total != 2 || list.Next == "" {
		t.Fatalf("%s", a.Body)
	}
	next := list.Next
	list = userListView{}
	o.do("GET", "admin/users?limit=1&order=created&after="+url.QueryEscape(next), "", o.asBoss...).ok(&list)
	if len(list.Users) != 1 || list.Next != "" {
		t.Fatalf("%+v", list)
	}
	list = userListView{}
	o.do("GET", "admin/users?search="+strings.ToLower(o.boss.address()[:12]), "", o.asBoss...).ok(&list)
	want := listedUserView{
		ID: o.bossID, Username: o.boss.address(), Roles: []string{"admin"}, Granted: []string{"admin"}, Methods: []authcore.Method{authcore.Wallet},
		Created: timestamp(o.now), LastSeen: timestamp(o.now),
	}
	if len(list.Users) != 1 || fmt.Sprint(list.Users[0]) != fmt.Sprint(want) {
		t.Errorf("got  %+v\nwant %+v", list.Users, want)
	}
	// Who has a role from the configuration has it, though no store knows.
	list = userListView{}
	o.do("GET", "admin/users?role=admin", "", o.asBoss...).ok(&list)
	if len(list.Users) != 1 || list.Users[0].ID != o.bossID {
		t.Errorf("%+v", list)
	}
	list = userListView{}
	o.do("GET", "admin/users?role=admin&disabled=true", "", o.asBoss...).ok(&list)
	if len(list.Users) != 0 {
		t.Errorf("%+v", list)
	}
}

// What is asked for is far from what anybody asks for.
func TestQueriesOfUsersAreBounded(t *testing.T) {
	o := openOffice(t)
	for _, query := range []string{
		"limit=0", "limit=201", "limit=-1", "limit=1e9", "limit=99999999999999999999", "limit=", "order=password", "order=username;--", "desc=1", "disabled=maybe",
		"search=" + strings.Repeat("a", 257), "search=" + strings.Repeat("a", 1<<20), "search=%FF", "search=a&search=b", "role=a%20b", "role=%27", "role=" + strings.Repeat("r", 65),
		"after=a&after=b", "%", "search=%zz", "limit=1;limit=2",
	} {
		o.do("GET", "admin/users?"+query, "", o.asBoss...).refused(400, "invalid_request")
	}
	o.do("GET", "admin/users?after=nowhere", "", o.asBoss...).refused(400, "invalid_cursor")
	o.do("GET", "admin/users?after="+strings.Repeat("A", 1<<16), "", o.asBoss...).refused(400, "invalid_cursor")
	o.do("GET", "admin/users?search=%25&unknown=1", "", o.asBoss...).ok(new(any))
	o.do("POST", "admin/users/"+o.otherID+"/roles", `{"role":"`+strings.Repeat("r", 1<<16)+`"}`, o.asBoss...).refused(413, "too_large")
}

func TestUserIsShown(t *testing.T) {
	o := openOffice(t)
	var shown struct{ User map[string]any }
	o.do("GET", "admin/users/"+o.otherID, "", o.asBoss...).ok(&shown)
	names := []string{}
	for name := range shown.User {
		names = append(names, name)
	}
	slices.Sort(names)
	if got := strings.Join(names, " "); got != "chain_roles created credentials disabled email granted id last_seen methods name roles sessions tokens username" {
		t.Error(got)
	}
	for _, id := range []string{"nobody", "%00", "..%2F", "*", strings.Repeat("x", 1000)} {
		if a := o.do("GET", "admin/users/"+id, "", o.asBoss...); a.Code != 404 {
			t.Errorf("%s: %d", id, a.Code)
		}
	}
	o.do("GET", "admin/users/nobody", "", o.asBoss...).refused(404, "user_not_found")
}

func TestRoleIsGrantedAndRevoked(t *testing.T) {
	o := openOffice(t)
	if got := o.reaches("/edit/x", o.asOther); got != 403 {
		t.Fatalf("answered %d before", got)
	}
	var granted struct{ Role, Warning string }
	o.do("POST", "admin/users/"+o.otherID+"/roles", `{"role":"editor"}`, o.asBoss...).ok(&granted)
	if granted.Role != "editor" || granted.Warning != "" {
		t.Errorf("%+v", granted)
	}
	o.wrote(o.otherID, "role_granted editor by "+o.bossID)
	// The old token tells less than is so, and counts no more.
	o.now = o.now.Add(time.Second)
	again := o.signInTokens(o.other).bearer()
	if got := o.reaches("/edit/x", again); got != 418 {
		t.Errorf("answered %d with the role", got)
	}
	o.do("DELETE", "admin/users/"+o.otherID+"/roles/editor", "", o.asBoss...).done()
	o.wrote(o.otherID, "role_revoked editor by "+o.bossID)
	if got := o.reaches("/edit/x", again); got == 418 {
		t.Error("the role still opens what it opened")
	}
	before := len(o.events(o.otherID))
	o.do("DELETE", "admin/users/"+o.otherID+"/roles/editor", "", o.asBoss...).done()
	if len(o.events(o.otherID)) != before {
		t.Error("nothing happened, and the log tells of it")
	}
	o.do("POST", "admin/users/"+o.otherID+"/roles", `{"role":"edtior"}`, o.asBoss...).ok(&granted)
	if granted.Warning == "" {
		t.Error("nothing is said of a role that nothing names")
	}
	var roles struct{ Roles []string }
	o.do("GET", "admin/roles", "", o.asBoss...).ok(&roles)
	if !slices.Equal(roles.Roles, []string{"admin", "editor"}) {
		t.Errorf("%q", roles.Roles)
	}
	o.do("POST", "admin/users/nobody/roles", `{"role":"editor"}`, o.asBoss...).refused(404, "user_not_found")
	o.do("DELETE", "admin/users/"+o.bossID+"/roles/admin", "", o.asBoss...).refused(409, "last_administrator")
}

// A role ends up in headers for backends, separated by commas.
func TestRolesThatWouldBreakHeadersAreRefused(t *testing.T) {
	o := openOffice(t)
	for _, role := range []string{"a,admin", "a b", "a\r\nRemote-User: boss", "\x00", "", "é", `a"b`, strings.Repeat("r", 65), "a%2Cadmin"} {
		body, err := json.Marshal(map[string]string{"role": role})
		if err != nil {
			t.Fatal(err)
		}
		o.do("POST", "admin/users/"+o.otherID+"/roles", string(body), o.asBoss...).refused(400, "invalid_role")
	}
}

func TestRoleOfTheConfigurationStays(t *testing.T) {
	o := openOffice(t, func(c *RealmConfig, _ *Site) {
		c.Grants = append(c.Grants, Grant{Role: "editor", To: []string{newSigner(2).address()}})
	})
	o.do("DELETE", "admin/users/"+o.otherID+"/roles/editor", "", o.asBoss...).refused(409, "role_granted")
}

func TestUserIsDisabledAndEnabled(t *testing.T) {
	o := openOffice(t)
	o.do("POST", "admin/users/"+o.bossID+"/disable", "", o.asBoss...).refused(409, "own_account")
	o.do("POST", "admin/users/"+o.otherID+"/disable", "", o.asBoss...).done()
	o.wrote(o.otherID, "user_disabled by "+o.bossID)
	if got := o.reaches("/reports", o.asOther); got != 401 {
		t.Errorf("answered %d", got)
	}
	o.present(o.other, "").refused(403, "account_disabled")
	o.do("POST", "admin/users/"+o.otherID+"/enable", "", o.asBoss...).done()
	o.wrote(o.otherID, "user_enabled by "+o.bossID)
	if got := o.reaches("/reports", o.asOther); got != 401 {
		t.Errorf("an ended session came back: %d", got)
	}
	o.signInTokens(o.other)
}

func TestUserIsDeletedWithTheirData(t *testing.T) {
	o := openOffice(t)
	o.do("DELETE", "admin/users/"+o.bossID, "", o.asBoss...).refused(409, "own_account")
	o.do("DELETE", "admin/users/"+o.otherID, "", o.asBoss...).done()
	o.wrote(o.otherID, "user_deleted by "+o.bossID)
	if got := o.reaches("/reports", o.asOther); got != 401 {
		t.Errorf("answered %d", got)
	}
	o.do("DELETE", "admin/users/"+o.otherID, "", o.asBoss...).refused(404, "user_not_found")
	all, err := o.realm.Events(t.Context(), authcore.EventQuery{Subject: o.otherID})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		if e.Kind != authcore.EventUserDeleted && (e.Client != "" || e.UserAgent != "") {
			t.Errorf("the log still has what is personal: %+v", e)
		}
	}
	if again := o.signInTokens(o.other); again.User.ID == o.otherID || again.User.Username == o.other.address() {
		t.Errorf("the new account is %+v", again.User)
	}
}

// Administrators see what tokens somebody has, what each may do and when it was used, and never the token itself; one that
// is deleted counts nowhere any more. Under the id of another user none is to be reached.
func TestTokensOfAUserAreSeenAndDeleted(t *testing.T) {
	o := openOffice(t)
	third := o.signInTokens(newSigner(3))
	token := o.newToken(third.bearer(), `,"expires_in":3600,"roles":[],"paths":["/reports/*"]`)
	o.reach("/reports", "Authorization", "Bearer "+token.Token)
	var shown struct{ User shownUserView }
	a := o.do("GET", "admin/users/"+third.User.ID, "", o.asBoss...).ok(&shown)
	if strings.Contains(a.Body.String(), "agp_") || len(shown.User.Tokens) != 1 {
		t.Fatal(a.Body)
	}
	got := shown.User.Tokens[0]
	if got.ID != token.ID || got.Name != "script" || got.Expires != timestamp(o.now.Add(time.Hour)) || got.LastUsed == "" || len(got.Roles) != 0 || !slices.Equal(got.Paths, []string{"/reports/*"}) {
		t.Errorf("%+v", got)
	}
	o.do("DELETE", "admin/users/"+o.otherID+"/tokens/"+token.ID, "", o.asBoss...).refused(404, "token_not_found")
	o.do("DELETE", "admin/users/"+third.User.ID+"/tokens/nothing", "", o.asBoss...).refused(404, "token_not_found")
	if code, _ := o.reach("/reports", "Authorization", "Bearer "+token.Token); code != 418 {
		t.Errorf("answered %d", code)
	}
	o.do("DELETE", "admin/users/"+third.User.ID+"/tokens/"+token.ID, "", o.asBoss...).done()
	o.wrote(third.User.ID, "token_deleted administrator by "+o.bossID)
	if code, _ := o.reach("/reports", "Authorization", "Bearer "+token.Token); code != 401 {
		t.Errorf("answered %d", code)
	}
	o.do("GET", "admin/users/"+third.User.ID, "", o.asBoss...).ok(&shown)
	if len(shown.User.Tokens) != 0 {
		t.Errorf("%+v", shown.User.Tokens)
	}
}

// The session of one user under the id of another, which the log would tell wrongly, and own routes would let through.
func TestSessionsOfOthersAreNotEnded(t *testing.T) {
	o := openOffice(t)
	third := o.signInTokens(newSigner(3))
	open, err := o.store.Stores().Sessions.SessionsOf(t.Context(), third.User.ID, o.now)
	if err != nil {
		t.Fatal(err)
	}
	o.do("DELETE", "admin/users/"+o.otherID+"/sessions/"+open[0].ID, "", o.asBoss...).refused(404, "session_not_found")
	o.do("DELETE", "sessions/"+open[0].ID, "", o.asOther...).refused(404, "session_not_found")
	if got := o.reaches("/reports", third.bearer()); got != 418 {
		t.Errorf("answered %d", got)
	}
	o.do("DELETE", "admin/users/"+third.User.ID+"/sessions/"+open[0].ID, "", o.asBoss...).done()
	o.wrote(third.User.ID, "session_ended administrator by "+o.bossID)
	if got := o.reaches("/reports", third.bearer()); got != 401 {
		t.Errorf("answered %d", got)
	}
	// Credentials alike.
	own, err := o.store.Stores().Credentials.CredentialsOf(t.Context(), third.User.ID)
	if err != nil {
		t.Fatal(err)
	}
	o.do("DELETE", "admin/users/"+o.otherID+"/credentials/"+own[0].ID, "", o.asBoss...).refused(404, "credential_not_found")
	o.do("DELETE", "admin/users/"+third.User.ID+"/credentials/"+own[0].ID, "", o.asBoss...).refused(409, "last_credential")
}

func TestOwnSessions(t *testing.T) {
	o := openOffice(t)
	here, there := o.signInCookie(o.other, "User-Agent", "Browser\t<b>"), o.signInTokens(o.other).bearer()
	var list struct{ Sessions []openView }
	o.do("GET", "sessions", "", here...).ok(&list)
	current := 0
	for _, s := range list.Sessions {
		if s.Current {
			current++
			if s.UserAgent != "Browser<b>" || s.ClientIP == "" || !slices.Equal(s.Methods, []authcore.Method{authcore.Wallet}) {
				t.Errorf("%+v", s)
			}
		}
	}
	if len(list.Sessions) != 3 || current != 1 {
		t.Fatalf("%+v", list)
	}
	o.do("DELETE", "sessions", "", here...).done()
	o.wrote(o.otherID, "session_ended owner by "+o.otherID)
	if o.reaches("/reports", here) != 418 || o.reaches("/reports", there) != 401 || o.reaches("/reports", o.asOther) != 401 {
		t.Error("not all others ended, or this one too")
	}
	o.do("GET", "sessions", "", here...).ok(&list)
	o.do("DELETE", "sessions/"+list.Sessions[0].ID, "", here...).done()
	if o.reaches("/reports", here) != 401 {
		t.Error("it did not end")
	}
	o.do("GET", "sessions", "").refused(401, "unauthenticated")
	o.do("DELETE", "sessions", "", here...).refused(401, "unauthenticated")
}

func TestProfile(t *testing.T) {
	o := openOffice(t)
	var v struct{ User userView }
	o.do("PATCH", "profile", `{"name":" Ann Ö ","username":"Ann"}`, o.asOther...).ok(&v)
	if v.User.Name != "Ann Ö" || v.User.Username != "ann" {
		t.Errorf("%+v", v.User)
	}
	if all := o.events(o.otherID); !slices.Contains(all, "profile_changed name by "+o.otherID) || !slices.Contains(all, "profile_changed username by "+o.otherID) {
		t.Errorf("%q", all)
	}
	o.now = o.now.Add(time.Second)
	as := o.signInTokens(o.other).bearer()
	for _, bad := range []string{"", "-a", "a b", o.boss.address(), strings.ToLower(o.boss.address()), "a@b.example", strings.Repeat("a", 65), "a\r\nb", "é"} {
		body, _ := json.Marshal(map[string]string{"username": bad})
		o.do("PATCH", "profile", string(body), as...).refused(400, "invalid_username")
	}
	for _, bad := range []string{"a\r\nRemote-User: boss", "a\u202eb", "\x00", strings.Repeat("a", 65)} {
		body, _ := json.Marshal(map[string]string{"name": bad})
		o.do("PATCH", "profile", string(body), as...).refused(400, "invalid_request")
	}
	third := o.signInTokens(newSigner(3)).bearer()
	o.do("PATCH", "profile", `{"username":"ANN"}`, third...).refused(409, "username_taken")
	o.do("PATCH", "profile", `{}`).refused(401, "unauthenticated")
	o.now = o.now.Add(o.realm.Fresh)
	old := o.signInRefreshed(o.other)
	o.do("PATCH", "profile", `{"username":"annie"}`, old...).refused(401, "step_up_required")
	o.do("PATCH", "profile", `{"name":""}`, old...).ok(&v)
	if v.User.Name != "" || v.User.Username != "ann" {
		t.Errorf("%+v", v.User)
	}
}

// Two administrators take the role from each other at the same moment, or disable or delete each other: one stays.
func TestLastAdministratorStaysWhateverRaces(t *testing.T) {
	for name, do := range map[string]func(r *Realm, t *testing.T, by, whom string) error{
		"revoke": func(r *Realm, t *testing.T, by, whom string) error {
			return r.RevokeRole(t.Context(), authcore.Trace{Actor: by}, whom, AdminRole, false)
		},
		"disable": func(r *Realm, t *testing.T, by, whom string) error {
			return r.Disable(t.Context(), authcore.Trace{Actor: by}, whom, false)
		},
		"delete": func(r *Realm, t *testing.T, by, whom string) error {
			return r.Delete(t.Context(), authcore.Trace{Actor: by}, whom, false)
		},
		"revoke by operators": func(r *Realm, t *testing.T, _, whom string) error {
			return r.RevokeRole(t.Context(), authcore.Trace{Actor: authcore.Operator}, whom, AdminRole, false)
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := build(t)
			a, b := h.signInTokens(newSigner(1)).User.ID, h.signInTokens(newSigner(2)).User.ID
			for _, id := range []string{a, b} {
				if _, err := h.realm.GrantRole(t.Context(), authcore.Trace{Actor: authcore.Operator}, id, AdminRole); err != nil {
					t.Fatal(err)
				}
			}
			errs := make([]error, 2)
			var both sync.WaitGroup
			both.Go(func() { errs[0] = do(h.realm, t, a, b) })
			both.Go(func() { errs[1] = do(h.realm, t, b, a) })
			both.Wait()
			left := 0
			for _, id := range []string{a, b} {
				is, err := h.realm.canAdminister(t.Context(), h.realm.Stores, id)
				if err != nil {
					t.Fatal(err)
				}
				if is {
					left++
				}
			}
			if left != 1 || (errs[0] == nil) == (errs[1] == nil) {
				t.Errorf("%d left; %v, %v", left, errs[0], errs[1])
			}
			for _, err := range errs {
				if err != nil && !errors.Is(err, ErrLastAdministrator) && !errors.Is(err, ErrNotAdministrator) {
					t.Error(err)
				}
			}
		})
	}
}

// Who remains has the role, but is disabled or has no way to sign in that is on.
func TestAdministratorsWhoCannotSignInDoNotCount(t *testing.T) {
	o := openOffice(t)
	operator := authcore.Trace{Actor: authcore.Operator}
	if _, err := o.realm.GrantRole(t.Context(), operator, o.otherID, AdminRole); err != nil {
		t.Fatal(err)
	}
	if err := o.realm.Disable(t.Context(), operator, o.otherID, false); err != nil {
		t.Fatal(err)
	}
	if err := o.realm.Disable(t.Context(), operator, o.bossID, false); !errors.Is(err, ErrLastAdministrator) {
		t.Errorf("got error %v", err)
	}
	if err := o.realm.Delete(t.Context(), operator, o.bossID, false); !errors.Is(err, ErrLastAdministrator) {
		t.Errorf("got error %v", err)
	}
	if err := o.realm.Disable(t.Context(), operator, o.bossID, true); err != nil {
		t.Errorf("the operator means it: %v", err)
	}
}

// The change, its event and its notice are one: where the event cannot be written, nothing happened.
func TestNothingChangesWithoutItsEvent(t *testing.T) {
	o := openOffice(t)
	o.faults.breakDown("Transact")
	o.administer(o.asBoss, func(change bool) (int, string) { return 0, "" })
	o.do("POST", "admin/users/"+o.otherID+"/disable", "", o.asBoss...).refused(503, "unavailable")
	o.faults.repair()
	u, err := o.store.Stores().Users.User(t.Context(), o.otherID)
	if err != nil || u.Disabled {
		t.Errorf("%+v, %v", u, err)
	}
	if got := o.reaches("/reports", o.asOther); got != 418 {
		t.Errorf("answered %d", got)
	}
	if bytes.Contains(o.log.Bytes(), []byte("user_disabled")) {
		t.Error("the log tells of what did not happen")
	}
}

// Whoever looks after an account must be able to see why it may what it may.
func TestProfileTellsWhereRolesComeFrom(t *testing.T) {
	l := newLedger(t)
	o := openOffice(t, grantedBy(t, l, false))
	l.set(o.boss, true)
	o.now = o.now.Add(10 * time.Minute)
	for _, role := range []string{AdminRole, "editor"} { // the first besides the configuration
		o.do("POST", "admin/users/"+o.bossID+"/roles", `{"role":"`+role+`"}`, o.signInTokens(o.boss).bearer()...).ok(new(struct{}))
	}
	as := o.signInTokens(o.boss).bearer()
	var v struct {
		User  userView
		Roles []roleView
	}
	o.do("GET", "profile", "", as...).ok(&v)
	want := []roleView{
		{AdminRole, []string{"administrator", "configuration"}}, {"editor", []string{"administrator"}}, {"member", []string{"chain"}},
	}
	if !reflect.DeepEqual(v.Roles, want) || v.User.ID != o.bossID {
		t.Errorf("%+v", v)
	}
	o.do("GET", "profile", "", o.signInTokens(newSigner(3)).bearer()...).ok(&v)
	if len(v.Roles) != 0 {
		t.Errorf("%+v", v.Roles)
	}
	o.do("GET", "profile", "").refused(401, "unauthenticated")
	o.do("DELETE", "sessions", "", o.signInTokens(o.boss).bearer()...).done() // all but the one that asks
	o.do("GET", "profile", "", as...).refused(401, "unauthenticated")
}
