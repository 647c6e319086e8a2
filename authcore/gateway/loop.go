package gateway

import (
	"crypto/sha256"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

// Somebody who signs in, is sent back and is asked to sign in again goes in circles: by themselves, or, where one site signs
// in for another, their browser does. After maxBounces times within bounceWindow there is a page instead that says why.
const (
	maxBounces   = 3
	bounceWindow = 20 * time.Second
)

// When somebody was sent back in vain is remembered where it belongs to one browser tab only, since people behind one
// address are many, and cookies may be what is wrong: in the address of the page to sign in, which the browser names as the
// page it comes from when it goes back. Only a finished sign-in leads from there to anywhere but the gateway's own pages.
const bouncedParameter = "bounced"

// bouncedCookie remembers the same where the host is not the origin's: no Referer crosses origins. It tells nothing but
// times, and lives for bounceWindow.
const bouncedCookie = "authgate-bounced"

const codeLoop = "sign_in_loop"

// Why somebody goes in circles, as far as it can be told, for Error.Reason and the page.
const (
	loopByCookie = "cookie" // the browser does not send it back
	loopByDomain = "domain" // the session is good at another origin than the one that was asked for
	loopByClock  = "clock"  // a session of just now counts as over
	loopByStore  = "store"  // a session of just now is unknown here
)

var loopDetails = map[string]string{
	loopByCookie: "The browser does not send the session cookie back.",
	loopByDomain: "The sign-in is good at another address than this one.",
	loopByClock:  "The clocks of the servers disagree.",
	loopByStore:  "The server that answers does not know the sign-in that another one took.",
}

// errLooped says that somebody goes in circles, with a reason.
func errLooped(reason string) *Error {
	// RFC 5842 section 7.2: the server ends what would go on without end.
	return &Error{
		Status: http.StatusLoopDetected, Code: codeLoop, reason: reason,
		Detail: "Signing in led back here several times within seconds. " + loopDetails[reason],
		Err:    errors.New("gateway: sign-in loop: " + reason),
	}
}

// redirectToSignIn sends a person to the sign-in page, from where they come back to what they asked for. Where that has been
// in vain too often it writes nothing and answers why.
func (g *Gateway) redirectToSignIn(w http.ResponseWriter, r *http.Request, v *visitor) *Error {
	bounced := g.bounced(r, v)
	if len(bounced) >= maxBounces {
		return errLooped(g.loopReason(r, v))
	}
	h := w.Header()
	to := g.site.Path + "/sign-in?return_to=" + url.QueryEscape(g.wayBack(r))
	if len(bounced) > 0 {
		to += "&" + bouncedParameter + "=" + writeTimes(bounced)
	}
	if !g.origin.isHost(r.Host) {
		to = g.origin.text + to // wallets and passkeys work on the origin only
		h["Set-Cookie"] = append(h["Set-Cookie"], g.setBounced(bounced))
	}
	status := http.StatusFound
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		status = http.StatusSeeOther
	}
	h["Location"] = []string{to}
	h["Cache-Control"] = []string{"no-store"}
	w.WriteHeader(status)
	return nil
}

// sendToSignIn is redirectToSignIn for the gateway's own routes.
func (g *Gateway) sendToSignIn(w http.ResponseWriter, r *http.Request, v *visitor) error {
	if loop := g.redirectToSignIn(w, r, v); loop != nil {
		return loop
	}
	return nil
}

// bounced answers when this browser tab was sent back in vain within bounceWindow, this time included where it is one.
func (g *Gateway) bounced(r *http.Request, v *visitor) []int64 {
	before, back := "", false
	if g.origin.isHost(r.Host) {
		before, back = g.cameFromSignIn(r)
	} else if v.bounced != "" {
		// Sent from here to the origin, and from another origin to here.
		before, back = v.bounced, fromElsewhere(r)
	}
	if !back {
		return nil
	}
	now := g.realm.Now().Unix()
	return append(readTimes(before, now), now)
}

