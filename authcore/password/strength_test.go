package password

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestWeakPasswords(t *testing.T) {
	p := &Passwords{Sites: []string{"Example Shop", "shop.acmecorp.org", "https://Portal.Zürich.example"}}
	const email = "annegret.o'neill+x@mailhouse.example"
	for _, c := range []struct{ name, in, want string }{
		{"empty", "", TooShort},
		{"11", "kV9#tqLw2.x", TooShort},
		{"11 characters in 22 bytes", "éàüöçñßøåæõ", TooShort},
		{"11 characters, written as 12", "kV9#tqLw2.e\u0301", TooShort},
		{"1025 bytes", strings.Repeat("kV9#tqLw2.x7 zHw", 64) + "j", TooLong},
		{"a word and the row of digits", "password123456", Common},
		{"a word and many digits", "Password1234567890", Common},
		{"signs for letters", "P@$$w0rd2024!!", Common},
		{"backwards", "drowssap654321", Common},
		{"fullwidth letters", "ｐａｓｓｗｏｒｄ１２３４", Common},
		{"a row of keys", "qwertyuiop12", Common},
		{"two rows", "qwertyuiopasdfghjkl", Common},
		{"a row backwards", "poiuytrewq!1", Common},
		{"columns of keys", "1qaz2wsx3edc", Common},
		{"zigzag", "1q2w3e4r5t6y", Common},
		{"a German row", "qwertzuiopü1", Common},
		{"a French row", "azertyuiop123", Common},
		{"a Russian row", "йцукенгшщзхъ", Common},
		{"a Russian word", "пароль123456", Common},
		{"digits in order", "123456789012", Common},
		{"digits in order, and again", "12345678901234567890", Common},
		{"the alphabet", "abcdefghijklm", Common},
		{"one character", strings.Repeat("a", 64), Common},
		{"one character, but for the last", strings.Repeat("a", 63) + "b", Common},
		{"one character that looks long", strings.Repeat("🔒", 16), Common},
		{"two in turns", strings.Repeat("xy", 12), Common},
		{"a unit repeated", strings.Repeat("kV9#", 5), Common},
		{"a unit repeated and cut", "hunter2hunter2hunter", Common},
		{"a unit repeated between", "!hunterhunterhunter1", Common},
		{"three common words", "iloveyoubabygirl", Common},
		{"a season and a year", "Sommer2024!!", Common},
		{"the address", "annegret.o'neill+x@mailhouse.example", Common},
		{"the address and a digit", "Annegret.O'Neill+x1234", Common},
		{"the domain of the address", "mailhouse2024!", Common},
		{"the site", "Example Shop", Site},
		{"the site without the space", "ExampleShop2024", Site},
		{"a host", "shop.acmecorp.org", Site},
		{"the name in a host", "acmecorp1234!", Site},
		{"the name in a host and a common word", "Welcome2Acmecorp", Site},
		{"an origin", "portal.zürich.example", Site},

		{"12 random characters", "kV9#tqLw2.xP", ""},
		{"12 random small letters", "hqzvtkwmbrxj", ""},
		{"1024 bytes", strings.Repeat("kV9#tqLw2.x7 zHw", 63) + "and sixteen more", ""},
		{"a passphrase of 64 characters", "seven brown horses walked over the wooden bridge before sunrise!", ""},
		{"a passphrase of random words", "glacier tuba envelope mustard", ""},
		{"a passphrase without spaces", "glaciertubaenvelopemustard", ""},
		{"a passphrase with common words in it", "my purple dragon never eats cheese on mondays", ""},
		{"a passphrase with the site in it", "acmecorp sells me too many left shoes", ""},
		{"a passphrase with the own name in it", "annegret once lost a kayak in Norway", ""},
		{"Chinese", "每天早上我都喝一杯绿茶然后跑步", ""},
		{"begins as it ends", "tubaglacierenvelopetuba", ""},
		{"said twice, long enough once", strings.Repeat("glacier tuba 77 ", 2), ""},
		{"only digits, without order", "493028175636", ""},
		{"line breaks and NUL", "kV9#\x00tqL\nw2.xP", ""},
		{"not UTF-8", "kV9#\xfftqLw2.xP", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := p.checkNew(c.in, email)
			var weak *WeakError
			if errors.As(err, &weak) != (c.want != "") || weak != nil && weak.Reason != c.want {
				t.Fatalf("%q: %v, want %q", c.in, err, c.want)
			}
			if weak != nil && !errors.Is(err, ErrWeakPassword) {
				t.Error("not an ErrWeakPassword")
			}
		})
	}
}

// Attack: a long password that is long work to judge. It is judged before anything else is known of the client.
func TestJudgingIsQuick(t *testing.T) {
	p := &Passwords{Sites: []string{"aaa"}, MaxLength: 8192}
	// The quickest of a few tells what the work is, whatever else the machine has to do.
	quickest := func(in string) time.Duration {
		best := time.Hour
		for range 20 {
			start := time.Now()
			_ = p.checkNew(in, "aaa@aaa.aaa")
			best = min(best, time.Since(start))
		}
		return best
	}
	for name, in := range map[string]string{
		"one character and another": "x" + strings.Repeat("a", 8000) + "y",
		"too long":                  strings.Repeat("a", 1<<20),
		"a walk":                    strings.Repeat("1q2w3e4r5t", 800) + "z",
		"combining marks":           strings.Repeat("\u0301", 4000),
	} {
		// A password of the length that is judged is all the work that there should be, but for reading it.
		all := quickest("x" + strings.Repeat("a", maxJudged-2) + "y")
		if took := quickest(in); took > 40*all {
			t.Errorf("%s: %v, where one of %d characters takes %v", name, took, maxJudged, all)
		}
	}
}
