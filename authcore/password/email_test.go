package password

import (
	"errors"
	"strings"
	"testing"
)

func TestParseEmail(t *testing.T) {
	local64 := strings.Repeat("l", 64)
	host := strings.Repeat("d", 63)
	for _, c := range []struct{ name, in, want string }{
		{"plain", "alice@example.com", "alice@example.com"},
		{"upper case", "Alice.B@EXAMPLE.Com", "alice.b@example.com"},
		{"apostrophe and plus", "o'brien+x@example.com", "o'brien+x@example.com"},
		{"all signs of an atom", "!#$%&'*+-/=?^_`{|}~@example.com", "!#$%&'*+-/=?^_`{|}~@example.com"},
		{"digits before a letter", "a@3com.com", "a@3com.com"},
		{"international domain", "info@MÜNCHEN.example", "info@xn--mnchen-3ya.example"},
		{"the same, decomposed", "info@mu\u0308nchen.example", "info@xn--mnchen-3ya.example"},
		{"the same in ASCII", "info@XN--MNCHEN-3YA.example", "info@xn--mnchen-3ya.example"},
		{"fullwidth domain", "a@ｅｘａｍｐｌｅ.com", "a@example.com"},
		{"ideographic stop", "a@example。com", "a@example.com"},
		{"local of 64", local64 + "@example.com", local64 + "@example.com"},
		{"254", local64 + "@" + strings.Join([]string{host, host, host[:57], "com"}, "."), local64 + "@" + strings.Join([]string{host, host, host[:57], "com"}, ".")},

		{"empty", "", ""},
		{"no @", "alice", ""},
		{"nothing before", "@example.com", ""},
		{"nothing after", "alice@", ""},
		{"two @", "alice@evil.example@example.com", ""},
		{"local of 65", local64 + "l@example.com", ""},
		{"255", local64 + "@" + strings.Join([]string{host, host, host[:58], "com"}, "."), ""},
		{"label of 64", "a@" + host + "d.com", ""},
		{"leading dot", ".a@example.com", ""},
		{"trailing dot", "a.@example.com", ""},
		{"two dots", "a..b@example.com", ""},
		// The quoted and the plain form are one mailbox.
		{"quoted", `"alice"@example.com`, ""},
		{"comment", "alice(work)@example.com", ""},
		{"display name", "Alice <alice@example.com>", ""},
		{"list", "alice@example.com,mallory@evil.example", ""},
		{"leading space", " alice@example.com", ""},
		{"trailing space", "alice@example.com ", ""},
		{"NUL", "a\x00@example.com", ""},
		// A mail with headers of the sender's choice.
		{"line break", "alice@example.com\r\nBcc: victim@example.org", ""},
		{"line break before the @", "alice\n@example.com", ""},
		{"encoded word", "=?utf-8?q?alice=40evil.example=3E?=@", ""},
		// Looks like alice to people, and folds to another one in some systems.
		{"Cyrillic letter", "\u0430lice@example.com", ""},
		{"Kelvin sign, which folds to k", "\u212aate@example.com", ""},
		{"dotless i", "m\u0131ke@example.com", ""},
		{"fullwidth @", "alice＠example.com", ""},
		{"no dot", "alice@localhost", ""},
		{"root", "alice@example.com.", ""},
		{"IP address", "alice@192.0.2.1", ""},
		{"IP address in hexadecimal", "alice@192.0.2.0x1", ""},
		{"IP literal", "alice@[192.0.2.1]", ""},
		{"IPv6 literal", "alice@[IPv6:2001:db8::1]", ""},
		{"hyphen first", "a@-example.com", ""},
		{"hyphen last", "a@example-.com", ""},
		{"underscore", "a@ex_ample.com", ""},
		{"percent", "a@ex%61mple.com", ""},
		{"port", "a@example.com:25", ""},
		{"bad xn--", "a@xn--a.example", ""},
		{"not UTF-8", "a@ex\xffample.com", ""},
		{"very long", strings.Repeat("a", 1<<20) + "@example.com", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := ParseEmail(c.in)
			if got != c.want || (err == nil) != (c.want != "") || err != nil && !errors.Is(err, ErrInvalidEmail) {
				t.Fatalf("%q: %q, %v, want %q", c.in, got, err, c.want)
			}
		})
	}
}

// Whatever parses, parses to itself: there is one form.
func FuzzParseEmail(f *testing.F) {
	for _, s := range []string{
		"alice@example.com", "o'brien+x@example.com", "info@münchen.example", "a@example。com", "a@xn--mnchen-3ya.example",
		"a@b\u00ad.com", "a@faß.de", "a@\u2488com.de", "a@r3---sn.com", "a@[192.0.2.1]", "a@b.c\r\n",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		address, err := ParseEmail(s)
		if err != nil {
			return
		}
		again, err := ParseEmail(address)
		if err != nil || again != address {
			t.Fatalf("%q is %q, which is %q (%v)", s, address, again, err)
		}
		if len(address) > 254 || strings.Count(address, "@") != 1 || strings.ToLower(address) != address {
			t.Fatalf("%q is %q", s, address)
		}
		for i := range len(address) {
			if address[i] <= ' ' || address[i] > '~' || strings.IndexByte(`"(),:;<>[]\`, address[i]) >= 0 {
				t.Fatalf("%q is %q", s, address)
			}
		}
	})
}
