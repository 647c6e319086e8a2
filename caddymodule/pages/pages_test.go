package pages

import (
	"encoding/json"
	"html"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/gateway"
)

var every = []authcore.Method{authcore.Passkey, authcore.Wallet, authcore.Password}

const alice = "0x52908400098527886E0F7030069857D2E4169EE7"

// serve answers what a browser gets for a page.
func serve(t *testing.T, p gateway.Page, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	if p.Mount == "" {
		p.Mount = "/auth"
	}
	if p.Origin == "" {
		p.Origin = "https://app.example.com"
	}
	w := httptest.NewRecorder()
	for i := 0; i < len(header); i += 2 {
		w.Header().Set(header[i], header[i+1])
	}
	if err := New().ServePage(w, httptest.NewRequest("GET", "/auth/"+p.Name, nil), p); err != nil {
		t.Fatal(err)
	}
	return w
}

// readable answers what a person reads of a page: its text without tags and data.
func readable(body string) string {
	body = regexp.MustCompile(`(?s)<(script|template|head).*?</(script|template|head)>`).ReplaceAllString(body, "")
	body = strings.ReplaceAll(body, "<wbr>", "")
	body = regexp.MustCompile(`<[^>]*>`).ReplaceAllString(body, " ")
	return strings.Join(strings.Fields(html.UnescapeString(body)), " ")
}

func identity() *authcore.Identity {
	return &authcore.Identity{
		Subject: "u1", SessionID: "s1", Username: alice,
		Wallets: []string{alice},
		Roles:   []string{"admin", "editor"},
		Methods: []authcore.MethodUse{{Method: authcore.Wallet, Time: time.Date(2026, 3, 4, 15, 6, 0, 0, time.UTC)}},
	}
}

