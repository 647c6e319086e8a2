package mail

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"mime/multipart"
	"mime/quotedprintable"
	netmail "net/mail"
	"net/textproto"
	"strings"

	"golang.org/x/net/idna"

	"github.com/caddy-authgate/authgate/authcore"
)

// Message is a mail as a mail server takes it.
type Message struct {
	From, To string // bare ASCII addresses, for the envelope
	Data     []byte // headers and body, RFC 5322, lines of at most 76 characters wherever they can be folded
}

// From is who mails are from.
type From struct {
	Name    string // may be empty
	Address string // ASCII
	Domain  string // of Address
}

// ParseFrom reads `Example <auth@example.com>` or `auth@example.com`.
func ParseFrom(s string) (From, error) {
	a, err := netmail.ParseAddress(s)
	if err != nil {
		return From{}, fmt.Errorf("mail: from %q: %w", s, err)
	}
	at := strings.LastIndexByte(a.Address, '@')
	domain, err := idna.Lookup.ToASCII(a.Address[at+1:])
	if err != nil {
		return From{}, fmt.Errorf("mail: from %q: domain: %w", s, err)
	}
	f := From{Name: clean(a.Name, maxName), Address: a.Address[:at] + "@" + domain, Domain: domain}
	if !envelopable(f.Address) {
		return From{}, fmt.Errorf("mail: from %q: %w", s, ErrInvalid)
	}
	return f, nil
}

// header answers the From field.
func (f From) header() string {
	if name := encoded(f.Name); name != f.Name {
		return name + " <" + f.Address + ">"
	}
	return (&netmail.Address{Name: f.Name, Address: f.Address}).String() // with quotes where they are needed
}

// envelopable reports whether an address can stand between the brackets of MAIL FROM and RCPT TO without quoting, and so
// without any question of what is quoted (RFC 5321 section 4.1.2: Mailbox, of Dot-string and domain).
func envelopable(address string) bool {
	local, domain, found := strings.Cut(address, "@")
	const atext = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-/=?^_`{|}~"
	dotted := func(s, letters string) bool {
		for part := range strings.SplitSeq(s, ".") {
			if part == "" || strings.Trim(part, letters) != "" {
				return false
			}
		}
		return true
	}
	const label = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-"
	return found && len(address) <= 254 && len(local) <= 64 && dotted(local, atext) && dotted(domain, label)
}

// compose writes the message of a mail. The same mail always becomes the same bytes.
func compose(t *Templates, from From, product string, sealed authcore.SealedMail, m authcore.Mail) (Message, error) {
	d, err := newData(m, product)
	if err != nil {
		return Message{}, err
	}
	if !envelopable(m.To) {
		return Message{}, fmt.Errorf("mail: recipient: %w", ErrInvalid)
	}
	w, err := t.render(m.Kind, d)
	if err != nil {
		return Message{}, err
	}
	// What marks the parts holds "=_", which quoted-printable never writes (RFC 2045 section 6.7).
	sum := sha256.Sum256([]byte(sealed.ID))
	boundary := "=_" + hex.EncodeToString(sum[:12])
	var b bytes.Buffer
	header(&b, "From", from.header())
	header(&b, "To", "<"+m.To+">")
	header(&b, "Subject", encoded(w.Subject))
	header(&b, "Date", sealed.Created.UTC().Format("Mon, 02 Jan 2006 15:04:05 -0700"))
	header(&b, "Message-ID", "<"+messageID(sealed.ID)+"@"+from.Domain+">")
	header(&b, "Auto-Submitted", "auto-generated") // RFC 3834 section 5: nobody's absence is to be answered to us
	header(&b, "MIME-Version", "1.0")
	header(&b, "Content-Type", `multipart/alternative; boundary="`+boundary+`"`)
	b.WriteString("\r\n")
	parts := multipart.NewWriter(&b)
	if err := parts.SetBoundary(boundary); err != nil {
		return Message{}, fmt.Errorf("mail: compose: %w", err)
	}
	// The last alternative is the one preferred (RFC 2046 section 5.1.4).
	for _, p := range []struct{ kind, body string }{{"text/plain", w.Text}, {"text/html", w.HTML}} {
		if err := part(parts, p.kind, p.body); err != nil {
			return Message{}, fmt.Errorf("mail: compose: %w", err)
		}
	}
	if err := parts.Close(); err != nil {
		return Message{}, fmt.Errorf("mail: compose: %w", err)
	}
	return Message{From: from.Address, To: m.To, Data: b.Bytes()}, nil
}

func part(parts *multipart.Writer, kind, body string) error {
	w, err := parts.CreatePart(textproto.MIMEHeader{
		"Content-Type":              {kind + "; charset=utf-8"},
		"Content-Transfer-Encoding": {"quoted-printable"},
	})
	if err != nil {
		return err
	}
	quoted := quotedprintable.NewWriter(w)
	if _, err := quoted.Write([]byte(body)); err != nil {
		return err
	}
	return quoted.Close()
}

// messageID answers an id of the outbox as it may stand in a Message-ID (RFC 5322 section 3.6.4: dot-atom-text).
func messageID(id string) string {
	if envelopable(id + "@x") {
		return id
	}
	return hex.EncodeToString([]byte(id))
}

// maxEncoded bounds an encoded word, so that it and "Subject: " fit on a line of 76 characters (RFC 2047 section 2).
const maxEncoded = 76 - len("Subject: ")

// encoded answers text as a header can have it: as it is where it is printable ASCII and would not be read as encoded, else
// as encoded words of the Q encoding, none of which splits a character (RFC 2047 sections 4.2 and 5).
func encoded(text string) string {
	if !strings.Contains(text, "=?") && !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
		return text
	}
	const begin, end = "=?utf-8?q?", "?="
	words := []string{begin}
	for _, r := range text {
		var q strings.Builder
		for _, c := range []byte(string(r)) {
			switch {
			case c == ' ':
				q.WriteByte('_')
			case 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9':
				q.WriteByte(c)
			default:
				fmt.Fprintf(&q, "=%02X", c)
			}
		}
		last := &words[len(words)-1]
		if len(*last)+q.Len()+len(end) > maxEncoded {
			*last += end
			words = append(words, begin)
			last = &words[len(words)-1]
		}
		*last += q.String()
	}
	words[len(words)-1] += end
	return strings.Join(words, " ")
}

// header writes a field folded at its spaces, before 77 characters where it has any (RFC 5322 section 2.2.3). The first
// word stays on the line of the name: some servers cannot read a Message-ID that does not.
func header(b *bytes.Buffer, name, value string) {
	b.WriteString(name + ":")
	length := len(name) + 1
	for i, word := range strings.Split(value, " ") {
		if i > 0 && length+1+len(word) > 76 {
			b.WriteString("\r\n")
			length = 0
		}
		b.WriteString(" " + word)
		length += 1 + len(word)
	}
	b.WriteString("\r\n")
}
