package policy

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/caddy-authgate/authgate/authcore"
)

// The reference: rules read from the top by a plain loop, on one plain string. It shares nothing with the policy.

func refNames(rule Rule, text string) bool {
	if len(rule.Paths) == 0 {
		return true
	}
	for _, pat := range rule.Paths {
		if dir, ok := strings.CutSuffix(pat, "/*"); ok {
			if len(dir) == 0 || strings.EqualFold(text, dir) || refHasPrefixFold(text, dir+"/") {
				return true
			}
		} else if strings.EqualFold(text, pat) {
			return true
		}
	}
	return false
}

func refHasPrefixFold(s, prefix string) bool {
	want := utf8.RuneCountInString(prefix)
	runes := []rune(s)
	return len(runes) >= want && strings.EqualFold(string(runes[:want]), prefix)
}

func refFits(rule Rule, method string, client netip.Addr) bool {
	return (len(rule.Methods) == 0 || slices.Contains(rule.Methods, method)) &&
		(len(rule.From) == 0 || slices.ContainsFunc(rule.From, func(p netip.Prefix) bool { return p.Contains(client) }))
}

func reference(rules []Rule, method, text string, client netip.Addr, id *authcore.Identity) (Verdict, int) {
	named := false
	for i, rule := range rules {
		if !refNames(rule, text) {
			continue
		}
		named = true
		if !refFits(rule, method, client) {
			continue
		}
		switch {
		case rule.Deny:
			return Forbidden, i
		case rule.Anyone:
			return Allow, i
		case id == nil:
			return SignIn, i
		case rule.SignedIn, slices.ContainsFunc(rule.Roles, func(role string) bool { return slices.Contains(id.Roles, role) }):
			return Allow, i
		}
		return Forbidden, i
	}
	switch {
	case named:
		return Forbidden, -1
	case id == nil:
		return SignIn, -1
	}
	return Allow, -1
}

func replacer(pattern, with string) func(string) (string, bool) {
	re := regexp.MustCompile(pattern)
	return func(s string) (string, bool) { return re.ReplaceAllString(s, with), true }
}

// decoder decodes a path but for what pattern matches.
func decoder(pattern, kept string) func(string) (string, bool) {
	re := regexp.MustCompile(pattern)
	return func(s string) (string, bool) {
		u, err := url.PathUnescape(re.ReplaceAllString(s, kept))
		return u, err == nil
	}
}

var anEscape = regexp.MustCompile(`%[0-9A-Fa-f]{2}`)

