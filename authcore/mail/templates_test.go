package mail

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

var update = flag.Bool("update", false, "write the golden files anew")

// testNow is the present of all tests.
var testNow = time.Date(2026, 11, 22, 13, 37, 0, 0, time.UTC)

// testMail answers a mail of a kind as the mechanisms write it.
func testMail(kind authcore.MailKind) authcore.Mail {
	m := authcore.Mail{
		Kind: kind, To: "alice@example.net", Name: "Alice Ärmel", Origin: "https://app.example.com", Time: testNow, Client: "2001:db8::7",
		UserAgent: "Mozilla/5.0 (X11; Linux x86_64; rv:150.0) Gecko/20100101 Firefox/150.0",
	}
	switch kind {
	case authcore.MailConfirm:
		m.Link, m.Expires = "https://app.example.com/auth/activate#k0-_A1b2C3d4E5f6G7h8I9", testNow.Add(7*24*time.Hour)
	case authcore.MailReset:
		m.Link, m.Expires = "https://app.example.com/auth/reset#k0-_A1b2C3d4E5f6G7h8I9", testNow.Add(time.Hour)
	case authcore.MailConfirmEmail:
		m.Link, m.Expires = "https://app.example.com/auth/email#k0-_A1b2C3d4E5f6G7h8I9", testNow.Add(time.Hour)
	case authcore.MailSuspended:
		m.Until = testNow.Add(15 * time.Minute)
	case authcore.MailEmailChanged:
		m.Email = "alice@example.org"
	case authcore.MailMethodAdded, authcore.MailMethodRemoved:
		m.Method, m.Label = authcore.Passkey, "Laptop & Handy <2>"
	case authcore.MailTokenCreated:
		m.Label, m.Until = "Calendar & <phone>", testNow.Add(90*24*time.Hour)
	case authcore.MailTokenDeleted:
		m.Label = "Calendar & <phone>"
	case authcore.MailRoleGranted, authcore.MailRoleRevoked:
		m.Label = "editor"
	}
	return m
}