func TestPageTells(t *testing.T) {
	named := identity()
	named.Username, named.Name, named.Email = "alice", "Alice Lidell", "alice@example.com"
	contract := identity()
	contract.Username, contract.Wallets = "eip155:10:"+alice, []string{"eip155:10:" + alice}
	wallet := []authcore.Method{authcore.Wallet}

	tests := []struct {
		name   string
		page   gateway.Page
		header []string
		status int
		has    []string
		hasNot []string
	}{
		{
			name: "sign-in", page: gateway.Page{Name: "sign-in", Methods: wallet, ReturnTo: "/reports?year=2026"},
			status: 200, has: []string{"Sign in", "app.example.com", "With an Ethereum wallet", "You will be taken to /reports?year=2026"},
			hasNot: []string{"Confirm it is you", "Use another account"},
		},
		{
			name: "sign-in that leads to the start page does not name it", page: gateway.Page{Name: "sign-in", Methods: wallet, ReturnTo: "/"},
			status: 200, hasNot: []string{"You will be taken to"},
		},
		{
			name: "sign-in names the port", page: gateway.Page{Name: "sign-in", Methods: wallet, Origin: "http://localhost:8080"},
			status: 200, has: []string{"text that names localhost:8080"},
		},
		{
			name: "sign-in without wallets", page: gateway.Page{Name: "sign-in", Methods: []authcore.Method{authcore.Passkey}},
			status: 200, hasNot: []string{"wallet"},
		},
		{
			name: "sign-in with passkeys", page: gateway.Page{Name: "sign-in", Methods: []authcore.Method{authcore.Passkey}, Registration: true},
			status: 200, has: []string{"Sign in with a passkey", "Create an account", "to be given a name"},
		},
		{
			name: "sign-in with passkeys where registration is closed", page: gateway.Page{Name: "sign-in", Methods: []authcore.Method{authcore.Passkey}},
			status: 200, has: []string{"Sign in with a passkey", "choose from your passkeys."}, hasNot: []string{"Create an account"},
		},
		{
			name: "step-up with passkeys", page: gateway.Page{Name: "sign-in", Methods: []authcore.Method{authcore.Passkey}, Identity: named, Registration: true},
			status: 200, has: []string{"Confirm it is you", "Use your passkey"}, hasNot: []string{"Create an account", "Username"},
		},
		{
			name: "account offers what the site offers", page: gateway.Page{Name: "account", Methods: []authcore.Method{authcore.Passkey}, Identity: named},
			status: 200, has: []string{"Ways to sign in", "Add a passkey"}, hasNot: []string{"Add a wallet"},
		},
		{
			name: "sign-in without methods", page: gateway.Page{Name: "sign-in"},
			status: 200, has: []string{"No way to sign in is switched on"},
		},
		{
			name: "sign-in of somebody signed in is a step-up", page: gateway.Page{Name: "sign-in", Methods: wallet, Identity: named, ReturnTo: "/admin"},
			status: 200, has: []string{"Confirm it is you", "as Alice Lidell", "Use another account"},
		},
		{
			name: "confirm", page: gateway.Page{Name: "confirm", Methods: []authcore.Method{authcore.Passkey}, Identity: named, ReturnTo: "/vault", Confirm: &gateway.Confirm{With: []authcore.Method{authcore.Passkey}, Within: 5 * time.Minute}},
			status: 200, has: []string{"Confirm it is you", "as Alice Lidell", "You will be taken to /vault", "Asked for: Passkey, in the last 5 min", "Use your passkey", "Use another account"},
			hasNot: []string{"What you sent", "Your account"},
		},
		{
			name: "confirm with anything fresh", page: gateway.Page{Name: "confirm", Methods: every, Identity: named, Confirm: &gateway.Confirm{Within: 90 * time.Second}},
			status: 200, has: []string{"Asked for: any way to sign in, in the last 90 s"},
		},
		{
			name: "confirm with one of several", page: gateway.Page{Name: "confirm", Methods: every, Identity: named, Confirm: &gateway.Confirm{With: every}},
			status: 200, has: []string{"Asked for: Passkey · Wallet · E-mail and password"}, hasNot: []string{"in the last"},
		},
		{
			name: "confirm for what is kept", page: gateway.Page{Name: "confirm", Methods: every, Identity: named, Confirm: &gateway.Confirm{Form: "f"}},
			status: 200, has: []string{"What you sent is kept for ten minutes"},
		},
		{
			name: "confirm for what is not kept", page: gateway.Page{Name: "confirm", Methods: every, Identity: named, Confirm: &gateway.Confirm{Lost: "too_large"}},
			status: 200, has: []string{"more than the 64 KiB", "Back to the form", "Use your passkey"},
		},
		{
			name: "confirm with what the account has not", page: gateway.Page{Name: "confirm", Identity: named, Confirm: &gateway.Confirm{Absent: true, With: []authcore.Method{authcore.Passkey}, Lacking: []authcore.Method{authcore.Passkey}}},
			status: 200, has: []string{"Your account has none of what is asked for: Passkey.", "Add it to your account", "Your account"}, hasNot: []string{"Use your passkey"},
		},
		{
			name: "confirm with what the site has not", page: gateway.Page{Name: "confirm", Identity: named, Confirm: &gateway.Confirm{Absent: true, With: []authcore.Method{authcore.Passkey}}},
			status: 200, has: []string{"cannot be used at app.example.com"}, hasNot: []string{"Add it"},
		},
		{
			name: "confirmed", page: gateway.Page{Name: "confirm", Methods: every, Identity: named, ReturnTo: "/vault", Confirm: &gateway.Confirm{Proven: true}},
			status: 200, has: []string{"You have confirmed it.", "Continue"}, hasNot: []string{"Use your passkey"},
		},
		{
			name: "confirmed for what is kept", page: gateway.Page{Name: "confirm", Methods: every, Identity: named, ReturnTo: "/vault", Confirm: &gateway.Confirm{Proven: true, Form: "f"}},
			status: 200, has: []string{"What you sent goes on now.", "Send it"}, hasNot: []string{"Use your passkey"},
		},
		{
			name: "sign-in with passwords", page: gateway.Page{Name: "sign-in", Methods: every, Registration: true, ReturnTo: "/x"},
			status: 200, has: []string{"New here? Create an account", "E-mail address", "Forgot your password?", "Sign in with a passkey", "With an Ethereum wallet"},
			hasNot: []string{"Username", "Create an account with a passkey", "At least"},
		},
		{
			name: "sign-in with passwords, for who was let in by address", page: gateway.Page{Name: "sign-in", Methods: every, ByGrant: true},
			status: 200, has: []string{"Create an account"},
		},
		{
			name: "sign-in with passwords where registration is closed", page: gateway.Page{Name: "sign-in", Methods: every},
			status: 200, has: []string{"Forgot your password?"}, hasNot: []string{"Create an account"},
		},
		{
			name: "sign-in with passwords alone", page: gateway.Page{Name: "sign-in", Methods: []authcore.Method{authcore.Password}},
			status: 200, has: []string{"Forgot your password? Cancel"},
		},
		{
			name: "step-up with a password", page: gateway.Page{Name: "sign-in", Methods: every, Identity: named, Registration: true},
			status: 200, has: []string{"Confirm it is you", "Password Confirm"}, hasNot: []string{"E-mail address", "Forgot", "Create an account"},
		},
		{
			name: "register", page: gateway.Page{Name: "register", Methods: every, Registration: true, MinLength: 15},
			status: 200, has: []string{"At least 15 characters.", "Create an account with a passkey", "Check your mail"}, hasNot: []string{"Only for addresses"},
		},
		{
			name: "register by address", page: gateway.Page{Name: "register", Methods: every, ByGrant: true, MinLength: 12},
			status: 200, has: []string{"Only for addresses", "At least 12 characters."}, hasNot: []string{"Create an account with a passkey"},
		},
		{
			name: "register where registration is closed", page: gateway.Page{Name: "register", Methods: every},
			status: 200, has: []string{"New accounts cannot be opened"}, hasNot: []string{"Password"},
		},
		{
			name: "reset", page: gateway.Page{Name: "reset", Methods: every, MinLength: 12},
			status: 200, has: []string{"New password", "At least 12 characters.", "signed out everywhere else"},
		},
		{
			name: "email signed out", page: gateway.Page{Name: "email", Methods: every},
			status: 200, has: []string{"Sign in to the account"}, hasNot: []string{"Confirm the address"},
		},
		{
			name: "email", page: gateway.Page{Name: "email", Methods: every, Identity: named},
			status: 200, has: []string{"signed in as Alice Lidell", "Confirm the address"},
		},
		{
			name: "account that can have a password", page: gateway.Page{Name: "account", Methods: every, Mail: true, Identity: named, MinLength: 12},
			status: 200, has: []string{"E-mail alice@example.com", "Set a password", "Add a wallet", "Profile and roles", "Sessions and activity"},
		},
		{
			name: "profile", page: gateway.Page{Name: "account-profile", Methods: every, Mail: true, Identity: named},
			status: 200, has: []string{"Name Alice Lidell Change", "Username alice Change", "E-mail alice@example.com Change", "letters a to z"},
		},
		{
			name: "profile without an address", page: gateway.Page{Name: "account-profile", Methods: every, Mail: true, Identity: identity()},
			status: 200, has: []string{"Name none Change", "Username " + alice, "E-mail none Add"},
		},
		{
			name: "profile where nothing is mailed", page: gateway.Page{Name: "account-profile", Methods: []authcore.Method{authcore.Passkey}, Identity: identity()},
			status: 200, hasNot: []string{"E-mail", "password"},
		},
		{
			name: "sessions", page: gateway.Page{Name: "account-sessions", Methods: every, Identity: named},
			status: 200, has: []string{"Where you are signed in", "What happened", "Sign out"},
		},
		{
			name: "account without an address", page: gateway.Page{Name: "account", Methods: every, Mail: true, Identity: identity()},
			status: 200, hasNot: []string{"E-mail", "Set a password"},
		},
		{
			name: "account where nothing is mailed", page: gateway.Page{Name: "account", Methods: []authcore.Method{authcore.Passkey}, Identity: identity()},
			status: 200, hasNot: []string{"E-mail", "password"},
		},
		{
			name: "account", page: gateway.Page{Name: "account", Identity: named},
			status: 200, has: []string{"Name Alice Lidell", "Username alice", "E-mail alice@example.com", "Wallet " + alice, "admin editor", "Signed in with Wallet 2026-03-04 15:06 UTC", "Sign out"},
		},
		{
			name: "account whose username is its wallet says it once", page: gateway.Page{Name: "account", Identity: identity()},
			status: 200, has: []string{"Wallet " + alice}, hasNot: []string{"Username", "Name"},
		},
		{
			name: "account with a contract wallet", page: gateway.Page{Name: "account", Identity: contract},
			status: 200, has: []string{"Wallet " + alice, "Contract on chain 10"}, hasNot: []string{"eip155", "Username"},
		},
		{
			name: "403 signed in", page: gateway.Page{Name: "error", Status: 403, Identity: identity(), Problem: &gateway.Error{Code: "forbidden"}},
			status: 403, has: []string{"No access", "signed in as 0x5290…9EE7", "Use another account", "forbidden"},
		},
		{
			name: "403 signed in, contract wallet", page: gateway.Page{Name: "error", Status: 403, Identity: contract, Problem: &gateway.Error{Code: "forbidden"}},
			status: 403, has: []string{"No access", "signed in as 0x5290…9EE7", "Use another account", "forbidden"},
		},
		{
			name: "403 signed out", page: gateway.Page{Name: "error", Status: 403, Problem: &gateway.Error{Code: "forbidden"}},
			status: 403, has: []string{"Nobody may open this page"}, hasNot: []string{"signed in as", "Use another account"},
		},
		{
			name: "cross-origin", page: gateway.Page{Name: "error", Status: 403, Identity: identity(), Problem: &gateway.Error{Code: "cross_origin"}},
			status: 403, has: []string{"Sent from elsewhere"},
		},
		{
			name: "step-up", page: gateway.Page{Name: "error", Status: 401, Identity: identity(), ReturnTo: "/admin", Problem: &gateway.Error{Code: "step_up_required"}},
			status: 401, has: []string{"Confirm it is you"},
		},
		{
			name: "step-up of nobody is a sign-in", page: gateway.Page{Name: "error", Status: 401, Problem: &gateway.Error{Code: "step_up_required"}},
			status: 401, has: []string{"Sign in first"}, hasNot: []string{"signed in as"},
		},
		{
			name: "503 says when to come back", page: gateway.Page{Name: "error", Status: 503, Problem: &gateway.Error{Code: "unavailable"}}, header: []string{"Retry-After", "7"},
			status: 503, has: []string{"Not available right now", "Try again in 7 seconds."},
		},
		{
			name: "429 counts in minutes where they are many", page: gateway.Page{Name: "error", Status: 429}, header: []string{"Retry-After", "200"},
			status: 429, has: []string{"Try again in 4 minutes."},
		},
		{name: "503 that does not say when", page: gateway.Page{Name: "error", Status: 503}, status: 503, has: []string{"Try again in a moment."}},
		{name: "400", page: gateway.Page{Name: "error", Status: 400, Problem: &gateway.Error{Code: "bad_path"}}, status: 400, has: []string{"This could not be understood", "Start page"}},
		{name: "404", page: gateway.Page{Name: "error", Status: 404}, status: 404, has: []string{"There is nothing here"}},
		{
			name: "in circles, cookie", page: gateway.Page{Name: "loop", Status: 508, Cause: "cookie", ReturnTo: "/x", Problem: &gateway.Error{Code: "sign_in_loop"}},
			status: 508, has: []string{"Signing in goes in circles", "Your browser does not send back the cookie", "For whoever runs app.example.com", "set for https://app.example.com", "sign_in_loop", "Try again"},
		},
		{
			name: "in circles, domain", page: gateway.Page{Name: "loop", Status: 508, Cause: "domain", Here: "www.example.com"},
			status: 508, has: []string{"what you asked for is at www.example.com", "Send people from www.example.com there"},
		},
		{name: "in circles, clock", page: gateway.Page{Name: "loop", Status: 508, Cause: "clock"}, status: 508, has: []string{"NTP"}},
		{name: "in circles, store", page: gateway.Page{Name: "loop", Status: 508, Cause: "store"}, status: 508, has: []string{"must use one store"}},
		{name: "a status without texts", page: gateway.Page{Name: "error", Status: 418}, status: 418, has: []string{"Something went wrong"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := serve(t, test.page, test.header...)
			if w.Code != test.status {
				t.Errorf("status %d, want %d", w.Code, test.status)
			}
			if got := w.Header().Get("Content-Type"); got != "text/html; charset=utf-8" {
				t.Errorf("Content-Type %q", got)
			}
			text := readable(w.Body.String())
			for _, s := range test.has {
				if !strings.Contains(text, s) {
					t.Errorf("does not say %q:\n%s", s, text)
				}
			}
			for _, s := range test.hasNot {
				if strings.Contains(text, s) {
					t.Errorf("says %q:\n%s", s, text)
				}
			}
		})
	}
}

