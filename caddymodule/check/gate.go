package check

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/caddy-authgate/authgate/authcore/wallet"
)

// judgeGate says what there is to say about one gate.
func (w *walk) judgeGate(g event) {
	if by, dead := w.dead(g); dead {
		w.find(Error, "gate_unreachable", g, fmt.Sprintf("no request comes to authgate: %s stands before it and answers all", called(by)),
			"write authgate before it")
		return
	}
	if g.inErrors {
		return
	}
	for _, other := range w.events[:g.order] {
		if other.kind == gates && other.server == g.server && !other.inErrors && !exclusive(other.way, g.way) && (covers(other.way, g.way) || covers(g.way, other.way)) {
			w.find(Error, "gate_twice", g, "requests come through two authgate handlers in one chain and get 500", "leave one")
			return
		}
	}
	w.mount(g)
	w.hosts(g)
	w.behindProxy(g)
	w.home(g)
	w.logged(g)
	if !slices.ContainsFunc(w.events[g.order:], func(e event) bool {
		return e.kind != gates && !e.inErrors && e.server == g.server && !exclusive(g.way, e.way) && (e.ends && !e.refuses() || e.foreign)
	}) && w.config.Apps.HTTP.Servers[g.server].Trusted == nil {
		w.find(Note, "nothing_behind", g, "nothing stands behind authgate. If other proxies ask it (verify), none of them is trusted yet",
			"name their addresses in the global options: servers { trusted_proxies static <address>... }")
	}
}

// refuses reports whether a handler answers every request with an error: nothing is behind a gate that has only that.
func (e event) refuses() bool {
	var status json.Number
	if e.kind != answers || !e.h.into("status_code", &status) && !e.h.into("abort", new(bool)) {
		return e.h.name() == "error"
	}
	return status == "" || status >= "400"
}

// mount sees to it that the gate's own routes can be reached: without them nobody signs in.
func (w *walk) mount(g event) {
	pages, err := json.Marshal([]string{g.gate.mount() + "/*"})
	if err != nil {
		return
	}
	// A request to there, and nothing else.
	to := event{kind: answers, server: g.server, order: g.order}
	for _, s := range g.way {
		to.way = append(to.way, step{list: s.list, index: s.index, group: s.group, terminal: s.terminal})
	}
	set := map[string]json.RawMessage{"path": pages}
	if hosts := g.way.hosts(); len(hosts) > 0 {
		set["host"], err = json.Marshal(hosts)
		if err != nil {
			return
		}
	}
	to.way[len(to.way)-1].match = []map[string]json.RawMessage{set}
	for _, e := range w.events[:g.order] {
		if e.ends && e.server == g.server && !e.inErrors && covers(e.way, to.way) && len(w.before(e, gates)) == 0 {
			w.find(Error, "sign_in_taken", g, fmt.Sprintf("%s answers %s/*, so that nobody comes to the gate's own pages and routes", called(e), g.gate.mount()),
				"leave that path to authgate, or give it another one: path /<path>")
			return
		}
	}
	onlyPaths := true // what other matchers leave out is not known
	for _, s := range g.way {
		for _, set := range s.match {
			for name := range set {
				onlyPaths = onlyPaths && (name == "path" || name == "host")
			}
		}
	}
	if !onlyPaths || covers(g.way, to.way) {
		return
	}
	for _, other := range w.gatesOf(g) {
		if other.order != g.order && other.gate.mount() == g.gate.mount() && covers(other.way, to.way) {
			return
		}
	}
	w.find(Error, "sign_in_unreachable", g, fmt.Sprintf("authgate is asked for %s only, and its own pages and routes are at %s/*: nobody can sign in",
		g.way.paths(), g.gate.mount()), "write authgate without a matcher, and what is public as a rule: allow anyone <path>...")
}

