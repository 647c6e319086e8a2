package gateway

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore/store/memstore"
)

// tab is a tab of a browser: it follows redirects, and names the page it comes from.
type tab struct {
	h      *house
	at     string   // what is in the address bar
	cookie []string // that it sends to the origin
	jar    string   // what other hosts have set
}

// goes opens a path of a host from the page that is open, and answers what is there.
func (b *tab) goes(host, path string) answer {
	b.h.t.Helper()
	for range 20 {
		r := httptest.NewRequest("GET", "https://"+host+path, http.NoBody)
		r.Header.Set("Accept", acceptHTML)
		r.Header.Set("Sec-Fetch-Mode", "navigate")
		r.Header.Set("Sec-Fetch-Dest", "document")
		from, err := url.Parse(b.at)
		if err != nil {
			b.h.t.Fatal(err)
		}
		switch {
		case b.at == "":
			r.Header.Set("Sec-Fetch-Site", "none")
		case from.Host == host:
			r.Header.Set("Sec-Fetch-Site", "same-origin")
			r.Header.Set("Referer", b.at)
		default: // Referrer-Policy: same-origin
			r.Header.Set("Sec-Fetch-Site", "same-site")
		}
		if host == "app.example.com" && b.cookie != nil {
			r.Header.Add(b.cookie[0], b.cookie[1])
		} else if b.jar != "" {
			r.Header.Add("Cookie", b.jar)
		}
		a := b.h.serve(r)
		if a.Code != 302 {
			b.at = "https://" + host + path
			return a
		}
		for _, line := range a.Header()["Set-Cookie"] {
			if host != "app.example.com" {
				b.jar, _, _ = strings.Cut(line, ";")
			}
		}
		to, err := url.Parse(a.Header().Get("Location"))
		if err != nil {
			b.h.t.Fatal(err)
		}
		if to.Host != "" {
			host = to.Host
		}
		path = to.RequestURI()
	}
	b.h.t.Fatal("too many redirects")
	return answer{}
}

// back goes back to what was asked for, as the page to sign in does when that is finished.
func (b *tab) back(host string) answer {
	b.h.t.Helper()
	u, err := url.Parse(b.at)
	if err != nil || !strings.HasPrefix(u.Path, "/auth/") {
		b.h.t.Fatalf("not at sign-in but %s", b.at)
	}
	b.h.now = b.h.now.Add(4 * time.Second)
	return b.goes(host, u.Query().Get("return_to"))
}

func (b *tab) opens(host, path string) answer {
	b.at = ""
	return b.goes(host, path)
}

func (a answer) isPage(status int, name, code string) {
	a.t.Helper()
	if a.Code != status || !strings.HasPrefix(a.Body.String(), "page="+name+" ") || code != "" && !strings.HasSuffix(a.Body.String(), "code="+code) {
		a.t.Fatalf("%d %s, want %d page=%s code=%s", a.Code, a.Body, status, name, code)
	}
}

// loops signs in three times in vain and checks that the third ends with a page that tells why.
func (b *tab) loops(host, why string) {
	b.h.t.Helper()
	b.opens(host, "/reports?x=1").isPage(200, "sign-in", "")
	for range 2 {
		b.back(host).isPage(200, "sign-in", "")
	}
	a := b.back(host)
	a.isPage(508, "loop", "sign_in_loop")
	if !strings.Contains(a.Body.String(), "return=/reports?x=1 ") || a.Header().Get("Cache-Control") != "no-store" {
		b.h.t.Errorf("%s %v", a.Body, a.Header())
	}
	if !strings.Contains(b.h.log.String(), "sign-in loop: "+why) {
		b.h.t.Errorf("the log does not tell of %s:\n%s", why, b.h.log)
	}
}

func TestLoopByCookie(t *testing.T) {
	h := build(t)
	(&tab{h: h}).loops("app.example.com", "cookie")
}

// Several instances, each with a store of its own.
func TestLoopByStore(t *testing.T) {
	other, h := build(t), build(t)
	cookie := other.signInCookie(newSigner(1))
	(&tab{h: h, cookie: cookie}).loops("app.example.com", "store")
}

// The cookie of another port of this host.
func TestLoopByDomainOfSession(t *testing.T) {
	h := build(t)
	cookie := h.neighbour(Site{Origin: home + ":8443", Pages: plainPages{}}).signInCookie(newSigner(1))
	(&tab{h: h, cookie: cookie}).loops("app.example.com", "domain")
}

// The origin is redirected to another host before the gateway hears of it.
func TestLoopByDomainOfHost(t *testing.T) {
	h := build(t)
	cookie := h.signInCookie(newSigner(1))
	(&tab{h: h, cookie: cookie}).loops("www.app.example.com", "domain")
}

// An instance whose clock is days ahead takes every session for expired.
func TestLoopByClock(t *testing.T) {
	shared := memstore.New()
	with := func(c *RealmConfig, _ *Site) {
		c.Stores, c.Challenges = shared.Stores(), shared.ChallengeStores()
	}
	one, h := build(t, with), build(t, with)
	cookie := one.signInCookie(newSigner(1))
	h.now = h.now.Add(20 * 24 * time.Hour)
	(&tab{h: h, cookie: cookie}).loops("app.example.com", "clock")
}

// The gateway's own pages send to sign in, too.
func TestLoopOfAccount(t *testing.T) {
	h := build(t)
	b := &tab{h: h}
	b.opens("app.example.com", "/auth/account").isPage(200, "sign-in", "")
	b.back("app.example.com").isPage(200, "sign-in", "")
	b.back("app.example.com").isPage(200, "sign-in", "")
	b.back("app.example.com").isPage(508, "loop", "sign_in_loop")
}