// Everything that a stranger can choose, a display name, a return address, is written such that it would run as script
// or end an attribute where it is copied as it is. It must come out as the text that it is, in every place.
func TestHostileTextStaysText(t *testing.T) {
	for _, evil := range []string{
		`<img src=x onerror=alert(1)>`,
		`"><script>alert(1)</script>`,
		`' onmouseover='alert(1)`,
		`</script><script>alert(1)</script>`,
		`<!--<script>`,
		`{{.Mount}}`,
		`{site}`,
		`javascript:alert(1)`,
		"\u2028alert(1)",
	} {
		id := identity()
		id.Username, id.Name, id.Email = evil, evil, evil
		id.Wallets = []string{evil, "eip155:" + evil + ":" + evil}
		id.Roles = []string{evil}
		for _, p := range []gateway.Page{
			{Name: "sign-in", Methods: []authcore.Method{authcore.Passkey, authcore.Wallet}, ReturnTo: evil},
			{Name: "sign-in", Methods: []authcore.Method{authcore.Passkey, authcore.Wallet}, ReturnTo: evil, Identity: id},
			{Name: "account", Methods: []authcore.Method{authcore.Passkey, authcore.Wallet}, Identity: id, ReturnTo: evil},
			{Name: "sign-in", Methods: every, ReturnTo: evil, Registration: true},
			{Name: "sign-in", Methods: every, ReturnTo: evil, Identity: id},
			{Name: "account", Methods: every, Mail: true, Identity: id},
			{Name: "account-profile", Methods: every, Mail: true, Identity: id, ReturnTo: evil},
			{Name: "account-sessions", Methods: every, Mail: true, Identity: id},
			{Name: "account-tokens", Methods: every, Mail: true, Identity: id, ReturnTo: evil},
			{Name: "register", Methods: every, ReturnTo: evil, Registration: true},
			{Name: "activate", Methods: every, ReturnTo: evil, Identity: id},
			{Name: "email", Methods: every, ReturnTo: evil, Identity: id},
			{Name: "confirm", Methods: every, ReturnTo: evil, Identity: id, Confirm: &gateway.Confirm{Form: evil, Again: evil}},
			{Name: "confirm", Methods: every, ReturnTo: evil, Identity: id, Confirm: &gateway.Confirm{Lost: evil, Again: evil}},
			{Name: "confirm", ReturnTo: evil, Identity: id, Confirm: &gateway.Confirm{Form: evil, Proven: true}},
			{Name: "confirm", ReturnTo: evil, Identity: id, Confirm: &gateway.Confirm{Proven: true}},
			{Name: "error", Status: 403, Identity: id, ReturnTo: evil, Problem: &gateway.Error{Code: evil, Detail: evil}},
			{Name: "error", Status: 401, ReturnTo: evil},
			{Name: "loop", Status: 508, Cause: "domain", Here: evil, ReturnTo: evil, Problem: &gateway.Error{Code: evil}},
		} {
			plain := p
			plain.Identity, plain.ReturnTo = nil, "/x"
			if p.Identity != nil {
				plain.Identity = identity()
				plain.Identity.Username, plain.Identity.Name, plain.Identity.Email = "n", "n", "n"
				plain.Identity.Wallets = []string{"n", "eip155:n:n"}
				plain.Identity.Roles = []string{"n"}
			}
			if p.Problem != nil {
				plain.Problem = &gateway.Error{Code: "n"}
			}
			if c := p.Confirm; c != nil {
				plain.Confirm = &gateway.Confirm{Form: c.Form[:min(1, len(c.Form))], Lost: c.Lost[:min(1, len(c.Lost))], Again: "/y", Proven: c.Proven}
			}
			got, want := serve(t, p).Body.String(), serve(t, plain).Body.String()
			if skeleton(got) != skeleton(want) {
				t.Errorf("%s: %q changes the page:\n%s", p.Name, evil, got)
			}
			if p.Name == "account" && !strings.Contains(readable(got), strings.Join(strings.Fields(evil), " ")) {
				t.Errorf("%s: %q is not shown as it is:\n%s", p.Name, evil, readable(got))
			}
			if p.Name == "sign-in" {
				var data struct{ ReturnTo string }
				_, rest, _ := strings.Cut(got, `id="data">`)
				if err := json.NewDecoder(strings.NewReader(rest)).Decode(&data); err != nil || data.ReturnTo != evil {
					t.Errorf("the scripts are told %q (%v), want %q", data.ReturnTo, err, evil)
				}
			}
		}
	}
}

