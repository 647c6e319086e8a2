package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

// maxReadings is how many readings of a path an explanation lists; the deciding one is among them.
const maxReadings = 16

// Explanation is a decision, and how it came about.
type Explanation struct {
	Decision
	Source   string    // of the rule that decided; empty: none did, or it has none
	Text     string    // that rule, as Rule.String has it; empty: none did
	Readings []Reading // the readings of the path, the deciding one first, and no more than 16
	Others   int       // how many further readings there are
	Passed   []Passed  // the rules before it that name the path under the deciding reading, and do not fit
	Words    []string  // all that in sentences
}

// Reading is one way in which a backend might read a path, and what becomes of it.
type Reading struct {
	Text    string // decoded and folded
	Verdict Verdict
	Rule    int // as in Decision
}

// Passed is a rule that names a path and does not fit the request.
type Passed struct {
	Rule   int
	Source string
	Method bool // the method is none of its methods
	From   bool // the client's address is in none of its networks
}

// Explain answers what Judge answers, and why. It is for people, and slow.
func (p *Policy) Explain(req Request) Explanation {
	e := Explanation{Decision: p.Judge(req)}
	req.Client = req.Client.Unmap().WithZone("")
	if e.Rule >= 0 {
		e.Source, e.Text = p.texts[e.Rule].Source, p.texts[e.Rule].String()
	}
	if e.Verdict != BadPath {
		p.listReadings(&e, &req)
		e.Passed = p.passed(&e, &req)
	}
	e.Words = p.words(&e, &req)
	return e
}

// listReadings lists what Judge judged.
func (p *Policy) listReadings(e *Explanation, req *Request) {
	texts := []string{req.Path}
	if shapeOf(req.Path) == special {
		texts, _ = readings(req.Path)
	}
	seen := map[string]bool{e.Reading: true}
	e.Readings = []Reading{{e.Reading, e.Verdict, e.Rule}}
	for _, text := range texts {
		d := p.judge(foldExact(text), foldLoose(text), req)
		switch {
		case seen[d.Reading]:
		case len(e.Readings) == maxReadings:
			e.Others++
		default:
			e.Readings = append(e.Readings, Reading{d.Reading, d.Verdict, d.Rule})
		}
		seen[d.Reading] = true
	}
}

// passed answers the rules that name the deciding reading before the one that decided, or all where none did.
func (p *Policy) passed(e *Explanation, req *Request) []Passed {
	// The reading is folded one way or the other: it was found in the tree that comes to this verdict.
	root := p.exact
	if d := p.decide(p.find(root, e.Reading, req), e.Reading, req); d.Rule != e.Rule || d.Verdict != e.Verdict {
		root = p.loose
	}
	var passed []Passed
	for _, i := range root.naming(e.Reading) {
		if e.Rule >= 0 && i >= e.Rule {
			break
		}
		rule := &p.rules[i]
		passed = append(passed, Passed{i, p.texts[i].Source, !rule.fitsMethod(req.Method), !rule.fitsClient(req.Client)})
	}
	return passed
}

// naming answers the rules that name a path, in order.
func (n *node) naming(path string) []int {
	rules := slices.Clone(n.below)
	for segment := range strings.SplitSeq(path[1:], "/") {
		if n = n.children[segment]; n == nil {
			break
		}
		rules = append(rules, n.below...)
	}
	if n != nil {
		rules = append(rules, n.here...)
	}
	slices.Sort(rules)
	return slices.Compact(rules)
}

// words tells an explanation in sentences.
func (p *Policy) words(e *Explanation, req *Request) []string {
	if e.Verdict == BadPath {
		if !ValidMethod(req.Method) {
			return []string{fmt.Sprintf("%q is no method in upper case, as a backend might take for another one: it is refused unjudged.", req.Method)}
		}
		return []string{"The path has no sane reading: it is not absolute, is too long, has more readings than are sensible, or has invalid escapes, " +
			"control characters, bad UTF-8, or a raw #, ?, backslash or space. It is refused unjudged."}
	}
	var words []string
	if n := len(e.Readings) + e.Others; n > 1 {
		words = append(words, fmt.Sprintf("Backends might read the path in %d ways; the strictest counts, which is that of %q.", n, e.Reading))
	}
	for _, passed := range e.Passed {
		words = append(words, p.whyPassed(passed, req))
	}
	return append(words, p.why(e, req)...)
}

func (p *Policy) whyPassed(passed Passed, req *Request) string {
	var why []string
	if passed.Method {
		why = append(why, "is not for "+req.Method)
	}
	if passed.From {
		from := "clients of unknown address"
		if req.Client.IsValid() {
			from = req.Client.String()
		}
		why = append(why, "is not for "+from)
	}
	return fmt.Sprintf("%s names the path, but %s.", capital(title(p.texts, passed.Rule)), strings.Join(why, " and "))
}

// why tells what the rule that decided says, or what holds where none did.
func (p *Policy) why(e *Explanation, req *Request) []string {
	if e.Rule < 0 {
		if len(e.Passed) > 0 {
			return []string{"Rules name the path and none of them fits, so nobody may."}
		}
		if e.Verdict == Allow {
			return []string{"No rule names the path, so whoever is signed in may."}
		}
		return []string{"No rule names the path, so whoever is signed in may, and nobody is here."}
	}
	rule := p.texts[e.Rule]
	decides := capital(title(p.texts, e.Rule)) + " decides: "
	switch {
	case rule.Deny:
		return []string{decides + "it refuses everybody."}
	case rule.Anyone:
		return []string{decides + "it lets in anybody."}
	}
	whom := "whoever is signed in"
	if !rule.SignedIn {
		var lists []string
		if len(rule.Roles) > 0 {
			lists = append(lists, "who has the role "+strings.Join(rule.Roles, " or "))
		}
		if len(rule.Users) > 0 {
			lists = append(lists, "who is "+strings.Join(rule.Users, " or "))
		}
		whom = strings.Join(lists, " or ")
	}
	words := []string{decides + "it lets in " + whom + evidence(rule.With, rule.Within) + "."}
	switch e.Verdict {
	case SignIn:
		words = append(words, "Nobody is signed in here.")
	case Forbidden:
		has := "no role"
		if roles := req.Identity.Roles; len(roles) > 0 {
			has = "the roles " + strings.Join(roles, ", ")
		}
		words = append(words, fmt.Sprintf("%s has %s, and is not among them.", req.Identity.Username, has))
	case StepUp:
		words = append(words, fmt.Sprintf("%s is among them, and has to confirm that first.", req.Identity.Username))
	}
	return words
}

// evidence tells what else a rule asks for, after whom it lets in.
func evidence(with []authcore.Method, within time.Duration) string {
	var words string
	if len(with) > 0 {
		words = " and signed in with " + strings.Join(methodNames(with), " or ")
	}
	if within > 0 {
		if words == "" {
			words = " and signed in"
		}
		words += " no longer ago than " + shortDuration(within)
	}
	return words
}

func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }
