package policy

import (
	"net/netip"
	"strings"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

// Verdict is what becomes of a request. Smaller is stricter, and the zero value refuses.
type Verdict int

const (
	Forbidden Verdict = iota // 403: not for this user, or for nobody
	BadPath                  // 400: the path has no sane reading, or the method is no upper-case token
	SignIn                   // somebody who is signed in might
	StepUp                   // this user may, after proving what With and Within of the decision ask for
	Allow
)

func (v Verdict) String() string {
	switch v {
	case Forbidden:
		return "forbidden"
	case BadPath:
		return "bad_path"
	case SignIn:
		return "sign_in"
	case StepUp:
		return "step_up"
	case Allow:
		return "allow"
	}
	return "invalid"
}

// Request is what a policy judges.
type Request struct {
	Method   string             // as in the request line; that of a websocket is GET
	Path     string             // escaped, as it stands in the request, without the query
	Client   netip.Addr         // IPv4 in IPv6 counts as IPv4; the zero Addr fits only rules without From
	Identity *authcore.Identity // nil: signed out
	Now      time.Time

	preflight bool // asked is not the request itself, but whether a rule lets its preflight through
}

// Decision is a verdict and where it comes from.
type Decision struct {
	Verdict Verdict
	// Rule is the index of the rule that decided. It is -1 where none did: the path is named by no rule (then any signed-in
	// user may), or by rules of which none fits (then the verdict is Forbidden), or there was nothing to judge (BadPath).
	Rule int
	// Reading is the reading of the path that led to this verdict, decoded and folded; the strictest verdict counts.
	Reading string

	With   []authcore.Method // StepUp: one of these must be used; empty: any. Not to be changed.
	Within time.Duration     // StepUp: and no longer ago than this; 0: at any time in this session

	Strict bool // under some reading a rule with Strict decides
	Public bool // under every reading a rule with Anyone decides
}

// Policy is a compiled list of rules.
type Policy struct {
	rules []compiled
	texts []Rule // as they were written, for explanations
	exact *node  // patterns under the exact folding
	loose *node  // patterns under the loose one; the same as exact where the foldings agree on all of them
}

const (
	unnamed = -1 // no rule names the path
	misfit  = -2 // rules name it, none fits method and client
)

// Judge decides on a request: the strictest verdict over all readings of its path.
//
// A signed-out user gets SignIn only where signing in could help. Where no rule fits the method and address, or the rule
// is a deny, it could not, and the answer is Forbidden for everybody. A personal access token is Forbidden what is out of its
// reach, public or not, and what asks how its user signed in: it cannot step up.
func (p *Policy) Judge(req Request) Decision {
	d := p.strictest(req)
	if id := req.Identity; id != nil && id.Token && d.Verdict > SignIn {
		switch {
		case d.Verdict == StepUp:
			return Decision{Rule: d.Rule, Reading: d.Reading, Strict: d.Strict}
		case id.Reach != nil && !id.Reach.Reaches(req.Path):
			return Decision{Rule: unnamed, Reading: d.Reading, Strict: d.Strict}
		}
	}
	return d
}

// strictest answers the strictest verdict over all readings.
func (p *Policy) strictest(req Request) Decision {
	refused := Decision{Verdict: BadPath, Rule: unnamed}
	// A rule names methods in upper case. Were "delete" judged, it would miss a rule for DELETE that a lenient backend
	// would have it under.
	if !ValidMethod(req.Method) {
		return refused
	}
	req.Client = req.Client.Unmap().WithZone("")

	switch shapeOf(req.Path) {
	case plain:
		return p.judge(req.Path, req.Path, &req)
	case plainButCase:
		folded := strings.ToLower(req.Path)
		return p.judge(folded, folded, &req)
	}
	texts, ok := readings(req.Path)
	if !ok {
		return refused
	}
	strictest := p.judge(foldExact(texts[0]), foldLoose(texts[0]), &req)
	for _, text := range texts[1:] {
		strictest = stricter(strictest, p.judge(foldExact(text), foldLoose(text), &req))
	}
	return strictest
}

// judge decides on one reading, given in both foldings.
func (p *Policy) judge(exact, loose string, req *Request) Decision {
	d := p.judgeIn(p.exact, exact, req)
	if p.loose != p.exact || loose != exact {
		d = stricter(d, p.judgeIn(p.loose, loose, req))
	}
	return d
}

func (p *Policy) judgeIn(root *node, text string, req *Request) Decision {
	d := p.decide(p.find(root, text, req), text, req)
	// A backend that cleans paths, or whose routes do not mind, drops the slash at the end.
	if len(text) > 1 && text[len(text)-1] == '/' {
		text = text[:len(text)-1]
		d = stricter(d, p.decide(p.find(root, text, req), text, req))
	}
	return d
}

// stricter answers the decision with the stricter verdict. What else a decision says holds whichever reading the backend
// has: of two that let a request through, one may ask the store, and only one be for everybody.
func stricter(a, b Decision) Decision {
	strict, public := a.Strict || b.Strict, a.Public && b.Public
	if b.Verdict < a.Verdict {
		a = b
	}
	a.Strict, a.Public = strict, public
	return a
}

// decide says what the rule with this index, unnamed or misfit means for a request.
func (p *Policy) decide(index int, reading string, req *Request) Decision {
	d := Decision{Rule: index, Reading: reading}
	switch index {
	case misfit:
		d.Rule = unnamed
		return d
	case unnamed:
		d.Verdict = SignIn
		if req.Identity != nil {
			d.Verdict = Allow
		}
		return d
	}
	rule := &p.rules[index]
	d.Strict, d.Public = rule.strict, rule.anyone
	switch {
	case rule.deny:
	case req.preflight:
		if rule.preflight {
			d.Verdict = Allow
		}
	case rule.anyone:
		d.Verdict = Allow
	case req.Identity == nil:
		d.Verdict = SignIn
	case !rule.admits(req.Identity):
	case !rule.proven(req.Identity, req.Now):
		d.Verdict, d.With, d.Within = StepUp, rule.with, rule.within
	default:
		d.Verdict = Allow
	}
	return d
}