// Programs are never redirected and so never in circles; where no pages are there, the reason is in the problem.
func TestLoopWithoutPages(t *testing.T) {
	h := build(t, func(_ *RealmConfig, s *Site) { s.Pages = nil })
	r := h.request("GET", "", "", "Accept", acceptHTML, "Referer", home+"/auth/sign-in?bounced="+writeTimes([]int64{h.now.Unix(), h.now.Unix()}))
	r.URL.Path = "/x"
	a := h.serve(r).refused(508, "sign_in_loop")
	if !strings.Contains(a.Body.String(), `"reason":"cookie"`) {
		t.Error(a.Body)
	}
}

// Where another site has the sign-in, nobody does anything while the browser goes in circles: it would give up after twenty
// redirects, without a word.
func TestLoopThroughAHandOff(t *testing.T) {
	d := buildDomains(t)
	b := d.browser()
	b.visit(home + "/auth/sign-in")
	b.signIn(newSigner(1))
	a, to, redirects := answer{}, shop+"/x", 0
	for ; to != "" && redirects < 40; redirects++ {
		delete(b.cookies[shop], "__Host-authgate")
		a, to = b.step(to)
	}
	a.isPage(508, "loop", "sign_in_loop")
	if redirects >= 18 || !strings.Contains(d.log.String(), "sign-in loop: cookie") {
		t.Errorf("after %d redirects: %s", redirects, d.log)
	}
}

func TestTurnsAreBounded(t *testing.T) {
	var all turns
	now := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	for i := range 2 * maxTurning {
		all.again(strconv.Itoa(i), now)
	}
	if len(all.of) > maxTurning {
		t.Errorf("%d are counted", len(all.of))
	}
	now = now.Add(bounceWindow + time.Second)
	for range maxBounces {
		if all.again("x", now) {
			t.Error("too soon")
		}
	}
	if !all.again("x", now) || all.again("x", now.Add(bounceWindow+time.Second)) {
		t.Error("not when it was to be, or still")
	}
}

// Who is signed out and reloads, comes back later, or comes from elsewhere goes in no circles.
func TestNoLoop(t *testing.T) {
	const host = "app.example.com"
	h := build(t)
	t.Run("reloading a page signed out", func(t *testing.T) {
		b := &tab{h: h}
		for range 10 {
			b.opens(host, "/x").isPage(200, "sign-in", "")
		}
		b.at = home + "/x"
		for range 10 {
			b.goes(host, "/x").isPage(200, "sign-in", "")
			b.at = home + "/x"
		}
	})
	t.Run("reloading it on another host", func(t *testing.T) {
		b := &tab{h: h}
		for range 10 {
			b.opens("www.app.example.com", "/x").isPage(200, "sign-in", "")
		}
	})
	t.Run("slowly", func(t *testing.T) {
		b := &tab{h: h}
		b.opens(host, "/x").isPage(200, "sign-in", "")
		for range 10 {
			h.now = h.now.Add(7 * time.Second) // and four that signing in takes
			b.back(host).isPage(200, "sign-in", "")
		}
	})
	t.Run("another site's page to sign in", func(t *testing.T) {
		for _, from := range []string{"https://other.example", "https://app.example.com:8443", "http://app.example.com"} {
			r := h.request("GET", "", "", "Accept", acceptHTML, "Referer", from+"/auth/sign-in?bounced="+writeTimes([]int64{h.now.Unix(), h.now.Unix()}))
			r.URL.Path = "/x"
			if a := h.serve(r); a.Code != 302 || strings.Contains(a.Header().Get("Location"), bouncedParameter) {
				t.Errorf("%s: %d to %s", from, a.Code, a.Header().Get("Location"))
			}
		}
	})
	t.Run("many behind one address", func(t *testing.T) {
		var all []*tab
		for range 10 {
			all = append(all, &tab{h: h})
		}
		for _, b := range all {
			b.opens(host, "/x").isPage(200, "sign-in", "")
		}
		for range 2 {
			for _, b := range all {
				h.now = h.now.Add(-4 * time.Second)
				b.back(host).isPage(200, "sign-in", "")
			}
		}
	})
	t.Run("signing in at last", func(t *testing.T) {
		b := &tab{h: h}
		b.opens(host, "/x").isPage(200, "sign-in", "")
		b.back(host).isPage(200, "sign-in", "")
		b.back(host).isPage(200, "sign-in", "")
		b.cookie = h.signInCookie(newSigner(1))
		if a := b.back(host); a.Code != 418 {
			t.Errorf("%d %s", a.Code, a.Body)
		}
	})
}

// Whoever writes the parameter by hand shows themselves a page, and breaks nothing.
func FuzzBounced(f *testing.F) {
	now := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC).Unix()
	for _, seed := range []string{"", "0", writeTimes([]int64{now, now}), writeTimes([]int64{now - 21}), writeTimes([]int64{now + 1}), "-1.zz.zzzzzzzzzzzzzzzz", strings.Repeat("0.", 1000)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		times := readTimes(text, now)
		if len(times) >= maxBounces {
			t.Errorf("%q alone is a loop: %v", text, times)
		}
		for _, at := range times {
			if at > now || now-at > 20 {
				t.Errorf("%q: %d is not of the last 20 seconds", text, at)
			}
		}
		if again := readTimes(writeTimes(times), now); len(again) != len(times) {
			t.Errorf("%v becomes %v", times, again)
		}
	})
}
