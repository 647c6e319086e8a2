package gateway

import (
	"fmt"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/caddy-authgate/authgate/authcore"
)

// defaultHeaders tell the backend who a request is.
var defaultHeaders = []Header{
	{Name: "Remote-User", Value: "{username}"},
	{Name: "Remote-Name", Value: "{name}"},
	{Name: "Remote-Email", Value: "{email}"},
	{Name: "Remote-Groups", Value: "{roles}"},
	{Name: "X-Authgate-Subject", Value: "{subject}"},
	{Name: "X-Authgate-Wallet", Value: "{wallet}"},
	{Name: "X-Authgate-Methods", Value: "{methods}"},
	{Name: assertionHeader, Value: assertionValue},
}

const assertionHeader = "X-Authgate-Assertion"

// assertionValue is the value of a header that carries the assertion, and nothing beside it.
const assertionValue = "{assertion}"

// identityHeaders are the headers of a site, ready to be filled.
type identityHeaders struct {
	templates []headerTemplate
	assertion bool // whether one of them carries it
}

type headerTemplate struct {
	name  string // canonical
	parts []string
	// fields[i] follows parts[i]; parts has one more.
	fields    []func(*authcore.Identity) string
	raw       bool // as Header.Raw
	assertion bool // the value is the assertion
}

// headerValue is a header of one identity. That of the assertion has no value yet: it is renewed on its own.
type headerValue struct {
	name, value string
	assertion   bool
}

var placeholders = map[string]func(*authcore.Identity) string{
	"subject":  func(id *authcore.Identity) string { return id.Subject },
	"username": func(id *authcore.Identity) string { return id.Username },
	"name":     func(id *authcore.Identity) string { return id.Name },
	"email":    func(id *authcore.Identity) string { return id.Email },
	"roles":    func(id *authcore.Identity) string { return strings.Join(id.Roles, ",") },
	"wallet":   firstWallet,
	"methods":  func(id *authcore.Identity) string { return strings.Join(methodNames(id), ",") },
}

func firstWallet(id *authcore.Identity) string {
	if len(id.Wallets) == 0 {
		return ""
	}
	return id.Wallets[0]
}

func methodNames(id *authcore.Identity) []string {
	names := make([]string, len(id.Methods))
	for i, m := range id.Methods {
		names[i] = string(m.Method)
	}
	return names
}

// compileHeaders answers the headers of a site: those of its preset, and its further ones. jwks is the address of the
// gateway's public keys.
func compileHeaders(site Site, jwks string) (identityHeaders, error) {
	var ih identityHeaders
	preset, err := site.preset()
	if err != nil {
		return ih, err
	}
	seen := make(map[string]bool)
	add := func(t headerTemplate) bool {
		twice := seen[foldName(t.name)]
		seen[foldName(t.name)] = true
		ih.templates = append(ih.templates, t)
		ih.assertion = ih.assertion || t.assertion
		return !twice
	}
	for _, h := range preset.headers {
		h.Raw = site.RawPreset
		t, err := compileHeader(h, preset.fields(jwks))
		if err != nil {
			return ih, err
		}
		add(t)
	}
	for _, h := range site.Headers {
		if err := checkHeaderName(h); err != nil {
			return ih, err
		}
		t, err := compileHeader(h, placeholders)
		if err != nil {
			return ih, err
		}
		if !add(t) {
			return ih, fmt.Errorf("gateway: header %s: stands twice, or is sent already, by default or by the preset; write headers off to have none of those", h.Name)
		}
	}
	return ih, nil
}

// reserved are the header fields that a proxy consumes or that frame the message; an identity cannot stand in them.
var reserved = []string{
	"Connection", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Content-Length",
	"Host", "Cookie", "Authorization",
}

