package password

import (
	"fmt"
	"strings"

	"golang.org/x/net/idna"
)

const (
	maxEmail = 254 // RFC 5321 section 4.5.3.1.3, less the angle brackets
	maxLocal = 64  // section 4.5.3.1.1
)

// ParseEmail answers the one form of an e-mail address in which it is stored, compared and written to: what it answers it
// answers unchanged. The part before the "@" is a dot-atom of ASCII (RFC 5322 section 3.2.3), in lower case, as all
// servers of today deliver it. The domain is the name of a host, in lower case and its xn-- form. Everything else is
// ErrInvalidEmail: quoted parts and comments, in which one mailbox has many addresses; letters outside of ASCII before
// the "@", of which some look alike; IP addresses; spaces and line breaks, which are not trimmed.
func ParseEmail(s string) (string, error) {
	invalid := func(why string) (string, error) {
		return "", fmt.Errorf("password: %w: %s", ErrInvalidEmail, why)
	}
	// The xn-- form of a domain can be shorter than its UTF-8, but not by so much.
	if len(s) > 4*maxEmail {
		return invalid("too long")
	}
	local, domain, found := strings.Cut(s, "@")
	switch {
	case !found:
		return invalid("no @")
	case len(local) > maxLocal:
		return invalid("too long before the @")
	case !isDotAtom(local):
		return invalid("not a dot-atom before the @")
	}
	domain, ok := canonicalDomain(domain)
	if !ok {
		return invalid("not the name of a host after the @")
	}
	address := strings.ToLower(local) + "@" + domain
	if len(address) > maxEmail {
		return invalid("too long")
	}
	return address, nil
}

func isDotAtom(s string) bool {
	for atom := range strings.SplitSeq(s, ".") {
		if atom == "" {
			return false
		}
		for i := range len(atom) {
			c := atom[i]
			alnum := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
			if !alnum && strings.IndexByte("!#$%&'*+-/=?^_`{|}~", c) < 0 {
				return false
			}
		}
	}
	return true
}

// canonicalDomain answers the A-label form of a domain (RFC 5891), with two labels at least.
func canonicalDomain(domain string) (string, bool) {
	ascii, err := idna.Lookup.ToASCII(domain)
	if err != nil {
		return "", false
	}
	ascii = strings.ToLower(ascii)
	// What is not yet its own form is a name that is read in one way here and in another there.
	if again, err := idna.Lookup.ToASCII(ascii); err != nil || again != ascii {
		return "", false
	}
	labels := strings.Split(ascii, ".")
	for _, label := range labels {
		if label == "" || len(label) > 63 || strings.HasPrefix(label, "-") || strings.HasSuffix(label, "-") ||
			strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return "", false
		}
	}
	// Top-level domains begin with a letter; what begins with a digit there is read as an IP address (127.0.0.1, 127.0x1).
	top := labels[len(labels)-1]
	return ascii, len(labels) > 1 && 'a' <= top[0] && top[0] <= 'z'
}
