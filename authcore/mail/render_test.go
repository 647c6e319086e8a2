package mail

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	netmail "net/mail"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/caddy-authgate/authgate/authcore"
)

// parsed is a message as its reader takes it apart.
type parsed struct {
	header              netmail.Header
	subject, text, html string
}

// parse reads a message back by other code than wrote it, and looks that it has the headers it should and no others.
func parse(t testing.TB, data []byte) parsed {
	t.Helper()
	for line := range bytes.SplitSeq(data, []byte("\r\n")) {
		if bytes.ContainsAny(line, "\r\n") {
			t.Fatalf("a bare line end in %q", line)
		}
		if len(line) > 998 {
			t.Fatalf("a line of %d bytes", len(line)) // RFC 5322 section 2.1.1
		}
		for _, c := range line {
			if c >= 0x7f || c < ' ' && c != '\t' {
				t.Fatalf("byte %#x in %q", c, line)
			}
		}
	}
	m, err := netmail.ReadMessage(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for name, values := range m.Header {
		names = append(names, name)
		if len(values) != 1 {
			t.Fatalf("%s: %q", name, values)
		}
	}
	slices.Sort(names)
	if want := []string{"Auto-Submitted", "Content-Type", "Date", "From", "Message-Id", "Mime-Version", "Subject", "To"}; !slices.Equal(names, want) {
		t.Fatalf("headers %q, want %q", names, want)
	}
	p := parsed{header: m.Header}
	if p.subject, err = new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject")); err != nil {
		t.Fatal(err)
	}
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/alternative" {
		t.Fatalf("%q: %v", kind, err)
	}
	parts := multipart.NewReader(m.Body, params["boundary"])
	for _, want := range []struct {
		kind string
		to   *string
	}{{"text/plain; charset=utf-8", &p.text}, {"text/html; charset=utf-8", &p.html}} {
		part, err := parts.NextRawPart()
		if err != nil {
			t.Fatal(err)
		}
		if len(part.Header) != 2 || part.Header.Get("Content-Type") != want.kind || part.Header.Get("Content-Transfer-Encoding") != "quoted-printable" {
			t.Fatalf("a part with %v", part.Header)
		}
		body, err := io.ReadAll(quotedprintable.NewReader(part))
		if err != nil {
			t.Fatal(err)
		}
		*want.to = strings.ReplaceAll(string(body), "\r\n", "\n")
		if !utf8.ValidString(*want.to) {
			t.Fatal("not UTF-8")
		}
	}
	if _, err := parts.NextRawPart(); !errors.Is(err, io.EOF) {
		t.Fatalf("more than two parts: %v", err)
	}
	return p
}