// checkHeaderName refuses what cannot be the name of an identity header.
func checkHeaderName(h Header) error {
	if !validFieldName(h.Name) || len(h.Name) > maxFolded {
		return fmt.Errorf("gateway: header %q is not a header name: write letters, digits and '-', 64 at most", h.Name)
	}
	name := textproto.CanonicalMIMEHeaderKey(h.Name)
	if slices.Contains(reserved, name) || name == assertionHeader && h.Value != assertionValue {
		return fmt.Errorf("gateway: header %s cannot carry an identity: choose a name of your own, such as X-Webauth-User", h.Name)
	}
	return nil
}

func compileHeader(h Header, fields map[string]func(*authcore.Identity) string) (headerTemplate, error) {
	t := headerTemplate{name: textproto.CanonicalMIMEHeaderKey(h.Name), raw: h.Raw}
	if h.Value == assertionValue {
		t.assertion = true
		return t, nil
	}
	rest := h.Value
	for {
		text, after, ok := strings.Cut(rest, "{")
		for _, c := range text {
			if c < 0x20 || c > 0x7e || c == '}' {
				return t, fmt.Errorf("gateway: header %s: value %q: write printable ASCII and placeholders in braces", h.Name, h.Value)
			}
		}
		t.parts = append(t.parts, text)
		if !ok {
			break
		}
		name, tail, closed := strings.Cut(after, "}")
		field := fields[name]
		if !closed || field == nil {
			return t, fmt.Errorf("gateway: header %s: value %q: the placeholders are {subject} {username} {name} {email} {roles} {wallet} {methods}, and {assertion} for a value of its own", h.Name, h.Value)
		}
		t.fields, rest = append(t.fields, field), tail
	}
	if len(t.fields) == 0 {
		return t, fmt.Errorf("gateway: header %s: value %q names no placeholder such as {username}; use Caddy's request_header for a fixed value", h.Name, h.Value)
	}
	return t, nil
}

// validFieldName accepts what every server and CGI-like interface reads the same way, a part of RFC 9110 section 5.1.
func validFieldName(s string) bool {
	for i := range len(s) {
		if !isAlnum(s[i]) && (s[i] != '-' || i == 0) {
			return false
		}
	}
	return s != ""
}

// fill answers the headers that tell this identity; one without a value is left out.
func (ih identityHeaders) fill(id *authcore.Identity) []headerValue {
	values := make([]headerValue, 0, len(ih.templates))
next:
	for _, t := range ih.templates {
		if t.assertion {
			values = append(values, headerValue{name: t.name, assertion: true})
			continue
		}
		var b strings.Builder
		for i, f := range t.fields {
			v := f(id)
			if v == "" {
				continue next
			}
			b.WriteString(t.parts[i])
			if t.raw && isText(v) {
				b.WriteString(v)
			} else {
				b.WriteString(headerText(v))
			}
		}
		b.WriteString(t.parts[len(t.parts)-1])
		values = append(values, headerValue{name: t.name, value: b.String()})
	}
	return values
}

// headerText is a value as it may stand in a header: printable ASCII as it is, anything else percent-encoded UTF-8, so
// that neither a line break nor an encoding guess can change what the backend reads.
func headerText(v string) string {
	for i := range len(v) {
		if v[i] < 0x20 || v[i] > 0x7e {
			return url.PathEscape(v)
		}
	}
	return v
}

// isText reports whether a value may stand in a header as it is where UTF-8 is expected: no bytes that are none, nothing that
// ends a line or means something to a terminal.
func isText(v string) bool {
	return utf8.ValidString(v) && !strings.ContainsFunc(v, unicode.IsControl)
}

// setHeaders writes the headers into a request. Each value has a slot of its own, with no room to grow, so that whoever appends
// to one or edits it in place reaches no other request.
func setHeaders(h http.Header, values []headerValue, assertion string) {
	slots := make([]string, 0, len(values))
	for _, v := range values {
		text := v.value
		if v.assertion {
			if text = assertion; text == "" {
				continue
			}
		}
		slots = append(slots, text)
		n := len(slots)
		h[v.name] = slots[n-1 : n : n]
	}
}
