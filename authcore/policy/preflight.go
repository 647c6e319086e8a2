package policy

// JudgePreflight decides on a CORS preflight (Fetch, section 4.8): an OPTIONS request by which a browser asks whether a page
// of another origin may make a request with this method. It carries no credentials, so it can satisfy no rule that asks for
// any, and a backend that other origins may use has to answer it all the same. It is allowed where, under every reading of
// the path, the rule that would decide on the request which is asked about lets its preflights through, whoever is signed
// in; elsewhere it is to be judged as the OPTIONS request that it is.
func (p *Policy) JudgePreflight(req Request, method string) (Decision, bool) {
	req.Method, req.Identity, req.preflight = method, nil, true
	d := p.Judge(req)
	return d, d.Verdict == Allow
}
