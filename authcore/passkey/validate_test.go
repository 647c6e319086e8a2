package passkey

import (
	"strings"
	"testing"
	"time"
)

func TestValidate(t *testing.T) {
	for _, c := range []struct {
		name, rpID, origin string
		want               string // part of the error; empty: fine
	}{
		{"default", "", "https://app.example.com", ""},
		{"the host", "app.example.com", "https://app.example.com", ""},
		{"the domain above", "example.com", "https://app.example.com", ""},
		{"two above", "example.com", "https://a.b.example.com", ""},
		{"with a port", "example.com", "https://app.example.com:8443", ""},
		{"localhost", "", "http://localhost", ""},
		{"localhost with a port", "localhost", "http://localhost:3000", ""},
		{"below localhost", "", "http://app.localhost:3000", ""},
		{"https on localhost", "", "https://localhost", ""},
		{"international", "xn--bcher-kva.example", "https://xn--bcher-kva.example", ""},

		{"upper case", "Example.COM", "https://app.example.com", "write rp_id example.com"},
		{"trailing dot", "example.com.", "https://app.example.com", "write rp_id example.com"},
		{"with a scheme", "https://example.com", "https://app.example.com", "write rp_id example.com"},
		{"with scheme, port and path", "https://Example.com:8443/auth", "https://app.example.com", "write rp_id example.com"},
		{"with a port", "example.com:443", "https://app.example.com", "write rp_id example.com"},
		{"with a path", "example.com/auth", "https://app.example.com", "write rp_id example.com"},
		{"IPv4", "192.0.2.7", "https://192.0.2.7", "IP addresses; write the name of a host, rp_id example.com"},
		{"IPv4 with a port", "192.0.2.7:8080", "https://192.0.2.7", "IP addresses"},
		{"IPv6", "2001:db8::7", "https://[2001:db8::7]", "IP addresses"},
		{"IPv6 in brackets", "[2001:db8::7]", "https://[2001:db8::7]", "IP addresses"},
		{"single label", "intranet", "https://intranet", "write the full name of the host"},
		{"international, not in ASCII", "bücher.example", "https://xn--bcher-kva.example", "xn--"},
		{"wildcard", "*.example.com", "https://app.example.com", "is not the name of a host"},
		{"empty label", "app..example.com", "https://app.example.com", "write the name of a host"},
		{"space", "example .com", "https://app.example.com", "is not the name of a host"},
		{"label of a number", "example.1", "https://app.example.1", "write the name of a host"},

		{"another domain", "example.net", "https://app.example.com", "neither rp_id example.net nor below it; write rp_id app.example.com"},
		{"a domain below", "app.example.com", "https://example.com", "write rp_id example.com"},
		{"a sibling", "a.example.com", "https://b.example.com", "write rp_id b.example.com"},
		{"no label boundary", "example.com", "https://evilexample.com", "write rp_id evilexample.com"},
		{"public suffix", "co.uk", "https://app.co.uk", "public suffix"},
		{"top level domain", "com", "https://example.com", "write the full name"},
		{"private public suffix", "github.io", "https://me.github.io", "write rp_id me.github.io"},
		{"localhost for what is below", "localhost", "http://app.localhost", "write rp_id app.localhost"},
		{"plain http", "example.com", "http://app.example.com", "write https://app.example.com, or passkey off"},
		{"plain http with a port", "", "http://app.example.com:8080", "https only"},
		{"plain http on an address", "", "http://192.0.2.7", "IP addresses"},
		{"loopback address", "localhost", "http://127.0.0.1:3000", "http://localhost"},
		{"loopback address of IPv6", "", "http://[::1]:3000", "http://localhost"},
		{"host without a dot", "", "https://intranet", "write the full name of the host"},
		{"host with a trailing dot", "", "https://app.example.com.", "write rp_id app.example.com"},
		{"origin in upper case", "", "https://App.example.com", "as the browser shows it"},
		{"origin with a path", "", "https://app.example.com/auth", "as the browser shows it"},
		{"origin with a slash", "", "https://app.example.com/", "as the browser shows it"},
		{"origin with the default port", "", "https://app.example.com:443", "as the browser shows it"},
		{"origin with the default port of http", "", "http://localhost:80", "as the browser shows it"},
		{"origin with a user", "", "https://me@app.example.com", "as the browser shows it"},
		{"origin without a scheme", "", "app.example.com", "as the browser shows it"},
		{"origin of another scheme", "", "ftp://app.example.com", "https only"},
		{"no origin", "", "", "as the browser shows it"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := (&Ceremonies{RPID: c.rpID}).Validate(c.origin)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("%v, want %q", err, c.want)
			}
			if err != nil && !strings.Contains(err.Error(), "write") && !strings.Contains(err.Error(), "use") {
				t.Errorf("%v does not say what to write", err)
			}
		})
	}
}

func TestValidatePolicies(t *testing.T) {
	for _, c := range []struct {
		name string
		in   Ceremonies
		want string
	}{
		{"defaults", Ceremonies{}, ""},
		{"all", Ceremonies{TTL: time.Minute, UserVerification: VerificationPreferred, Attestation: AttestationDirect, AllowAAGUIDs: []AAGUID{{1}}, RefuseAAGUIDs: []AAGUID{{2}}}, ""},
		{"negative life", Ceremonies{TTL: -1}, "negative"},
		{"verification", Ceremonies{UserVerification: "discouraged"}, "write required or preferred"},
		{"attestation", Ceremonies{Attestation: "enterprise"}, "write none or direct"},
		{"both lists", Ceremonies{AllowAAGUIDs: []AAGUID{{1}}, RefuseAAGUIDs: []AAGUID{{1}}}, "both allowed and refused"},
		{"related without rp_id", Ceremonies{RelatedOrigins: []string{"https://example.net"}}, "write rp_id"},
		{"related", Ceremonies{RPID: "example.com", RelatedOrigins: []string{"https://example.net", "https://example.co.uk"}}, ""},
		{"related over http", Ceremonies{RPID: "example.com", RelatedOrigins: []string{"http://app.localhost"}}, "write https://app.localhost"},
		{"related with a path", Ceremonies{RPID: "example.com", RelatedOrigins: []string{"https://example.net/x"}}, "as the browser shows it"},
		{"too many related", Ceremonies{RPID: "example.com", RelatedOrigins: []string{
			"https://a.example", "https://b.example", "https://c.example", "https://d.example", "https://e.example", "https://f.example",
		}}, "5"},
		{"one name below many suffixes", Ceremonies{RPID: "example.com", RelatedOrigins: []string{
			"https://example.net", "https://example.co.uk", "https://example.de", "https://example.fr", "https://example.it", "https://example.com.au",
		}}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := c.in.Validate("https://app.example.com")
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

func TestWellKnown(t *testing.T) {
	c := Ceremonies{RPID: "example.com", RelatedOrigins: []string{"https://example.net", "https://example.co.uk:8443"}}
	doc, err := c.WellKnown()
	if err != nil || string(doc) != `{"origins":["https://example.net","https://example.co.uk:8443"]}` {
		t.Errorf("%s, %v", doc, err)
	}
}