// skeleton is the elements and the names of their attributes, in order.
func skeleton(body string) string {
	var b strings.Builder
	for _, tag := range regexp.MustCompile(`<[!/a-zA-Z](?:"[^"]*"|'[^']*'|[^>"'])*>`).FindAllString(body, -1) {
		b.WriteString(regexp.MustCompile(`="[^"]*"`).ReplaceAllString(tag, ""))
	}
	return b.String()
}

// The policy of the gateway forbids whatever is inline and whatever comes from elsewhere: a page with either is broken.
func TestPagesFitTheContentSecurityPolicy(t *testing.T) {
	for name, body := range everyPage(t) {
		for _, bad := range []string{`\sstyle=`, `<style`, `\son[a-z]+=`, `javascript:`, `(?:src|href)="(?:https?:)?//`} {
			if m := regexp.MustCompile(bad).FindString(body); m != "" {
				t.Errorf("%s has %q", name, m)
			}
		}
		for _, m := range regexp.MustCompile(`<script[^>]*>`).FindAllString(body, -1) {
			if !strings.Contains(m, "src=") && !strings.Contains(m, `type="application/json"`) {
				t.Errorf("%s has an inline script: %s", name, m)
			}
		}
	}
}

// Before its scripts are there a form can be sent by the browser itself. By GET that would write a password into an
// address, and so into histories and logs; a button that is on would send a form that nobody has an answer for, unless it is
// one of those that work without scripts.
func TestFormsSendNothingByThemselves(t *testing.T) {
	forms := regexp.MustCompile(`(?s)<form([^>]*)>(.*?)</form>`)
	for name, body := range everyPage(t) {
		for _, m := range forms.FindAllStringSubmatch(body, -1) {
			if !strings.Contains(m[2], `name="password"`) && !strings.Contains(m[2], `name="email"`) {
				continue
			}
			if !strings.Contains(m[1], `method="post"`) {
				t.Errorf("%s: a form is sent by GET: <form%s>", name, m[1])
			}
			if action := regexp.MustCompile(`action="/auth/(sign-in|register|forgot)" .*data-plain`).FindString(m[1]); action != "" {
				continue // the gateway answers it
			}
			opened := strings.Contains(m[1], " hidden") // by a script
			if submit := regexp.MustCompile(`<button[^>]*type="submit"[^>]*>`).FindString(m[2]); !opened && !strings.Contains(submit, " disabled") {
				t.Errorf("%s: a form can be sent without a script: %s", name, submit)
			}
		}
	}
}

