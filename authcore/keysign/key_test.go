package keysign

import (
	"errors"
	"strings"
	"testing"
)

func TestParseAccount(t *testing.T) {
	s := newSigner(1)
	solana, plain, hash := s.account(Solana).Key(), s.account(Ed25519).Key(), s.account(MLDSA65).Key()
	for _, c := range []struct{ name, in, want string }{
		{"Solana wallet", solana, solana},
		{"Ed25519 key", plain, plain},
		{"hash of an ML-DSA-65 key", hash, hash},
		{"whole ML-DSA-65 key", s.whole(), hash},
		{"no kind", s.account(Solana).Name, ""},
		{"kind in upper case", strings.Replace(solana, "solana", "Solana", 1), ""},
		{"unknown kind", "ml-dsa-44:" + hash[10:], ""},
		{"empty", "", ""},
		{"hex in upper case", "ed25519:" + strings.ToUpper(plain[8:]), ""},
		{"hash in upper case", "ml-dsa-65:" + strings.ToUpper(hash[10:]), ""},
		{"whole key in upper case", "ml-dsa-65:" + strings.ToUpper(s.whole()[10:]), ""},
		{"0x", "ed25519:0x" + plain[10:], ""},
		{"a digit too few", plain[:len(plain)-1], ""},
		{"a digit too many", plain + "0", ""},
		{"hash too short", hash[:len(hash)-2], ""},
		{"leading 1", strings.Replace(solana, ":", ":1", 1), ""},
		{"cluster", strings.Replace(solana, ":", ":mainnet:", 1), ""},
		{"space", solana + " ", ""},
		{"hexadecimal Solana wallet", "solana:" + plain[8:], ""},
		{"base 58 Ed25519 key", "ed25519:" + solana[7:], ""},
	} {
		got, err := ParseAccount(c.in)
		if (err == nil) != (c.want != "") || err != nil && !errors.Is(err, ErrInvalidKey) {
			t.Errorf("%s: %v", c.name, err)
		}
		if err == nil && got.Key() != c.want || err != nil && got != (Account{}) {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

func TestDecode58(t *testing.T) {
	address := newSigner(1).account(Solana).Name
	for _, c := range []struct {
		name, in string
		ok       bool
	}{
		{"address", address, true},
		{"zeros", strings.Repeat("1", 32), true},
		{"one zero too many", strings.Repeat("1", 33), false},
		{"one zero too few", strings.Repeat("1", 31), false},
		{"largest", "JEKNVnkbo3jma5nREBBJCDoXFVeKkD56V3xKrvRmWxFG", true},
		{"one more than the largest", "JEKNVnkbo3jma5nREBBJCDoXFVeKkD56V3xKrvRmWxFH", false},
		{"44 times z", strings.Repeat("z", 44), false},
		{"33 bytes", address + "11", false},
		{"0 is no digit", "0" + address[1:], false},
		{"O is no digit", "O" + address[1:], false},
		{"I is no digit", "I" + address[1:], false},
		{"l is no digit", "l" + address[1:], false},
		{"not ASCII", "ä" + address[2:], false},
		{"empty", "", false},
	} {
		if _, ok := decode58(c.in); ok != c.ok {
			t.Errorf("%s: %t", c.name, ok)
		}
	}
}