// cameFromSignIn reports whether a finished sign-in on this origin led to the request, and with which bounces before.
func (g *Gateway) cameFromSignIn(r *http.Request) (before string, came bool) {
	from, err := url.Parse(r.Referer())
	if err != nil || from.Scheme != g.origin.scheme || !g.origin.isHost(from.Host) {
		return "", false
	}
	page, own := strings.CutPrefix(from.Path, g.site.Path+"/")
	if !own || page != "invite" && page != "recover" && !slices.Contains(signInPages, page) {
		return "", false
	}
	return from.Query().Get(bouncedParameter), true
}

// fromElsewhere reports whether the browser says that a page of another origin made it send a request.
func fromElsewhere(r *http.Request) bool {
	site := r.Header.Get("Sec-Fetch-Site")
	return site == "same-site" || site == "cross-site"
}

// setBounced answers the Set-Cookie value of bouncedCookie.
func (g *Gateway) setBounced(times []int64) string {
	c := http.Cookie{
		Name: bouncedCookie, Value: writeTimes(times), Path: "/", MaxAge: int(bounceWindow / time.Second),
		HttpOnly: true, Secure: g.origin.secure(), SameSite: http.SameSiteLaxMode,
	}
	return c.String()
}

// writeTimes and readTimes are for bounces, in Unix seconds. Whoever writes them by hand shows themselves a page.
func writeTimes(times []int64) string {
	if len(times) == 0 {
		return "0"
	}
	text := make([]string, len(times))
	for i, t := range times {
		text[i] = strconv.FormatInt(t, 36)
	}
	return strings.Join(text, ".")
}

// readTimes answers those within bounceWindow before now, at most maxBounces-1 of them: one more is an end.
func readTimes(text string, now int64) []int64 {
	var times []int64
	if len(text) > 8*maxBounces {
		return nil
	}
	for part := range strings.SplitSeq(text, ".") {
		t, err := strconv.ParseInt(part, 36, 64)
		if err == nil && t <= now && now-t <= int64(bounceWindow/time.Second) && len(times) < maxBounces-1 {
			times = append(times, t)
		}
	}
	return times
}

// turns counts what browsers are sent through without anybody doing anything: they give up after twenty redirects, and tell
// people nothing that helps.
type turns struct {
	mu sync.Mutex
	of map[[32]byte][]int64 // when, in Unix seconds, by hash of what is counted
}

// maxTurning bounds what is counted at a time; what is beyond is let go on.
const maxTurning = 4096

// again counts one more turn of a kind, and reports whether those within bounceWindow are more than maxBounces.
func (t *turns) again(what string, now time.Time) bool {
	key, at := sha256.Sum256([]byte(what)), now.Unix()
	over := func(then int64) bool { return at-then > int64(bounceWindow/time.Second) }
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.of == nil {
		t.of = make(map[[32]byte][]int64)
	}
	if len(t.of) >= maxTurning {
		maps.DeleteFunc(t.of, func(_ [32]byte, times []int64) bool { return over(times[len(times)-1]) })
	}
	times, known := t.of[key]
	if !known && len(t.of) >= maxTurning {
		return false
	}
	times = append(slices.DeleteFunc(times, over), at)
	t.of[key] = times[max(0, len(times)-maxBounces-1):]
	return len(times) > maxBounces
}

// loopReason answers why somebody goes in circles, as far as it can be told.
func (g *Gateway) loopReason(r *http.Request, v *visitor) string {
	switch {
	case !g.origin.isHost(r.Host) && g.sibling(r) == "":
		return loopByDomain
	case v.via != byCookie:
		return loopByCookie
	}
	s, err := g.realm.sessions.Verify(r.Context(), v.secret)
	now := g.realm.Now()
	switch {
	case errors.Is(err, authcore.ErrSessionNotFound):
		return loopByStore
	case err == nil && !g.mayUse(s):
		return loopByDomain
	case err == nil && (!s.Live(now) || s.Created.After(now)):
		return loopByClock
	}
	return loopByStore
}
