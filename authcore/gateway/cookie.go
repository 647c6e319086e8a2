package gateway

import (
	"fmt"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/publicsuffix"
)

// maxCookie is what browsers take for name, value and attributes together (RFC 6265bis section 5.6).
const maxCookie = 4096

// The names under which the session cookie travels, those of the cookie that tells a browser which signed in before, those of
// the key to the forms that are kept for a browser, and what else is the gateway's own. All are kept from backends: the cookies of a parent domain are sent to every host below it.
var (
	sessionCookies = []string{"__Host-authgate", "__Secure-authgate", "authgate"}
	deviceCookies  = []string{"__Host-authgate-device", "__Secure-authgate-device", "authgate-device"}
	bondCookies    = []string{"__Host-authgate-hand-off", "authgate-hand-off"} // see handoff.go
	bouncedCookies = []string{bouncedCookie}
	formCookies    = []string{"__Host-authgate-form", "__Secure-authgate-form", "authgate-form"}
)

const (
	deviceSuffix = "-device"
	deviceLife   = 365 * 24 * time.Hour
	maxDevice    = 256 // bytes of its value; tokens are shorter by far
	formSuffix   = "-form"
)

// cookieForm is the session cookie of one site without its value (RFC 6265bis; prefixes in section 4.1.3). The device
// cookie has the same attributes.
type cookieForm struct {
	name   string
	domain string
	attrs  string
	bond   string // the name of the cookie with the bond, whose attributes are those without a domain
}

func newCookieForm(o origin, domain string) (cookieForm, error) {
	f := cookieForm{name: "authgate", bond: "authgate-hand-off", attrs: "; Path=/; HttpOnly; SameSite=Lax"}
	if o.secure() {
		f.name, f.bond, f.attrs = "__Host-authgate", "__Host-authgate-hand-off", f.attrs+"; Secure"
	}
	if domain == "" {
		return f, nil
	}
	d := strings.ToLower(strings.TrimPrefix(domain, "."))
	_, ipErr := netip.ParseAddr(d)
	switch {
	case !o.secure():
		return f, fmt.Errorf("gateway: cookie_domain %q needs an https origin, not %s", domain, o.text)
	case ipErr == nil || !strings.Contains(d, "."):
		return f, fmt.Errorf("gateway: cookie_domain %q: browsers take no cookie for an IP address or a single label; write a domain such as example.com", domain)
	case isPublicSuffix(d):
		// RFC 6265 section 5.3 step 5. Anybody may have a host below it.
		return f, fmt.Errorf("gateway: cookie_domain %q: browsers take no cookie for a public suffix; write a domain of your own below it", domain)
	case o.host != d && !strings.HasSuffix(o.host, "."+d):
		return f, fmt.Errorf("gateway: cookie_domain %q is not the host of the origin %s nor above it", domain, o.text)
	}
	f.name, f.domain, f.attrs = "__Secure-authgate", d, f.attrs+"; Domain="+d
	return f, nil
}

func isPublicSuffix(domain string) bool {
	suffix, _ := publicsuffix.PublicSuffix(domain)
	return suffix == domain
}

// set answers the Set-Cookie value for a session: the secret that resumes it and the access token that spares the store
// a visit. A token too large for a cookie is left out; the session is then resumed from the store now and then.
func (f cookieForm) set(secret, access string, life time.Duration) string {
	value := secret + "." + access
	attrs := f.attrs + "; Max-Age=" + strconv.FormatInt(int64(life/time.Second), 10)
	if len(f.name)+1+len(value)+len(attrs) > maxCookie {
		value = secret + "."
	}
	return f.name + "=" + value + attrs
}

func (f cookieForm) clear() string { return f.name + "=" + f.attrs + "; Max-Age=0" }

// setDevice answers the Set-Cookie value by which a browser is known again that signed in before.
func (f cookieForm) setDevice(token string) string {
	return f.name + deviceSuffix + "=" + token + f.attrs + "; Max-Age=" + strconv.FormatInt(int64(deviceLife/time.Second), 10)
}

// setForm answers the Set-Cookie value by which a browser keeps the key to its forms.
func (f cookieForm) setForm(key string) string {
	return f.name + formSuffix + "=" + key + f.attrs + "; Max-Age=" + strconv.FormatInt(int64(formLife/time.Second), 10)
}

// ownCookies are the values of the gateway's cookies in a request, "" where there is none.
type ownCookies struct{ session, device, form, bond, bounced string }

// take answers the values of the site's own cookies in a request's Cookie headers, and removes every cookie under one of the
// gateway's names from them, so that no backend sees one. Two of a name in a request count as none: one of them was planted.
// It parses for itself since net/http gives up on a request with thousands of cookies.
func (f cookieForm) take(h http.Header) (c ownCookies) {
	lines := h["Cookie"]
	if len(lines) == 0 {
		return ownCookies{}
	}
	var sessions, devices, forms, bonds, bounces int
	own := false
	for _, line := range lines {
		for line != "" {
			var pair string
			pair, line, _ = strings.Cut(line, ";")
			name, val, _ := strings.Cut(strings.Trim(pair, " \t"), "=")
			name = strings.TrimRight(name, " \t")
			own = own || isOwnCookie(name)
			switch kind, of := strings.CutPrefix(name, f.name); {
			case name == f.bond:
				bonds, c.bond = bonds+1, val
			case name == bouncedCookie:
				bounces, c.bounced = bounces+1, val
			case !of:
			case kind == "":
				sessions, c.session = sessions+1, val
			case kind == deviceSuffix:
				devices, c.device = devices+1, val
			case kind == formSuffix:
				forms, c.form = forms+1, val
			}
		}
	}
	if !own {
		return ownCookies{}
	}
	var kept []string
	for _, line := range lines {
		if line = withoutOwn(line); line != "" {
			kept = append(kept, line)
		}
	}
	if kept == nil {
		delete(h, "Cookie")
	} else {
		h["Cookie"] = kept
	}
	if sessions > 1 {
		c.session = ""
	}
	if devices > 1 || len(c.device) > maxDevice {
		c.device = ""
	}
	if forms > 1 {
		c.form = ""
	}
	if bonds > 1 {
		c.bond = ""
	}
	if bounces > 1 {
		c.bounced = ""
	}
	return c
}

func isOwnCookie(name string) bool {
	return isAmong(sessionCookies, name) || isAmong(deviceCookies, name) || isAmong(formCookies, name) || isAmong(bondCookies, name) ||
		isAmong(bouncedCookies, name)
}

// isAmong reports whether a cookie has one of these names. Browsers tell them apart by case, many a server does not.
func isAmong(names []string, name string) bool {
	for _, own := range names {
		if len(name) == len(own) && strings.EqualFold(name, own) {
			return true
		}
	}
	return false
}

// withoutOwn answers a Cookie line without the gateway's cookies; the others stand as they were sent.
func withoutOwn(line string) string {
	var few [8]string // most requests have no more, and need no list on the heap
	kept := few[:0]
	for line != "" {
		var pair string
		pair, line, _ = strings.Cut(line, ";")
		pair = strings.Trim(pair, " \t")
		name, _, _ := strings.Cut(pair, "=")
		if pair != "" && !isOwnCookie(strings.TrimRight(name, " \t")) {
			kept = append(kept, pair)
		}
	}
	return strings.Join(kept, "; ")
}