// hosts compares the origin with the hosts that the site is for.
func (w *walk) hosts(g event) {
	u, err := url.Parse(g.gate.Origin)
	hosts := g.way.hosts()
	if err != nil || u.Hostname() == "" || len(hosts) == 0 {
		return
	}
	if !slices.ContainsFunc(hosts, func(h string) bool { return hostWithin(u.Hostname(), h) || strings.Contains(h, "{") }) {
		w.find(Warning, "origin_elsewhere", g, fmt.Sprintf("the origin is %s, and the site is for %s: whoever is sent to sign in does not come here",
			g.gate.Origin, strings.Join(hosts, ", ")), "write the origin as browsers show it; this one is right only where a proxy in front writes another Host")
	}
}

// behindProxy looks at how the server knows the addresses of clients.
func (w *walk) behindProxy(g event) {
	s := w.config.Apps.HTTP.Servers[g.server]
	if s.Trusted == nil {
		httpPort := "80"
		if p := w.config.Apps.HTTP.HTTPPort; p != 0 {
			httpPort = fmt.Sprint(p)
		}
		if strings.HasPrefix(g.gate.Origin, "https:") && s.plainHTTP(httpPort) {
			w.find(Warning, "proxy_untrusted", g, "browsers come by https and the server speaks http, so a proxy stands before it that is not in trusted_proxies: "+
				"all clients have its address, share one rate limit, and from in rules is about the proxy",
				"name its address in the global options: servers { trusted_proxies static <address>... }")
		}
		return
	}
	for _, text := range s.Trusted.Ranges {
		if p, err := netip.ParsePrefix(text); err == nil && p.Bits() == 0 {
			w.find(Error, "everybody_trusted", g, fmt.Sprintf("trusted_proxies has %s: every client may say what address it has, which rate limits and from in rules believe, "+
				"and may ask verify", text), "name the addresses of the proxies alone")
			return
		}
	}
}

// behind looks at what becomes of a request between the gate and the backend.
func (w *walk) behind(e event) {
	if e.h.name() != "reverse_proxy" {
		return
	}
	passed := w.before(e, gates)
	g := passed[len(passed)-1]
	w.identity(e, g)
	if len(g.gate.Rules) == 0 {
		return
	}
	for _, r := range append(w.before(e, rewrites), e) {
		if r.order < g.order {
			continue
		}
		moved := r.h.text("strip_path_prefix") != "" || r.h.text("strip_path_suffix") != "" || r.h["uri_substring"] != nil || r.h["path_regexp"] != nil ||
			r.h.text("uri") != "" && !strings.Contains(r.h.text("uri"), "{http.matchers.file.")
		if r.order == e.order {
			var inner handler
			moved = r.h.into("rewrite", &inner) && (inner.text("uri") != "" || inner.text("strip_path_prefix") != "" || inner["uri_substring"] != nil)
		}
		if moved {
			w.find(Note, "rewritten_behind", r, fmt.Sprintf("the path is changed behind authgate%s: rules are about what stands in the request, not what %s gets",
				forWhat(r), called(e)), "")
			return
		}
	}
}

// judgeApp says what there is to say about all gates together.
func (w *walk) judgeApp() {
	granted := make(map[string]bool)
	for _, g := range w.config.Apps.Authgate.Grants {
		granted[g.Role] = true
	}
	noted := make(map[string]bool)
	asked := make(map[string]bool)
	for _, g := range w.events {
		if g.kind != gates {
			continue
		}
		for _, r := range g.gate.Rules {
			for _, role := range r.Roles {
				asked[role] = true
				if granted[role] || noted[role] {
					continue
				}
				noted[role] = true
				w.find(Note, "role_not_granted", g, fmt.Sprintf("no grant gives the role %s: nobody has it but who is given it at run time (caddy authgate role grant <user> %s, or invite --role %s)",
					role, role, role), "")
				w.findings[len(w.findings)-1].Source = r.Source
			}
		}
	}
	for _, g := range w.config.Apps.Authgate.Grants {
		if g.Role != "admin" && !asked[g.Role] {
			asked[g.Role] = true
			w.findings = append(w.findings, Finding{
				Level: Note, Code: "role_not_asked", At: "apps/authgate/grants", seek: []string{"grant", g.Role},
				Message: fmt.Sprintf("the role %s is granted, and no rule asks for it: it is for backends only", g.Role),
			})
		}
	}
	w.unheld()
	w.passkeys()
	w.admin()
}

