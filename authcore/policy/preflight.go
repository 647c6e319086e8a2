package policy

// JudgePreflight decides on a CORS preflight (Fetch, section 4.8): an OPTIONS request by which a browser asks whether a page
// of another origin may make a request with this method. It carries no credentials, so it can satisfy no rule that asks for
// any, and a backend that other origins may use has to answer it all the same. It is allowed where, under every reading of
// the path, the rule that would decide on the request which is asked about lets its preflights through. Otherwise it is
// judged as the OPTIONS request that it is. The decision is the same whoever is signed in.
func (p *Policy) JudgePreflight(req Request, method string) (d Decision, preflight bool) {
	asked := req
	asked.Method, asked.Identity, asked.preflight = method, nil, true
	if d := p.Judge(asked); d.Verdict == Allow {
		return d, true
	}
	return p.Judge(req), false
}
