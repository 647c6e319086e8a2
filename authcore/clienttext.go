package authcore

import (
	"strings"
	"unicode"
)

// maxClientText bounds what a client may have stored about itself: nobody fills the store, or a mail, with a header.
const maxClientText = 256

// ClientText makes what a client wrote fit to be stored, mailed and shown: printable (which excludes line breaks, control
// and bidi characters), valid UTF-8, and cut to 256 bytes.
func ClientText(s string) string {
	var b strings.Builder
	for _, r := range strings.ToValidUTF8(s, "") {
		if !unicode.IsPrint(r) {
			continue
		}
		if b.Len()+len(string(r)) > maxClientText {
			break
		}
		b.WriteRune(r)
	}
	return b.String()
}
