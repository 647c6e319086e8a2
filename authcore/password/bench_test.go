package password

import (
	"strings"
	"testing"
)

func BenchmarkCheckNew(b *testing.B) {
	p := &Passwords{Sites: []string{"Example", "app.example.com"}}
	for name, in := range map[string]string{
		"passphrase of 64":     "seven brown horses walked over the wooden bridge before sunrise!",
		"1024, one character":  "x" + strings.Repeat("a", 1022) + "y",
		"1024, walk":           strings.Repeat("1q2w3e4r5t", 102) + "z",
		"1024, no repetitions": strings.Repeat("kV9#tqLw2.x7 zHw", 63) + "and sixteen more",
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				_ = p.checkNew(in, "alice@example.com")
			}
		})
	}
}