// readers are backends, written without looking at the package: each makes of a path what some real one does. A reader
// that answers false does not answer the request.
var readers = []struct {
	name   string
	decode bool
	read   func(string) (string, bool)
}{
	{"decode", true, func(s string) (string, bool) { u, err := url.PathUnescape(s); return u, err == nil }},
	{"decode leniently", true, func(s string) (string, bool) {
		return anEscape.ReplaceAllStringFunc(s, func(e string) string { u, _ := url.PathUnescape(e); return u }), true
	}},
	{"decode but slashes", true, decoder(`(?i)%2f`, "%252F")},
	{"decode but dots", true, decoder(`(?i)%2e`, "%252E")},
	{"decode but backslashes", true, decoder(`(?i)%5c`, "%255C")},
	{"path.Clean", false, func(s string) (string, bool) { return path.Clean(s), true }},
	{"RFC 3986", false, func(s string) (string, bool) {
		base := &url.URL{Scheme: "http", Host: "h", Path: "/"}
		return base.ResolveReference(&url.URL{Path: s}).Path, true
	}},
	{"merge slashes", false, replacer(`//+`, "/")},
	{"drop parameters", false, replacer(`;[^/]*`, "")},
	{"backslash is slash", false, func(s string) (string, bool) { return strings.ReplaceAll(s, `\`, "/"), true }},
	{"trim dots", false, replacer(`\.+(/|$)`, "$1")},
	{"trim spaces", false, replacer(` +(/|$)`, "$1")},
	{"trim dots and spaces", false, replacer(`[. ]+(/|$)`, "$1")},
	{"trim dots and spaces after a name", false, replacer(`([^/. ])[. ]+(/|$)`, "$1$2")},
	{"authority", false, func(s string) (string, bool) {
		if !strings.HasPrefix(s, "//") {
			return s, true
		}
		u, err := url.Parse(s)
		if err != nil || u.Path == "" {
			return "/", err == nil
		}
		return u.Path, true
	}},
	{"end at ? and #", false, replacer(`[?#].*`, "")},
	{"as it is", false, func(s string) (string, bool) { return s, true }},
}

var refRules = []Rule{
	{Anyone: true, Paths: []string{"/public/*", "/open"}},
	{Deny: true, Paths: []string{"/public2", "/internal/*", "/open/closed"}},
	{Roles: []string{"admin"}, Paths: []string{"/admin/*", "/a/b"}},
	{Anyone: true, Paths: []string{"/a/*"}},
	{Roles: []string{"editor"}, Paths: []string{"/posts/*", "/k"}, Strict: true},
}

// checkReaders lets a backend made of the readers that program names read a target that was let through for id by d, and
// fails where what it makes of it is not allowed, or d tells less of it than its rule does. Two passes of decoding at most,
// and one at least: no backend serves escapes.
func checkReaders(t *testing.T, target string, id *authcore.Identity, d Decision, program []byte) {
	req := get(target, id)
	text, passes := target, 0
	var names []string
	for _, b := range program {
		reader := readers[int(b)%len(readers)]
		if reader.decode {
			if passes++; passes > 2 {
				return
			}
		}
		next, ok := reader.read(text)
		if !ok || next == "" || next[0] != '/' {
			return
		}
		text = next
		names = append(names, reader.name)
		if passes == 0 {
			continue
		}
		v, rule := reference(refRules, req.Method, text, req.Client, id)
		if v != Allow {
			t.Fatalf("%q was let through, but a backend (%s) reads it as %q: %s by %d", target, strings.Join(names, ", "), text, v, rule)
		}
		if rule >= 0 && refRules[rule].Strict && !d.Strict || d.Public && (rule < 0 || !refRules[rule].Anyone) {
			t.Fatalf("%q was let through by %+v, but a backend (%s) reads it as %q, by %d", target, d, strings.Join(names, ", "), text, rule)
		}
	}
}

func FuzzReadings(f *testing.F) {
	for _, seed := range []string{
		"/public/x", "/public/..;/admin/x", "/public/%2e%2e%2fadmin", "/public/%252e%252e%255cinternal", "/open.%20/closed", "//public/internal", "/100%25/%2561", "/a%2Fb;c", "/K", "/public/%E2%84%AA",
		"/public/x%3F/../../admin", "/public/.%20./..", "/open/", "/posts%5C..%5Cpublic",
	} {
		f.Add(seed, []byte{0, 8, 5, 9, 0, 5})
	}
	p := mustCompile(f, refRules...)
	f.Fuzz(func(t *testing.T, target string, program []byte) {
		for _, id := range []*authcore.Identity{nil, alice} {
			if d := p.Judge(get(target, id)); d.Verdict == Allow {
				checkReaders(t, target, id, d, program)
			}
		}
	})
}

// The same with targets made of what attacks are made of, so that each run of the tests tries many.
func TestReadersAgreeWithPolicy(t *testing.T) {
	pieces := []string{
		"/", "/", "/", "//", ".", "..", "/..", "/../", "/./", "%2e", "%2E%2e", "%2f", "%2F", "%5c", "%5C", ";", ";x=1", "%3b", "%20", "%25", "%252e", "%252f", "%255c", "%253B", "%2520", "%3F", "%23", "%253f",
		"public", "open", "closed", "internal", "admin", "posts", "a", "b", "k", "%61", "%2561", "A", "PUBLIC", "%E2%84%AA", "x", "host",
	}
	random := rand.New(rand.NewPCG(1, 2))
	p := mustCompile(t, refRules...)
	program := make([]byte, 7)
	allowed := 0
	for range 5_000 {
		target := []string{"/", "/public/", "/open/", "/a/", "/posts/", "//"}[random.IntN(6)]
		for range random.IntN(7) {
			target += pieces[random.IntN(len(pieces))]
		}
		for _, id := range []*authcore.Identity{nil, alice} {
			d := p.Judge(get(target, id))
			if d.Verdict != Allow {
				continue
			}
			allowed++
			for range 20 {
				for i := range program {
					program[i] = byte(random.IntN(len(readers)))
				}
				checkReaders(t, target, id, d, program)
			}
		}
	}
	if allowed < 1_500 {
		t.Errorf("only %d targets were let through: the test has become weak", allowed)
	}
}

// randomRules makes rules over few paths, methods and networks, so that they meet often.
func randomRules(random *rand.Rand, n int) []Rule {
	paths := []string{"/a", "/a/*", "/a/b", "/a/b/*", "/a/b/c/*", "/b", "/b/*", "/*", "/", "/auth/x"}
	methods := []string{"GET", "PUT", "POST"}
	networks := []string{"0.0.0.0/1", "128.0.0.0/1", "128.0.0.0/2", "192.0.0.0/2", "::/1", "8000::/1", "0.0.0.0/0", "::/0", "::ffff:0:0/96"}
	pick := func(from []string, most int) []string {
		random.Shuffle(len(from), func(i, j int) { from[i], from[j] = from[j], from[i] })
		return slices.Clone(from[:random.IntN(most+1)])
	}
	rules := make([]Rule, n)
	for i := range rules {
		rule := Rule{Paths: pick(paths, 3), Methods: pick(methods, 2)}
		if random.IntN(2) == 0 {
			rule.Methods = nil
		}
		if random.IntN(2) == 0 {
			for _, s := range pick(networks, 3) {
				// The zero network and the mapped one are the same to the package, and named twice.
				if prefix := unmap(netip.MustParsePrefix(s)); !slices.Contains(rule.From, prefix) {
					rule.From = append(rule.From, prefix)
				}
			}
		}
		switch random.IntN(4) {
		case 0:
			rule.Deny = true
		case 1:
			rule.Anyone = true
		case 2:
			rule.SignedIn = true
		default:
			rule.Roles = []string{[]string{"admin", "editor"}[random.IntN(2)]}
		}
		rules[i] = rule
	}
	return rules
}

// One request from each class that the rules of randomRules can tell apart.
var (
	witnessPaths   = []string{"/", "/a", "/a/x", "/a/b", "/a/b/x", "/a/b/c", "/a/b/c/x", "/b", "/b/x", "/c"}
	witnessMethods = []string{"GET", "PUT", "POST", "PURGE"}
	witnessClients = []string{"1.0.0.0", "129.0.0.0", "193.0.0.0", "1::", "9000::"}
)

// Judge decides as the plain loop does, and Compile refuses a rule exactly where no request is left to it.
func TestPolicyAgainstReference(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	dead, judged := 0, 0
	for round := range 4000 {
		rules := randomRules(random, 1+random.IntN(6))
		decides := make([]bool, len(rules))
		for _, path := range witnessPaths {
			for _, method := range witnessMethods {
				for _, client := range witnessClients {
					if _, i := reference(rules, method, path, netip.MustParseAddr(client), nil); i >= 0 {
						decides[i] = true
					}
				}
			}
		}
		p, err := Compile(rules, "/auth")
		if first := slices.Index(decides, false); first >= 0 {
			dead++
			if err == nil || !strings.HasPrefix(err.Error(), fmt.Sprintf("policy: rule %d (", first+1)) {
				t.Fatalf("round %d: rule %d of %+v is dead: %v", round, first+1, rules, err)
			}
			continue
		}
		if err != nil {
			t.Fatalf("round %d: %+v: %v", round, rules, err)
		}
		for _, path := range witnessPaths {
			for _, method := range witnessMethods {
				for _, client := range witnessClients {
					for _, id := range []*authcore.Identity{nil, alice, admin} {
						judged++
						req := Request{Method: method, Path: path, Client: netip.MustParseAddr(client), Identity: id, Now: noon}
						verdict, rule := reference(rules, method, path, req.Client, id)
						if d := p.Judge(req); d.Verdict != verdict || d.Rule != rule {
							t.Fatalf("round %d: %+v: %+v: %v, want %s by %d", round, rules, req, d, verdict, rule)
						}
					}
				}
			}
		}
	}
	if dead < 500 || judged < 500_000 {
		t.Errorf("%d dead rules and %d judgements: the test has become weak", dead, judged)
	}
}

func TestPlainPathsAllocateNothing(t *testing.T) {
	p := mustCompile(t, manyRules(100)...)
	for _, path := range []string{"/apps/app99/items/17", "/", "/apps/", "/x/y-z_1/a.b,c:d@e~f!g$h&i'j(k)*+="} {
		req := get(path, alice)
		if n := testing.AllocsPerRun(100, func() { p.Judge(req) }); n != 0 {
			t.Errorf("%s: %v allocations", path, n)
		}
	}
}