// unheld finds grants and rules for what no account can come to have. That is no error: accounts keep what they have from
// when a way to sign in was on.
func (w *walk) unheld() {
	const advice = "switch that on in the global options, or name those who are meant by something that they can have"
	ways := w.config.Apps.Authgate.ways()
	for _, g := range w.config.Apps.Authgate.Grants {
		if _, err := wallet.ParseHolding(g.To); err == nil {
			continue
		}
		for _, to := range g.To {
			if missing := ways.Missing(to); missing != "" {
				w.findings = append(w.findings, Finding{
					Level: Warning, Code: "grant_unheld", At: "apps/authgate/grants", Source: g.Source, seek: []string{"grant", g.Role, to},
					Message: fmt.Sprintf("the role %s is granted to %s, and %s: no account has it but one that had this before, and nobody opens one by it", g.Role, to, missing),
					Advice:  advice,
				})
			}
		}
	}
	for _, g := range w.events {
		if g.kind != gates {
			continue
		}
		for _, r := range g.gate.Rules {
			for _, user := range r.Users {
				if missing := ways.Missing(user); missing != "" {
					w.find(Warning, "user_unheld", g, fmt.Sprintf("a rule is for %s, and %s: it lets nobody in but an account that had this before", user, missing), advice)
					w.findings[len(w.findings)-1].Source = r.Source
				}
			}
		}
	}
}

// passkeys finds sites that share accounts and not passkeys, as browsers keep these by the host.
func (w *walk) passkeys() {
	p := w.config.Apps.Authgate.Passkey
	if p != nil && (p.Off || p.RPID != "") {
		return
	}
	byDomain := make(map[string][]event)
	for _, g := range w.events {
		if g.kind != gates || g.inErrors || g.gate.CookieDomain == "" || len(g.gate.Methods) > 0 && !slices.Contains(g.gate.Methods, "passkey") {
			continue
		}
		list := byDomain[g.gate.CookieDomain]
		if !slices.ContainsFunc(list, func(other event) bool { return other.gate.Origin == g.gate.Origin }) {
			byDomain[g.gate.CookieDomain] = append(list, g)
		}
	}
	for _, domain := range slices.Sorted(maps.Keys(byDomain)) {
		if list := byDomain[domain]; len(list) > 1 {
			w.find(Warning, "passkeys_apart", list[0], fmt.Sprintf("sessions are good for all hosts below %s, and a passkey only for the host that it was made on: "+
				"one of %s does not sign in at %s", domain, list[0].gate.Origin, list[1].gate.Origin), "write in the global options: passkey { rp_id "+domain+" }")
		}
	}
}

// admin looks at who can reach the admin endpoint, over which one administers all accounts.
func (w *walk) admin() {
	a := w.config.Admin
	if a.Disabled || a.Listen == "" || strings.HasPrefix(a.Listen, "unix") || strings.HasPrefix(a.Listen, "fd") || strings.Contains(a.Listen, "{") {
		return
	}
	host, _, err := net.SplitHostPort(strings.TrimPrefix(a.Listen, "tcp/"))
	if err != nil {
		return
	}
	ip, err := netip.ParseAddr(host)
	if host == "localhost" || err == nil && ip.IsLoopback() {
		return
	}
	w.findings = append(w.findings, Finding{
		Level: Error, Code: "admin_open", At: "admin/listen", seek: []string{"admin", a.Listen},
		Message: fmt.Sprintf("the admin endpoint listens on %s and has no sign-in: whoever reaches it is an administrator of all accounts", a.Listen),
		Advice:  "write: admin localhost:2019, or: admin unix//run/caddy/admin.sock",
	})
}
