package policy

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

// What is wrong with a configuration, where it is, and what to write instead.
func TestCompileErrors(t *testing.T) {
	path := func(p string) []Rule { return []Rule{{Source: "Caddyfile:7", Anyone: true, Paths: []string{p}}} }
	user := func(u string) []Rule { return []Rule{{Source: "Caddyfile:7", Users: []string{u}}} }
	tests := []struct {
		rules []Rule
		want  string
	}{
		{[]Rule{{}}, `policy: rule 1: it does not say for whom it is; write anyone, signed_in, role <name> or user <name>, or deny`},
		{[]Rule{{Anyone: true, Paths: []string{"/x"}}, {Source: "Caddyfile:9", Deny: true, Roles: []string{"admin"}}}, `policy: rule 2 at Caddyfile:9: it is for more than one of deny, anyone, signed_in and roles or users; write a rule for each`},
		{[]Rule{{Anyone: true, SignedIn: true}}, `policy: rule 1: it is for more than one of deny, anyone, signed_in and roles or users; write a rule for each`},
		{[]Rule{{Anyone: true, With: []authcore.Method{authcore.Passkey}}}, `policy: rule 1: with and within ask how somebody signed in, and nobody has to here; use allow signed_in, role or user, or take them out`},
		{[]Rule{{Deny: true, Within: time.Minute}}, `policy: rule 1: with and within ask how somebody signed in, and nobody has to here; use allow signed_in, role or user, or take them out`},
		{[]Rule{{SignedIn: true, Within: -time.Minute}}, `policy: rule 1: within -1m0s is not in the past; write a duration above zero, such as 5m`},
		{[]Rule{{SignedIn: true, With: []authcore.Method{"sms"}}}, `policy: rule 1: with "sms": there is no such way to sign in; write passkey, wallet, password or key`},
		{[]Rule{{SignedIn: true, With: []authcore.Method{"passkey", "passkey"}}}, `policy: rule 1: with passkey is named twice; name it once`},
		{[]Rule{{Roles: []string{""}}}, `policy: rule 1: a role is empty; write its name`},
		{[]Rule{{Roles: []string{"a,b"}}}, `policy: rule 1: role "a,b": a role is 1 to 64 letters, digits, '-', '_', '.' and ':'; write several with spaces between them`},
		{[]Rule{{Roles: []string{strings.Repeat("a", 65)}}}, `policy: rule 1: role "` + strings.Repeat("a", 65) + `": a role is 1 to 64 letters, digits, '-', '_', '.' and ':'; write several with spaces between them`},
		{[]Rule{{Roles: []string{"admin", "admin/*"}}}, `policy: rule 1: role "admin/*": a role is 1 to 64 letters, digits, '-', '_', '.' and ':', and paths begin with /; as a path write /admin/*`},
		{[]Rule{{Roles: []string{"ops:on-call_2.x"}}}, ``},
		{[]Rule{{Roles: []string{"a", "a"}}}, `policy: rule 1: role "a" is named twice; name it once`},
		{[]Rule{{SignedIn: true, Methods: []string{"get"}}}, `policy: rule 1: method "get": methods are in upper case; write GET`},
		{[]Rule{{SignedIn: true, Methods: []string{"GET,PUT"}}}, `policy: rule 1: method "GET,PUT" is not the name of a method; write one such as GET`},
		{[]Rule{{SignedIn: true, Methods: []string{""}}}, `policy: rule 1: a method is empty; write its name, such as GET`},
		{[]Rule{{SignedIn: true, Methods: []string{"CONNECT"}}}, `policy: rule 1: method CONNECT is always refused and never judged; a websocket is judged as GET`},
		{[]Rule{{SignedIn: true, Methods: []string{"GET", "GET"}}}, `policy: rule 1: method GET is named twice; name it once`},
		{[]Rule{{SignedIn: true, From: []netip.Prefix{{}}}}, `policy: rule 1: from: the address is not valid; write an address or a network, such as 10.0.0.0/8`},
		{[]Rule{{SignedIn: true, From: prefixes("10.0.0.0/8", "::ffff:10.1.0.0/104")}}, `policy: rule 1: from 10.0.0.0/8 is named twice; name it once`},

		{user(""), `policy: rule 1 at Caddyfile:7: a user is empty; write a username, an e-mail address or a wallet address`},
		{user("bob smith"), `policy: rule 1 at Caddyfile:7: user "bob smith" is neither a username (a–z 0–9 . _ -), an e-mail address nor a wallet address (0x and 40 hex digits)`},
		{user("0x1234"), ``},
		{user("0x52908400098527886E0F7030069857D2E4169EEG"), `policy: rule 1 at Caddyfile:7: user "0x52908400098527886E0F7030069857D2E4169EEG" looks like a wallet address and is none; write 0x and 40 hex digits`},
		{user("@example.com"), `policy: rule 1 at Caddyfile:7: user "@example.com" is not an e-mail address; write one such as alice@example.com`},
		{user("eip155:0:0x52908400098527886E0F7030069857D2E4169EE7"), `policy: rule 1 at Caddyfile:7: user "eip155:0:0x52908400098527886E0F7030069857D2E4169EE7" is not a contract wallet; write eip155:<chain id>:0x and 40 hex digits`},
		{user("eip155:1:0x1234"), `policy: rule 1 at Caddyfile:7: user "eip155:1:0x1234" is not a contract wallet; write eip155:<chain id>:0x and 40 hex digits`},
		{[]Rule{{Users: []string{"bob", "Bob"}}}, `policy: rule 1: user "Bob" is named twice; name them once`},

		{path(""), `policy: rule 1 at Caddyfile:7: a path is empty; write one that begins with a slash, or leave all paths out`},
		{path("*"), `policy: rule 1 at Caddyfile:7: path "*" does not begin with a slash; write /* or leave all paths out`},
		{path("/internal,/private/*"), `policy: rule 1 at Caddyfile:7: path "/internal,/private/*": paths stand with spaces between them; write /internal /private/*`},
		{path("/a,b"), ``},
		{path("admin/*"), `policy: rule 1 at Caddyfile:7: path "admin/*" does not begin with a slash; write /admin/*`},
		{path("/admin*"), `policy: rule 1 at Caddyfile:7: path "/admin*": a * stands only at the end, after a slash; write /admin/* for everything below it, and other paths each in full`},
		{path("/a/*/b"), `policy: rule 1 at Caddyfile:7: path "/a/*/b": a * stands only at the end, after a slash; write /a/* for everything below`},
		{path("/a/*.php"), `policy: rule 1 at Caddyfile:7: path "/a/*.php": a * stands only at the end, after a slash; write /a/* for everything below`},
		{path("/a/**"), `policy: rule 1 at Caddyfile:7: path "/a/**": a * stands only at the end, after a slash; write /a/* for everything below`},
		{path("/a/*/*"), `policy: rule 1 at Caddyfile:7: path "/a/*/*": a * stands only at the end, after a slash; write /a/* for everything below`},
		{path("/a?x=1"), `policy: rule 1 at Caddyfile:7: path "/a?x=1": rules judge the path only, never what follows a ? or #; write /a`},
		{path("/a;v=1/*"), `policy: rule 1 at Caddyfile:7: path "/a;v=1/*": a path is judged without its ;parameters too; write /a/*`},
		{path(`/a\b`), `policy: rule 1 at Caddyfile:7: path "/a\\b": a path has slashes, no backslashes; write /a/b`},
		{path("/caf%C3%A9/*"), `policy: rule 1 at Caddyfile:7: path "/caf%C3%A9/*": paths are written decoded; write /café/*`},
		{path("/100%/%41"), `policy: rule 1 at Caddyfile:7: path "/100%/%41": paths are written decoded; write the characters themselves`},
		{path("//a/*"), `policy: rule 1 at Caddyfile:7: path "//a/*": paths are judged without empty segments, dot segments, and dots and spaces at the end of a segment too; write /a/*`},
		{path("/a/../b"), `policy: rule 1 at Caddyfile:7: path "/a/../b": paths are judged without empty segments, dot segments, and dots and spaces at the end of a segment too; write /b`},
		{path("/a./b /*"), `policy: rule 1 at Caddyfile:7: path "/a./b /*": paths are judged without empty segments, dot segments, and dots and spaces at the end of a segment too; write /a/b/*`},
		{path("/./*"), `policy: rule 1 at Caddyfile:7: path "/./*": paths are judged without empty segments, dot segments, and dots and spaces at the end of a segment too; write /*`},
		{path("/a\x00"), `policy: rule 1 at Caddyfile:7: path "/a\x00" has control characters or is not UTF-8; such requests are always refused`},
		{path("/a\xff"), `policy: rule 1 at Caddyfile:7: path "/a\xff" has control characters or is not UTF-8; such requests are always refused`},
		{[]Rule{{Anyone: true, Paths: []string{"/A", "/a"}}}, `policy: rule 1: path "/a" is named twice; name it once`},
		{path("/"), ``},
		{path("/*"), ``},
		{path("/100%"), ``},
	}
	for _, test := range tests {
		_, err := Compile(test.rules, "/auth")
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("%+v:\n got %s\nwant %s", test.rules, got, test.want)
		}
	}
}

