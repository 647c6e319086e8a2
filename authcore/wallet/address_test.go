package wallet

import (
	"errors"
	"strings"
	"testing"
)

func TestParseAddress(t *testing.T) {
	const mixed = "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf"
	for _, c := range []struct {
		name, in string
		ok       bool
	}{
		{"checksum", mixed, true},
		{"lower case", strings.ToLower(mixed), true},
		{"upper case", "0x" + strings.ToUpper(mixed[2:]), true},
		{"digits only", "0x1234567890123456789012345678901234567890", true},
		// One letter typed in the wrong case is what the checksum is for.
		{"wrong checksum", strings.Replace(mixed, "5B", "5b", 1), false},
		{"0X", "0X" + mixed[2:], false},
		{"no 0x", mixed[2:], false},
		{"no 0x, lower case", strings.ToLower(mixed[2:]), false},
		{"38 digits", mixed[:40], false},
		{"42 digits", mixed + "00", false},
		{"not hexadecimal, lower case", "0x" + strings.Repeat("a", 39) + "g", false},
		{"39 digits", mixed[:41], false},
		{"41 digits", mixed + "0", false},
		{"not hexadecimal", mixed[:41] + "g", false},
		{"space", mixed[:41] + " ", false},
		{"empty", "", false},
		// Verifiers in the wild answer the zero address where recovery fails: it would be everybody's.
		{"zero address", "0x0000000000000000000000000000000000000000", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, err := ParseAddress(c.in)
			if (err == nil) != c.ok || err != nil && !errors.Is(err, ErrInvalidAddress) {
				t.Fatalf("%v", err)
			}
			if c.ok && !strings.EqualFold(a.String(), c.in) {
				t.Errorf("written %s", a)
			}
			if !c.ok && a != (Address{}) {
				t.Errorf("refused, but %s", a)
			}
		})
	}
}

// A contract at one address can belong to different people on different chains; a key cannot.
func TestAccountKey(t *testing.T) {
	a := newSigner(t, 1).address
	for _, c := range []struct {
		in   Account
		want string
	}{
		{Account{Address: a}, "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf"},
		{Account{Address: a, ChainID: 1}, "eip155:1:0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf"},
		{Account{Address: a, ChainID: 10}, "eip155:10:0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf"},
	} {
		if got := c.in.Key(); got != c.want {
			t.Errorf("%s, want %s", got, c.want)
		}
	}
}