// One page, one order: what most people use stands first, however the methods were written down.
func TestMethodsStandInOrder(t *testing.T) {
	backwards := slices.Clone(every)
	slices.Reverse(backwards)
	for _, methods := range [][]authcore.Method{every, backwards} {
		var order []string
		body := serve(t, gateway.Page{Name: "sign-in", Methods: methods}).Body.String()
		for _, m := range regexp.MustCompile(`data-method="([a-z]+)"`).FindAllStringSubmatch(body, -1) {
			order = append(order, m[1])
		}
		if want := []string{"password", "passkey", "wallet"}; !slices.Equal(order, want) {
			t.Errorf("%v: %v, want %v", methods, order, want)
		}
	}
}

// A page with everything it loads stays below 60 KB, and everything it loads is there.
func TestPageWeight(t *testing.T) {
	p := New()
	reference := regexp.MustCompile(`(?:/assets/|from ?'\./|import\('\./)([a-z-]+\.[a-z]+)`)
	everywhere := map[string]string{}
	for _, tag := range p.languages.tags {
		for name, body := range everyPageIn(t, tag) {
			if len(body) > len(everywhere[name]) {
				everywhere[name] = body // in the language with the longest texts
			}
		}
	}
	for name, body := range everywhere {
		weight, queue, seen := len(body), []string{body}, map[string]bool{}
		for _, m := range regexp.MustCompile(`data-method="([a-z]+)"`).FindAllStringSubmatch(body, -1) {
			queue = append(queue, "from './"+m[1]+".js'")
		}
		for len(queue) > 0 {
			for _, m := range reference.FindAllStringSubmatch(queue[0], -1) {
				if seen[m[1]] {
					continue
				}
				seen[m[1]] = true
				w := httptest.NewRecorder()
				p.ServeAsset(w, httptest.NewRequest("GET", "/auth/assets/"+m[1], nil), m[1])
				if w.Code != 200 {
					t.Fatalf("%s refers to %s: %d", name, m[1], w.Code)
				}
				weight += w.Body.Len()
				queue = append(queue, w.Body.String())
			}
			queue = queue[1:]
		}
		if weight > 60<<10 {
			t.Errorf("%s weighs %d bytes", name, weight)
		}
		if len(seen) < 3 && name != "loop" { // which has no script
			t.Errorf("%s: only %v was weighed", name, seen)
		}
		t.Logf("%s: %d bytes, %d files", name, weight, len(seen)+1)
	}
}

