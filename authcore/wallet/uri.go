package wallet

import (
	"net/netip"
	"strings"
)

// URIs are read here by RFC 3986 and not with net/url, which corrects and accepts more than the grammar does: what is
// compared with the origin must be what the wallet showed.

// uri is a URI as far as it is compared.
type uri struct {
	scheme, authority string
}

// authority is an RFC 3986 authority.
type authority struct {
	userinfo, host, port string
}

// splitURI: URI = scheme ":" [ "//" authority ] path [ "?" query ] [ "#" fragment ].
func splitURI(s string) (uri, bool) {
	scheme, rest, ok := strings.Cut(s, ":")
	if !ok || !isScheme(scheme) {
		return uri{}, false
	}
	u := uri{scheme: scheme}
	if after, ok := strings.CutPrefix(rest, "//"); ok {
		end := strings.IndexAny(after, "/?#")
		if end < 0 {
			end = len(after)
		}
		u.authority, rest = after[:end], after[end:]
		if _, ok := splitAuthority(u.authority); !ok {
			return uri{}, false
		}
	}
	rest, fragment, _ := strings.Cut(rest, "#")
	path, query, _ := strings.Cut(rest, "?")
	return u, isEncoded(path, ":@/") && isEncoded(query, ":@/?") && isEncoded(fragment, ":@/?")
}

// splitAuthority: authority = [ userinfo "@" ] host [ ":" *DIGIT ]. The host may be empty.
func splitAuthority(s string) (authority, bool) {
	var a authority
	if userinfo, rest, ok := strings.Cut(s, "@"); ok {
		if !isEncoded(userinfo, ":") {
			return authority{}, false
		}
		a.userinfo, s = userinfo, rest
	}
	if literal, ok := strings.CutPrefix(s, "["); ok {
		ip, rest, closed := strings.Cut(literal, "]")
		if !closed || !isIPv6(ip) && !isIPvFuture(ip) || rest != "" && rest[0] != ':' {
			return authority{}, false
		}
		a.host, a.port = "["+ip+"]", strings.TrimPrefix(rest, ":")
	} else {
		a.host, a.port, _ = strings.Cut(s, ":")
		if !isEncoded(a.host, "") {
			return authority{}, false
		}
	}
	for i := range len(a.port) {
		if !isDigit(a.port[i]) {
			return authority{}, false
		}
	}
	return a, true
}

func isIPv6(s string) bool {
	// The shared ERC-4361 vectors take an IPv4 tail with leading zeros, netip does not. Such an address equals no origin.
	if at := strings.LastIndexByte(s, ':'); at >= 0 && strings.Contains(s[at:], ".") {
		octets := strings.Split(s[at+1:], ".")
		for i, o := range octets {
			if len(o) < 1 || len(o) > 3 {
				return false
			}
			if octets[i] = strings.TrimLeft(o, "0"); octets[i] == "" {
				octets[i] = "0"
			}
		}
		s = s[:at+1] + strings.Join(octets, ".")
	}
	ip, err := netip.ParseAddr(s)
	return err == nil && ip.Is6() && ip.Zone() == ""
}

// isIPvFuture: "v" 1*HEXDIG "." 1*( unreserved / sub-delims / ":" ).
func isIPvFuture(s string) bool {
	if s == "" || s[0]|0x20 != 'v' {
		return false
	}
	version, rest, _ := strings.Cut(s[1:], ".")
	for i := range len(version) {
		if !isHex(version[i]) {
			return false
		}
	}
	for i := range len(rest) {
		if !isPlain(rest[i]) && rest[i] != ':' {
			return false
		}
	}
	return version != "" && rest != ""
}

func isScheme(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !isAlpha(c) && (i == 0 || !isDigit(c) && c != '+' && c != '-' && c != '.') {
			return false
		}
	}
	return s != ""
}

// isEncoded reports whether s consists of unreserved characters, sub-delims, those in also, and %XX.
func isEncoded(s, also string) bool {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case isPlain(c) || strings.IndexByte(also, c) >= 0:
		case c == '%' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]):
			i += 2
		default:
			return false
		}
	}
	return true
}

// isPlain: unreserved / sub-delims.
func isPlain(c byte) bool {
	return isAlpha(c) || isDigit(c) || strings.IndexByte("-._~!$&'()*+,;=", c) >= 0
}

func isAlpha(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }
func isDigit(c byte) bool { return '0' <= c && c <= '9' }
func isHex(c byte) bool   { return isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'f' }
