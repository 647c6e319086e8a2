package gateway

import (
	"fmt"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"

	"github.com/caddy-authgate/authgate/authcore"
)

// defaultHeaders tell the backend who a request is. The assertion is beside them, since it is renewed on its own.
var defaultHeaders = []Header{
	{"Remote-User", "{username}"},
	{"Remote-Name", "{name}"},
	{"Remote-Email", "{email}"},
	{"Remote-Groups", "{roles}"},
	{"X-Authgate-Subject", "{subject}"},
	{"X-Authgate-Wallet", "{wallet}"},
	{"X-Authgate-Methods", "{methods}"},
}

const assertionHeader = "X-Authgate-Assertion"

// identityHeaders are the headers of a site, ready to be filled.
type identityHeaders struct {
	templates []headerTemplate
	assertion bool
}

type headerTemplate struct {
	name  string // canonical
	parts []string
	// fields[i] follows parts[i]; parts has one more.
	fields []func(*authcore.Identity) string
}

type headerValue struct{ name, value string }

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

func compileHeaders(further []Header, noDefaults bool) (identityHeaders, error) {
	ih := identityHeaders{assertion: !noDefaults}
	list := further
	if !noDefaults {
		list = append(defaultHeaders[:len(defaultHeaders):len(defaultHeaders)], further...)
	}
	seen := make(map[string]bool)
	for _, h := range list {
		t, err := compileHeader(h)
		if err != nil {
			return ih, err
		}
		if seen[foldName(t.name)] {
			return ih, fmt.Errorf("gateway: header %s: stands twice, or is one of the default headers; write headers off to replace those", h.Name)
		}
		seen[foldName(t.name)] = true
		ih.templates = append(ih.templates, t)
	}
	return ih, nil
}

// reserved are the header fields that a proxy consumes or that frame the message; an identity cannot stand in them.
var reserved = []string{
	"Connection", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Content-Length",
	"Host", "Cookie", "Authorization", assertionHeader,
}

func compileHeader(h Header) (headerTemplate, error) {
	t := headerTemplate{name: textproto.CanonicalMIMEHeaderKey(h.Name)}
	if !validFieldName(h.Name) || len(h.Name) > maxFolded {
		return t, fmt.Errorf("gateway: header %q is not a header name: write letters, digits and '-', 64 at most", h.Name)
	}
	for _, r := range reserved {
		if t.name == r {
			return t, fmt.Errorf("gateway: header %s cannot carry an identity: choose a name of your own, such as X-Webauth-User", h.Name)
		}
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
		field := placeholders[name]
		if !closed || field == nil {
			return t, fmt.Errorf("gateway: header %s: value %q: the placeholders are {subject} {username} {name} {email} {roles} {wallet} {methods}", h.Name, h.Value)
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
		var b strings.Builder
		for i, f := range t.fields {
			v := f(id)
			if v == "" {
				continue next
			}
			b.WriteString(t.parts[i])
			b.WriteString(headerText(v))
		}
		b.WriteString(t.parts[len(t.parts)-1])
		values = append(values, headerValue{t.name, b.String()})
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

// setHeaders writes the headers into a request. Each value has a slot of its own, with no room to grow, so that whoever appends
// to one or edits it in place reaches no other request.
func setHeaders(h http.Header, values []headerValue, assertion string) {
	slots := make([]string, 0, len(values)+1)
	for _, v := range values {
		slots = append(slots, v.value)
		n := len(slots)
		h[v.name] = slots[n-1 : n : n]
	}
	if assertion != "" {
		slots = append(slots, assertion)
		n := len(slots)
		h[assertionHeader] = slots[n-1 : n : n]
	}
}