// everyPage answers each page in a form that shows most of it.
func everyPage(t *testing.T) map[string]string { return everyPageIn(t, source) }

func everyPageIn(t *testing.T, tag string) map[string]string {
	t.Helper()
	all := New()
	id := identity()
	id.Username, id.Name, id.Email = "alice", "Alice", "alice@example.com"
	pages := map[string]string{}
	for name, p := range map[string]gateway.Page{
		"sign-in":          {Name: "sign-in", ReturnTo: "/x", Registration: true},
		"step-up":          {Name: "sign-in", Identity: id},
		"account":          {Name: "account", Identity: id, ReturnTo: "/x"},
		"account-profile":  {Name: "account-profile", Identity: id},
		"account-sessions": {Name: "account-sessions", Identity: id},
		"account-tokens":   {Name: "account-tokens", Identity: id},
		"confirm":          {Name: "confirm", Identity: id, ReturnTo: "/x", Confirm: &gateway.Confirm{With: every, Within: time.Minute, Form: "f"}},
		"confirm, lost":    {Name: "confirm", Identity: id, ReturnTo: "/x", Confirm: &gateway.Confirm{Within: time.Minute, Lost: "too_large"}},
		"confirm, lacking": {Name: "confirm", Identity: id, ReturnTo: "/x", Confirm: &gateway.Confirm{Absent: true, With: every, Lacking: every}},
		"confirmed":        {Name: "confirm", Identity: id, ReturnTo: "/x", Confirm: &gateway.Confirm{Proven: true}},
		"confirmed, kept":  {Name: "confirm", Identity: id, ReturnTo: "/x", Confirm: &gateway.Confirm{Proven: true, Form: "f"}},
		"register":         {Name: "register", ReturnTo: "/x", Registration: true},
		"forgot":           {Name: "forgot"},
		"activate":         {Name: "activate"},
		"reset":            {Name: "reset"},
		"email":            {Name: "email", Identity: id},
		"email signed out": {Name: "email"},
		"admin":            {Name: "admin", Identity: id},
		"user":             {Name: "admin-user", Identity: id},
		"invitations":      {Name: "admin-invitations", Identity: id},
		"access":           {Name: "admin-access", Identity: id},
		"log":              {Name: "admin-log", Identity: id},
		"loop":             {Name: "loop", Status: 508, Cause: "domain", Here: "www.example.com", ReturnTo: "/x", Problem: &gateway.Error{Code: "sign_in_loop"}},
		"error":            {Name: "error", Status: 403, Identity: id, Problem: &gateway.Error{Code: "forbidden"}},
	} {
		p.Methods, p.Mail, p.MinLength = every, true, 12
		p.Mount, p.Origin = "/auth", "https://app.example.com"
		w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/auth/"+p.Name, nil)
		r.Header.Set("Accept-Language", tag)
		if err := all.ServePage(w, r, p); err != nil {
			t.Fatal(err)
		}
		pages[name] = w.Body.String()
	}
	return pages
}