func TestDeadRules(t *testing.T) {
	tests := []struct {
		name  string
		rules []Rule
		want  string
	}{
		{"covered by a prefix", []Rule{
			{Source: "Caddyfile:3", Roles: []string{"admin", "root"}, Paths: []string{"/admin/*"}},
			{Source: "Caddyfile:4", Deny: true, Paths: []string{"/admin/x", "/ADMIN"}},
		}, `policy: rule 2 at Caddyfile:4 (deny /admin/x /ADMIN) can never decide anything: rule 1 at Caddyfile:3 (allow role admin root /admin/*) comes first and takes every request it names; move it before that rule or take it out`},
		{"covered by a rule without paths", []Rule{
			{Source: "Caddyfile:3", SignedIn: true},
			{Source: "Caddyfile:4", Users: []string{"alice"}, Paths: []string{"/x/*"}},
		}, `policy: rule 2 at Caddyfile:4 (allow user alice /x/*) can never decide anything: rule 1 at Caddyfile:3 (allow signed_in) comes first and takes every request it names; move it before that rule or take it out`},
		{"path by path", []Rule{
			{Source: "a:1", Anyone: true, Paths: []string{"/a/*"}},
			{Source: "a:2", Anyone: true, Paths: []string{"/b/*"}},
			{Source: "a:3", Deny: true, Paths: []string{"/a/x", "/b/x"}},
		}, `policy: rule 3 at a:3 (deny /a/x /b/x) can never decide anything: rule 1 at a:1 (allow anyone /a/*) and rule 2 at a:2 (allow anyone /b/*) come first and together take every request it names; move it before them or take it out`},
		{"method by method", []Rule{
			{Anyone: true, Methods: []string{"GET"}},
			{SignedIn: true, Methods: []string{"PUT", "POST"}},
			{Deny: true, Methods: []string{"GET", "PUT"}},
		}, `policy: rule 3 (deny) can never decide anything: rule 1 (allow anyone) and rule 2 (allow signed_in) come first and together take every request it names; move it before them or take it out`},
		{"methods never make up all methods", []Rule{
			{Anyone: true, Methods: []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"}},
			{Deny: true},
		}, ""},
		{"half by half of the addresses", []Rule{
			{Anyone: true, From: prefixes("0.0.0.0/1")},
			{Anyone: true, From: prefixes("128.0.0.0/1", "::/1")},
			{SignedIn: true, From: prefixes("8000::/1")},
			{Deny: true},
		}, `policy: rule 4 (deny) can never decide anything: rule 1 (allow anyone) and rule 2 (allow anyone) and rule 3 (allow signed_in) come first and together take every request it names; move it before them or take it out`},
		{"IPv4 alone is not everything", []Rule{
			{Anyone: true, From: prefixes("0.0.0.0/0")},
			{Deny: true},
		}, ""},
		{"a gap of one address", []Rule{
			{Anyone: true, From: prefixes("10.0.0.0/25", "10.0.0.128/26", "10.0.0.192/27", "10.0.0.224/28", "10.0.0.240/29", "10.0.0.248/30", "10.0.0.252/31", "10.0.0.254/32")},
			{Deny: true, From: prefixes("10.0.0.0/24")},
		}, ""},
		{"no gap", []Rule{
			{Anyone: true, From: prefixes("10.0.0.0/25", "10.0.0.128/26", "10.0.0.192/26")},
			{Deny: true, From: prefixes("10.0.0.0/24")},
		}, `policy: rule 2 (deny) can never decide anything: rule 1 (allow anyone) comes first and takes every request it names; move it before that rule or take it out`},
		{"IPv4 in IPv6 is IPv4", []Rule{
			{Anyone: true, From: prefixes("10.0.0.0/8")},
			{Deny: true, From: prefixes("::ffff:10.1.0.0/112")},
		}, `policy: rule 2 (deny) can never decide anything: rule 1 (allow anyone) comes first and takes every request it names; move it before that rule or take it out`},
		{"nobody is in the mapped part of IPv6", []Rule{
			{Anyone: true, From: prefixes("::fffe:0:0/96")},
			{Deny: true, From: prefixes("::fffe:0:0/95")},
		}, `policy: rule 2 (deny) can never decide anything: rule 1 (allow anyone) comes first and takes every request it names; move it before that rule or take it out`},
		{"another method from elsewhere", []Rule{
			{Anyone: true, Methods: []string{"GET"}, From: prefixes("10.0.0.0/8")},
			{Deny: true, Methods: []string{"GET"}},
			{SignedIn: true},
		}, ""},
		{"wider than what is before", []Rule{
			{Anyone: true, Paths: []string{"/a", "/a/", "/a/b/*"}},
			{Deny: true, Paths: []string{"/a/*"}},
		}, ""},
		{"with and without a slash", []Rule{
			{Anyone: true, Paths: []string{"/a/"}},
			{Deny: true, Paths: []string{"/a"}},
		}, `policy: rule 2 (deny /a) can never decide anything: rule 1 (allow anyone /a/) comes first and takes every request it names; move it before that rule or take it out`},
		{"without and with a slash", []Rule{
			{Anyone: true, Paths: []string{"/a"}},
			{Deny: true, Paths: []string{"/a/"}},
		}, ""},
		{"below the mount", []Rule{
			{Source: "Caddyfile:3", Anyone: true, Paths: []string{"/AUTH/*", "/auth/session"}},
		}, `policy: rule 1 at Caddyfile:3 (allow anyone /AUTH/* /auth/session) can never decide anything: the gateway itself answers /auth and everything below; take the rule out`},
		{"partly below the mount, the rest shadowed", []Rule{
			{Anyone: true, Paths: []string{"/x"}},
			{Deny: true, Paths: []string{"/auth", "/x"}},
		}, `policy: rule 2 (deny /auth /x) can never decide anything: rule 1 (allow anyone /x) comes first and takes every request it names; move it before that rule or take it out`},
		{"beside the mount", []Rule{
			{Anyone: true, Paths: []string{"/authors/*"}},
			{Deny: true},
		}, ""},
	}
	for _, test := range tests {
		_, err := Compile(test.rules, "/auth")
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("%s:\n got %s\nwant %s", test.name, got, test.want)
		}
	}
}