func testFrom(t testing.TB) From {
	t.Helper()
	f, err := ParseFrom("Example Ä <auth@example.com>")
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func defaults(t testing.TB) *Templates {
	t.Helper()
	d, err := DefaultTemplates()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

var testSealed = authcore.SealedMail{ID: "AbCdEf0123456789_-GhIj", Created: testNow}

func TestGoldenMails(t *testing.T) {
	for _, kind := range kinds {
		t.Run(string(kind), func(t *testing.T) {
			m, err := compose(defaults(t), testFrom(t), "Example Ä", testSealed, testMail(kind))
			if err != nil {
				t.Fatal(err)
			}
			again, err := compose(defaults(t), testFrom(t), "Example Ä", testSealed, testMail(kind))
			if err != nil || string(again.Data) != string(m.Data) {
				t.Error("the same mail became other bytes")
			}
			p := parse(t, m.Data)
			golden(t, string(kind)+".eml", string(m.Data))
			golden(t, string(kind)+".txt", "Subject: "+p.subject+"\n\n"+p.text)
			golden(t, string(kind)+".html", p.html)
		})
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != got {
		t.Errorf("%s differs (-update writes it anew); got:\n%s", file, got)
	}
}

// A mail loads nothing when it is opened: nobody learns by it that it was.
func TestMailsLoadNothing(t *testing.T) {
	for _, kind := range kinds {
		m, err := compose(defaults(t), testFrom(t), "Example", testSealed, testMail(kind))
		if err != nil {
			t.Fatal(err)
		}
		html := strings.ToLower(parse(t, m.Data).html)
		for _, bad := range []string{"<img", "<script", "<link", "<iframe", "<object", "<video", "src=", "url(", "@import", "@font-face", "background="} {
			if strings.Contains(html, bad) {
				t.Errorf("%s has %q", kind, bad)
			}
		}
		for _, good := range []string{`<html lang="en">`, `name="color-scheme"`, "<title>", "<h1>", "</html>"} {
			if !strings.Contains(html, good) {
				t.Errorf("%s has no %q", kind, good)
			}
		}
	}
}

func TestLoadTemplates(t *testing.T) {
	const goodText, goodHTML = "Subject: Hello {{.Product}}\n\nPress {{.Link}}\n", "<p><a href=\"{{.Link}}\">{{.Link}}</a></p>\n"
	for _, c := range []struct {
		name  string
		files map[string]string
		want  []string // what the error says; none where there is no error
	}{
		{"one kind", map[string]string{"confirm.txt": goodText, "confirm.html": goodHTML}, nil},
		{"line ends of other systems", map[string]string{"confirm.txt": "\uFEFFSubject: Hello\r\n\r\nPress {{.Link}}\r\n", "confirm.html": goodHTML}, nil},
		{"layout", map[string]string{"layout.txt": `{{define "hello"}}Hi{{end}}{{define "what"}}{{end}}{{define "secure"}}{{end}}{{define "end"}}{{end}}`}, nil},
		{"hidden files beside", map[string]string{".gitignore": "", "confirm.txt": goodText, "confirm.html": goodHTML}, nil},
		{"nothing", nil, []string{"no templates there"}},
		{"half a kind", map[string]string{"confirm.txt": goodText}, []string{"confirm.html: missing beside confirm.txt"}},
		{"the other half", map[string]string{"confirm.html": goodHTML}, []string{"confirm.txt: missing beside confirm.html"}},
		{"unknown file", map[string]string{"confirmation.txt": goodText, "confirm.txt": goodText, "confirm.html": goodHTML}, []string{"confirmation.txt: not a template"}},
		{"unknown ending", map[string]string{"confirm.md": goodText}, []string{"confirm.md: not a template"}},
		{"decoys have none", map[string]string{"decoy.txt": goodText, "decoy.html": goodHTML}, []string{"decoy.txt: not a template", "decoy.html: not a template"}},
		{"text does not parse", map[string]string{"confirm.txt": "Subject: a\n\n{{.Link}}\n{{if}}\n", "confirm.html": goodHTML}, []string{"confirm.txt:4"}},
		{"HTML does not parse", map[string]string{"confirm.txt": goodText, "confirm.html": "<p>\n{{end}}"}, []string{"confirm.html:2"}},
		{"HTML cannot be escaped", map[string]string{"confirm.txt": goodText, "confirm.html": "<p>\n<script>`${ {{if .Name}}`{{end}}"}, []string{"confirm.html"}},
		{"unknown field", map[string]string{"confirm.txt": "Subject: a\n\n{{.Link}} {{.Nmae}}\n", "confirm.html": goodHTML}, []string{"confirm.txt:3", "Nmae"}},
		{"unknown field, where it is seldom looked at", map[string]string{"confirm.txt": "Subject: a\n\n{{.Link}} {{if not .Client}}{{.Nmae}}{{end}}\n", "confirm.html": goodHTML}, []string{"confirm.txt:3", "Nmae"}},
		{"unknown field in HTML", map[string]string{"reset.txt": goodText, "reset.html": "{{.Link}}\n{{.Nmae}}"}, []string{"reset.html:2", "Nmae"}},
		{"unknown definition", map[string]string{"confirm.txt": goodText + `{{template "foot" .}}`, "confirm.html": goodHTML}, []string{"confirm.txt:4", "foot"}},
		{"layout does not parse", map[string]string{"layout.html": "\n\n{{define}}"}, []string{"layout.html:3"}},
		{"layout with an unknown field", map[string]string{"layout.txt": "{{define \"hello\"}}\n{{.Nmae}}{{end}}{{define \"what\"}}{{end}}{{define \"secure\"}}{{end}}{{define \"end\"}}{{end}}"}, []string{"layout.txt:2", "Nmae"}},
		{"layout without what others use", map[string]string{"layout.txt": `{{define "hello"}}{{end}}`}, []string{"confirm.txt", "what"}},
		{"no subject", map[string]string{"confirm.txt": "Press {{.Link}}\n", "confirm.html": goodHTML}, []string{"confirm.txt:1", "Subject:"}},
		{"empty subject", map[string]string{"confirm.txt": "Subject: \n\nPress {{.Link}}\n", "confirm.html": goodHTML}, []string{"confirm.txt:1", "Subject:"}},
		{"subject that is empty sometimes", map[string]string{"confirm.txt": "Subject: {{.Client}}\n\nPress {{.Link}}\n", "confirm.html": goodHTML}, []string{"confirm.txt:1", "Subject:"}},
		{"no line between", map[string]string{"confirm.txt": "Subject: a\nBcc: eve@example.com\n\nPress {{.Link}}\n", "confirm.html": goodHTML}, []string{"confirm.txt:1"}},
		{"no text", map[string]string{"suspended.txt": "Subject: a\n\n", "suspended.html": goodHTML}, []string{"suspended.txt:1"}},
		{"no HTML", map[string]string{"suspended.txt": "Subject: a\n\nb", "suspended.html": " {{with .Link}}{{.}}{{end}}\n"}, []string{"suspended.html: is empty"}},
		{"text forgets the link", map[string]string{"confirm.txt": "Subject: a\n\nPress\n", "confirm.html": goodHTML}, []string{"confirm.txt: does not show {{.Link}}"}},
		{"HTML forgets the link", map[string]string{"confirm.txt": goodText, "confirm.html": "<p>"}, []string{"confirm.html: does not show {{.Link}}"}},
		{"too long", map[string]string{"confirm.txt": goodText + strings.Repeat("x", maxTemplate), "confirm.html": goodHTML}, []string{"confirm.txt: longer than"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, text := range c.files {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			_, err := LoadTemplates(dir)
			if (err == nil) != (c.want == nil) {
				t.Fatalf("got %v, want %q", err, c.want)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got %v, want %q", err, want)
				}
			}
		})
	}
	t.Run("no folder", func(t *testing.T) {
		if _, err := LoadTemplates(filepath.Join(t.TempDir(), "nowhere")); err == nil {
			t.Error("no error")
		}
	})
	t.Run("is used", func(t *testing.T) {
		dir := t.TempDir()
		for name, text := range map[string]string{"confirm.txt": goodText, "confirm.html": goodHTML} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		own, err := LoadTemplates(dir)
		if err != nil {
			t.Fatal(err)
		}
		m, err := compose(own, testFrom(t), "Example", testSealed, testMail(authcore.MailConfirm))
		if err != nil {
			t.Fatal(err)
		}
		if p := parse(t, m.Data); p.subject != "Hello Example" || !strings.HasPrefix(p.text, "Press https://") {
			t.Errorf("got %+v", p)
		}
		m, err = compose(own, testFrom(t), "Example", testSealed, testMail(authcore.MailReset))
		if err != nil || !strings.Contains(parse(t, m.Data).text, "Never pass this") {
			t.Errorf("the kinds that are not there must be the built-in ones: %v", err)
		}
	})
}

// Whoever writes words of their own finds in the README which there are.
func TestReadmeNamesEveryKind(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, list, found := strings.Cut(string(readme), "`<kind>.html` for any of")
	list, _, ended := strings.Cut(list, ";")
	if !found || !ended {
		t.Fatal("the README does not list them")
	}
	for _, kind := range kinds {
		if !strings.Contains(list, "`"+string(kind)+"`") {
			t.Errorf("%s is not in the README", kind)
		}
	}
}