// Every text that a script says is there, and no text is left over. A script says a text by say('key'), or names it in
// a table of one entry a line.
func TestScriptTexts(t *testing.T) {
	p := New()
	says := regexp.MustCompile(`\bsay\('(\w+)'|(?m:^\S+: '(\w+)',$)`)
	methods := []string{"passkey.js", "webauthn.js", "wallet.js", "password.js"}
	for name, modules := range map[string][]string{
		"sign-in":          append([]string{"sign-in.js"}, methods...),
		"account":          append([]string{"account.js", "confirm.js", "credentials.js", "settings.js"}, methods...),
		"account-profile":  append([]string{"account.js", "confirm.js", "profile.js", "settings.js"}, methods...),
		"account-sessions": {"account.js", "sessions.js", "device.js"},
		"account-tokens":   append([]string{"account.js", "confirm.js", "tokens.js", "settings.js"}, methods...),
		"confirm":          append([]string{"confirmation.js"}, methods...),
		"register":         {"ask-mail.js", "mailed.js", "passkey.js", "webauthn.js"},
		"forgot":           {"ask-mail.js", "mailed.js"},
		"activate":         {"mailed-link.js", "mailed.js"},
		"reset":            {"mailed-link.js", "mailed.js"},
		"email":            {"mailed-link.js", "mailed.js"},

		"admin":             {"admin.js", "admin-users.js"},
		"admin-user":        append([]string{"admin.js", "admin-user.js", "admin-really.js", "confirm.js", "device.js"}, methods...),
		"admin-invitations": append([]string{"admin.js", "admin-invitations.js", "admin-really.js", "admin-who.js", "confirm.js"}, methods...),
		"admin-access":      {"admin.js", "admin-access.js"},
		"admin-log":         {"admin.js", "admin-log.js", "admin-events.js", "admin-who.js"},
	} {
		var code string
		modules = append(modules, "page.js", "attempts.js")
		if slices.Contains(texts[name], "password") {
			modules = append(modules, "fields.js")
		}
		for _, m := range modules {
			code += strings.ReplaceAll(string(must(files.ReadFile("assets/"+m))), "\t", "")
		}
		texts := p.pages[name].words[source].Script
		found := says.FindAllStringSubmatch(code, -1)
		if len(found) < 8 {
			t.Fatalf("%s: only %d texts are said", name, len(found))
		}
		for _, m := range found {
			if key := m[1] + m[2]; texts[key] == "" {
				t.Errorf("%s: no text %q", name, key)
			}
		}
		for key := range texts {
			ofKind := key == "passkey" || key == "wallet" || key == "password" || key == "key" || strings.HasPrefix(key, "event_")
			if !ofKind && !strings.Contains(code, "'"+key+"'") {
				t.Errorf("%s: text %q is not used", name, key)
			}
		}
	}
}

// Texts that no template says are left over.
func TestPageTexts(t *testing.T) {
	for name, pg := range New().pages {
		code := string(must(files.ReadFile("templates/"+name+".html"))) + string(must(os.ReadFile("fields.go"))) + string(must(os.ReadFile("view.go"))) + string(must(os.ReadFile("administration.go"))) + string(must(os.ReadFile("confirm.go")))
		for _, shared := range []string{"methods", "fields", "administration"} {
			code += string(must(files.ReadFile("templates/" + shared + ".html")))
		}
		for key := range pg.words[source].Page {
			_, ofKind, _ := strings.Cut(key, ".")
			built := name == "error" && (ofKind != "" || key == "soon" || strings.HasPrefix(key, "in")) || name == "loop" && ofKind != "" || strings.HasSuffix(key, "Method")
			if !built && !strings.Contains(code, `"`+key+`"`) {
				t.Errorf("%s: text %q is not used", name, key)
			}
		}
	}
}

func TestMethodNames(t *testing.T) {
	for _, m := range []authcore.Method{authcore.Passkey, authcore.Wallet, authcore.Password} {
		id := identity()
		id.Methods = []authcore.MethodUse{{Method: m, Time: time.Unix(1, 0)}}
		serve(t, gateway.Page{Name: "account", Identity: id})
	}
}