func TestHeaders(t *testing.T) {
	m, err := compose(defaults(t), testFrom(t), "Example", testSealed, testMail(authcore.MailReset))
	if err != nil {
		t.Fatal(err)
	}
	h := parse(t, m.Data).header
	for name, want := range map[string]string{
		"From": "=?utf-8?q?Example_=C3=84?= <auth@example.com>", "To": "<alice@example.net>", "Subject": "Set a new password for Example",
		"Date": "Sun, 22 Nov 2026 13:37:00 +0000", "Message-Id": "<AbCdEf0123456789_-GhIj@example.com>", "Auto-Submitted": "auto-generated",
		"Mime-Version": "1.0",
	} {
		if got := h.Get(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	if m.From != "auth@example.com" || m.To != "alice@example.net" {
		t.Errorf("envelope %q %q", m.From, m.To)
	}
}

// The link stands on a line of its own, and whole: where a mail program cannot press it, it can be copied.
func TestLinkOnItsOwnLine(t *testing.T) {
	for _, kind := range linked {
		mail := testMail(kind)
		mail.Link += strings.Repeat("x", 100)
		m, err := compose(defaults(t), testFrom(t), "Example", testSealed, mail)
		if err != nil {
			t.Fatal(err)
		}
		p := parse(t, m.Data)
		if !slices.Contains(strings.Split(p.text, "\n"), mail.Link) {
			t.Errorf("%s: not in\n%s", kind, p.text)
		}
		if strings.Count(p.html, `href="`+mail.Link+`"`) != 2 {
			t.Errorf("%s: not in\n%s", kind, p.html)
		}
	}
}

// byAdministrators are the mails about what somebody else did. From where administrators work is not told.
var byAdministrators = []authcore.MailKind{
	authcore.MailDisabled, authcore.MailEnabled, authcore.MailDeleted, authcore.MailRoleGranted, authcore.MailRoleRevoked, authcore.MailSessionsEnded,
	authcore.MailTokenDeleted,
}

// Every mail says what happened when and from where, so that its reader can tell whether it was them.
func TestEveryMailTellsWhatHappened(t *testing.T) {
	for _, kind := range kinds {
		m, err := compose(defaults(t), testFrom(t), "Example", testSealed, testMail(kind))
		if err != nil {
			t.Fatal(err)
		}
		p := parse(t, m.Data)
		wants := []string{"22 November 2026, 13:37 UTC", "Example"}
		fromWhere := []string{"2001:db8::7", "Firefox on Linux", "If it was not you"}
		if slices.Contains(byAdministrators, kind) {
			for _, secret := range fromWhere {
				if strings.Contains(p.text, secret) || strings.Contains(p.html, secret) {
					t.Errorf("%s says %q", kind, secret)
				}
			}
			wants = append(wants, "administrator")
		} else {
			wants = append(wants, fromWhere...)
		}
		for _, want := range wants {
			if !strings.Contains(p.text, want) {
				t.Errorf("%s.txt does not say %q", kind, want)
			}
			if !strings.Contains(p.html, want) {
				t.Errorf("%s.html does not say %q", kind, want)
			}
		}
		if !strings.Contains(p.subject, "Example") {
			t.Errorf("%s: subject %q", kind, p.subject)
		}
	}
}

// Whoever registers somebody else's address chooses the name that goes with it, and what their browser calls itself. Shown
// in the mail, both would be advertisements that the site sends to anybody they like.
func TestAttackAdvertiseByRegistration(t *testing.T) {
	const words = "You won, visit https://evil.example now"
	for _, kind := range []authcore.MailKind{authcore.MailConfirm, authcore.MailRegistered, authcore.MailConfirmEmail} {
		mail := testMail(kind)
		mail.Name, mail.UserAgent, mail.Label, mail.Email, mail.Client = words, words, words, words, words
		m, err := compose(defaults(t), testFrom(t), "Example", testSealed, mail)
		if err != nil {
			t.Fatal(err)
		}
		if p := parse(t, m.Data); strings.Contains(p.subject+p.text+p.html, "evil") || strings.Contains(p.text, "won") {
			t.Errorf("%s tells\n%s", kind, p.text)
		}
	}
}

// A link that leads elsewhere than to the site, because a request said it came for another host, is not sent.
func TestAttackLinkElsewhere(t *testing.T) {
	for _, c := range []struct{ name, origin, link string }{
		{"another host", "https://app.example.com", "https://evil.example/auth/reset#k"},
		{"a longer host", "https://app.example.com", "https://app.example.com.evil.example/auth/reset#k"},
		{"user before the host", "https://app.example.com", "https://app.example.com@evil.example/auth/reset#k"},
		{"another scheme", "https://app.example.com", "http://app.example.com/auth/reset#k"},
		{"script", "https://app.example.com", "javascript:alert(1)"},
		{"script for origin", "javascript:alert(1)", "javascript:alert(1)/x"},
		{"line end", "https://app.example.com", "https://app.example.com/reset#k\r\nBcc: eve@example.com"},
		{"space", "https://app.example.com", "https://app.example.com/reset#k https://evil.example"},
		{"no origin", "", "/reset#k"},
		{"none where there must be one", "https://app.example.com", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := testMail(authcore.MailReset)
			m.Origin, m.Link = c.origin, c.link
			if _, err := compose(defaults(t), testFrom(t), "Example", testSealed, m); !errors.Is(err, ErrInvalid) {
				t.Errorf("got %v", err)
			}
		})
	}
	m := testMail(authcore.MailSuspended)
	m.Link = "https://app.example.com/reset#k"
	if _, err := compose(defaults(t), testFrom(t), "Example", testSealed, m); !errors.Is(err, ErrInvalid) {
		t.Errorf("a link where there is nothing to press: %v", err)
	}
}

// Line ends in any field of a mail add no header, no part and no recipient.
func TestAttackHeaderInjection(t *testing.T) {
	const evil = "x\r\nBcc: eve@example.com\r\nContent-Type: text/html\r\n\r\n<h1>evil</h1>"
	for _, kind := range kinds {
		base := testMail(kind)
		for _, c := range []struct {
			name    string
			change  func(m *authcore.Mail, s *authcore.SealedMail, product *string, f *From)
			refused bool
		}{
			{"to", func(m *authcore.Mail, _ *authcore.SealedMail, _ *string, _ *From) {
				m.To = "a@example.com\r\nBcc: eve@example.com"
			}, true},
			{"name", func(m *authcore.Mail, _ *authcore.SealedMail, _ *string, _ *From) { m.Name = evil }, false},
			{"origin", func(m *authcore.Mail, _ *authcore.SealedMail, _ *string, _ *From) {
				m.Origin += evil
				m.Link = m.Origin + "/"
			}, true},
			{"link", func(m *authcore.Mail, _ *authcore.SealedMail, _ *string, _ *From) { m.Link = m.Origin + "/" + evil }, true},
			{"client", func(m *authcore.Mail, _ *authcore.SealedMail, _ *string, _ *From) { m.Client = "192.0.2.1" + evil }, false},
			{"zone of the client", func(m *authcore.Mail, _ *authcore.SealedMail, _ *string, _ *From) { m.Client = "fe80::1%" + evil }, false},
			{"user agent", func(m *authcore.Mail, _ *authcore.SealedMail, _ *string, _ *From) { m.UserAgent = "Firefox/1" + evil }, false},
			{"label", func(m *authcore.Mail, _ *authcore.SealedMail, _ *string, _ *From) { m.Label = evil }, false},
			{"method", func(m *authcore.Mail, _ *authcore.SealedMail, _ *string, _ *From) { m.Method = evil }, false},
			{"e-mail", func(m *authcore.Mail, _ *authcore.SealedMail, _ *string, _ *From) { m.Email = evil }, false},
			{"product", func(_ *authcore.Mail, _ *authcore.SealedMail, p *string, _ *From) { *p = evil }, false},
			{"encoded product", func(_ *authcore.Mail, _ *authcore.SealedMail, p *string, _ *From) { *p = "=?utf-8?q?x=0D=0ABcc:_eve?=" }, false},
			{"name of the sender", func(_ *authcore.Mail, _ *authcore.SealedMail, _ *string, f *From) { f.Name = evil }, false},
			{"id", func(_ *authcore.Mail, s *authcore.SealedMail, _ *string, _ *From) { s.ID = evil }, false},
			{"kind", func(m *authcore.Mail, _ *authcore.SealedMail, _ *string, _ *From) { m.Kind = evil }, true},
		} {
			m, s, product, from := base, testSealed, "Example", testFrom(t)
			c.change(&m, &s, &product, &from)
			message, err := compose(defaults(t), from, product, s, m)
			if c.refused {
				if !errors.Is(err, ErrInvalid) {
					t.Errorf("%s, %s: got %v", kind, c.name, err)
				}
				continue
			}
			if err != nil {
				t.Errorf("%s, %s: %v", kind, c.name, err)
				continue
			}
			p := parse(t, message.Data)
			if strings.ContainsAny(p.subject, "\r\n") || strings.Contains(p.html, "<h1>evil") || strings.Contains(p.text, "\nBcc:") {
				t.Errorf("%s, %s: subject %q, text\n%s", kind, c.name, p.subject, p.text)
			}
		}
	}
}

func TestClean(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"as it is", "Alice Ärmel", "Alice Ärmel"},
		{"other writing", "李小龍 محمد", "李小龍 محمد"},
		{"combined", "e\u0301", "e\u0301"},
		{"emoji", "Ann 🚀", "Ann 🚀"},
		{"spaces", "  a \t b\u00a0\u2003c ", "a b c"},
		{"line ends", "a\r\nb\nc\u2028d\u2029e\u0085f\vg", "a b c d e f g"},
		{"direction turned", "a\u202egpj.exe\u2066b\u200f", "a gpj.exe b"},
		{"nothing seen", "a\u200bb\ufeffc\u00ad", "a b c"},
		{"NUL and escape", "a\x00b\x1b[31mc\x7f", "a b [31mc"},
		{"not UTF-8", "a\xffb\xc3", "a b"},
		{"only such", "\r\n\u202e", ""},
		{"long", strings.Repeat("ä", 65), strings.Repeat("ä", 64) + "…"},
		{"just so long", strings.Repeat("ä", 64), strings.Repeat("ä", 64)},
		{"long with a space at the end", strings.Repeat("ä", 63) + " bc", strings.Repeat("ä", 63) + "…"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := clean(c.in, 64); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestDevice(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"Firefox", "Mozilla/5.0 (X11; Linux x86_64; rv:150.0) Gecko/20100101 Firefox/150.0", "Firefox on Linux"},
		{"Chrome", "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36", "Chrome on Windows"},
		{"Edge", "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0", "Edge on Windows"},
		{"Opera", "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 OPR/120.0", "Opera on macOS"},
		{"Safari", "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Safari/605.1.15", "Safari on macOS"},
		{"iPhone", "Mozilla/5.0 (iPhone; CPU iPhone OS 26_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/140.0 Mobile/15E148 Safari/604.1", "Chrome on iPhone"},
		{"Android", "Mozilla/5.0 (Linux; Android 16; SM-S901B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/29.0 Chrome/140.0.0.0 Mobile Safari/537.36", "Samsung Internet on Android"},
		{"system only", "Something (Linux)", "Linux"},
		{"program", "curl/8.15", "curl"},
		{"words", "visit https://evil.example", ""},
		{"nothing", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := device(c.in); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestLongSubjectsAreFolded(t *testing.T) {
	for _, product := range []string{strings.Repeat("word ", 30), strings.Repeat("ärger ", 30), strings.Repeat("x", 200), strings.Repeat("ß", 200)} {
		m, err := compose(defaults(t), testFrom(t), product, testSealed, testMail(authcore.MailConfirm))
		if err != nil {
			t.Fatal(err)
		}
		want := "Confirm your e-mail address for " + clean(product, maxName)
		if got := parse(t, m.Data).subject; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		head, _, _ := bytes.Cut(m.Data, []byte("\r\n\r\n"))
		for line := range bytes.SplitSeq(head, []byte("\r\n")) {
			if len(line) > 76 && bytes.Contains(bytes.TrimSpace(line), []byte(" ")) {
				t.Errorf("a line of %d: %q", len(line), line)
			}
		}
	}
}

// Whatever names people, browsers and products have, what is sent has exactly its headers, two parts, and no values that
// are more than text.
func FuzzRender(f *testing.F) {
	f.Add("Alice", "laptop", "Firefox/1 (Linux)", "192.0.2.1", "alice@example.org", "Example", "id", uint8(0))
	f.Add("a\r\nBcc: eve@example.com", "</p><script>alert(1)</script>", "\r\n\r\n", "fe80::1%\r\nx", "a@b\r\n", "=?utf-8?q?=0D=0A?=", "a>\r\nX: y", uint8(1))
	f.Add("--=_", "\u202e", "\x00", "::1", "\"\\", strings.Repeat("ä ", 400), "\xff", uint8(5))
	f.Add("{{.Link}}", "${x}", "{{", "[::1]", "<>", ".\r\n.\r\n", "", uint8(8))
	templates, from := defaults(f), testFrom(f)
	f.Fuzz(func(t *testing.T, name, label, agent, client, email, product, id string, which uint8) {
		m := testMail(kinds[int(which)%len(kinds)])
		m.Name, m.Label, m.UserAgent, m.Client, m.Email = name, label, agent, client, email
		message, err := compose(templates, from, product, authcore.SealedMail{ID: id, Created: testNow}, m)
		if err != nil {
			t.Fatal(err)
		}
		p := parse(t, message.Data)
		if got := p.header.Get("To"); got != "<alice@example.net>" {
			t.Fatalf("To: %q", got)
		}
		if list, err := p.header.AddressList("From"); err != nil || len(list) != 1 || list[0].Address != "auth@example.com" {
			t.Fatalf("From: %v, %v", list, err)
		}
		if strings.ContainsAny(p.subject, "\r\n") || utf8.RuneCountInString(p.subject) > maxSubject+1 {
			t.Fatalf("Subject: %q", p.subject)
		}
		if date, err := p.header.Date(); err != nil || !date.Equal(testNow) {
			t.Fatalf("Date: %v, %v", date, err)
		}
		if got := p.header.Get("Message-Id"); !strings.HasPrefix(got, "<") || !strings.HasSuffix(got, "@example.com>") || strings.Count(got, "@") != 1 || strings.ContainsAny(got, " \t") {
			t.Fatalf("Message-ID: %q", got)
		}
		// The tags are those of the template, whatever the values.
		plain := testMail(m.Kind)
		plain.Name, plain.Label, plain.UserAgent, plain.Client, plain.Email = harmless(name), harmless(label), m.UserAgent, m.Client, harmless(email)
		want, err := compose(templates, from, "Example", authcore.SealedMail{ID: "x", Created: testNow}, plain)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := strings.Count(p.html, "<"), strings.Count(parse(t, want.Data).html, "<"); got != want {
			t.Fatalf("%d tags, want %d:\n%s", got, want, p.html)
		}
	})
}

// harmless answers something harmless that is empty where s shows as nothing.
func harmless(s string) string {
	if clean(s, maxName) == "" {
		return ""
	}
	return "harmless"
}

func BenchmarkCompose(b *testing.B) {
	templates, from, m := defaults(b), testFrom(b), testMail(authcore.MailConfirm)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := compose(templates, from, "Example", testSealed, m); err != nil {
			b.Fatal(err)
		}
	}
}