func TestServeAsset(t *testing.T) {
	tests := []struct {
		name string
		code int
		kind string
	}{
		{"authgate.css", 200, "text/css; charset=utf-8"},
		{"sign-in.js", 200, "text/javascript; charset=utf-8"},
		{"gate.svg", 200, "image/svg+xml"},
		{"", 404, ""},
		{"none.js", 404, ""},
		{"../pages.go", 404, ""},
		{"../templates/base.html", 404, ""},
		{"AUTHGATE.CSS", 404, ""},
	}
	for _, test := range tests {
		for _, method := range []string{"GET", "HEAD"} {
			w := httptest.NewRecorder()
			New().ServeAsset(w, httptest.NewRequest(method, "/auth/assets/x", nil), test.name)
			if w.Code != test.code || test.kind != "" && w.Header().Get("Content-Type") != test.kind {
				t.Errorf("%s %q: %d %s", method, test.name, w.Code, w.Header().Get("Content-Type"))
			}
			if body := w.Body.Len(); test.code == 200 && (body > 0) != (method == "GET") {
				t.Errorf("%s %q: body of %d bytes", method, test.name, body)
			}
		}
	}
	for name := range New().assets {
		if !slices.Contains([]string{".css", ".js", ".svg"}, path.Ext(name)) {
			t.Errorf("%s has no content type", name)
		}
	}
}

// What a script finds out only when it runs is fetched after it, and until then no button does anything.
func TestPagesNameTheScriptsOfTheirMethods(t *testing.T) {
	somebody := &authcore.Identity{Subject: "1", Username: "ada"}
	keys := append(slices.Clone(every), authcore.ProgramKey)
	for name, p := range map[string]gateway.Page{
		"sign-in": {Name: "sign-in", Methods: keys},
		"step-up": {Name: "sign-in", Methods: keys, Identity: somebody},
		"confirm": {Name: "confirm", Methods: every, Identity: somebody, ReturnTo: "/vault", Confirm: &gateway.Confirm{Within: time.Minute}},
	} {
		head, body, _ := strings.Cut(serve(t, p).Body.String(), "</head>")
		for _, m := range regexp.MustCompile(`data-method="([a-z]+)"`).FindAllStringSubmatch(body, -1) {
			if !strings.Contains(head, `<script type="module" src="/auth/assets/`+m[1]+`.js"></script>`) {
				t.Errorf("%s does not name the script of %s", name, m[1])
			}
		}
		if strings.Contains(head, "/key.js") {
			t.Errorf("%s names a script for the keys of programs, which have none", name)
		}
	}
}

// Who sends a form without scripts has nothing but the title to tell the answer from the form by, in a list of tabs.
func TestAnswerToAFormHasATitleOfItsOwn(t *testing.T) {
	for _, name := range []string{"register", "forgot"} {
		body := serve(t, gateway.Page{Name: name, Methods: every, Registration: true, Sent: true, Email: "ada@example.com"}).Body.String()
		if !strings.Contains(body, "<title>Check your mail · ") {
			t.Errorf("%s: no title of its own", name)
		}
	}
}

func TestServePageHead(t *testing.T) {
	w := httptest.NewRecorder()
	err := New().ServePage(w, httptest.NewRequest(http.MethodHead, "/auth/sign-in", nil), gateway.Page{Name: "sign-in", Origin: "https://a.example"})
	if err != nil || w.Code != 200 || w.Body.Len() != 0 || w.Header().Get("Content-Length") == "0" {
		t.Errorf("%v, %d, %d bytes, Content-Length %s", err, w.Code, w.Body.Len(), w.Header().Get("Content-Length"))
	}
}

// Where a page cannot be made nothing is written, so that the gateway can still answer otherwise.
func TestServePageFailsWhole(t *testing.T) {
	for _, p := range []gateway.Page{{Name: "none", Origin: "https://a.example"}, {Name: "sign-in", Origin: "::"}, {Name: "", Origin: "https://a.example"}} {
		w := httptest.NewRecorder()
		if err := New().ServePage(w, httptest.NewRequest("GET", "/", nil), p); err == nil {
			t.Errorf("%+v: no error", p)
		}
		if w.Body.Len() > 0 || len(w.Header()) > 0 {
			t.Errorf("%+v: wrote %v %s", p, w.Header(), w.Body)
		}
	}
}

func BenchmarkServePage(b *testing.B) {
	p, r := New(), httptest.NewRequest("GET", "/auth/sign-in", nil)
	page := gateway.Page{Name: "sign-in", Mount: "/auth", Origin: "https://app.example.com", Methods: []authcore.Method{authcore.Wallet}, ReturnTo: "/x"}
	for b.Loop() {
		if err := p.ServePage(httptest.NewRecorder(), r, page); err != nil {
			b.Fatal(err)
		}
	}
}
