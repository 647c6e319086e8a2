package mail

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	htmltemplate "html/template"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	texttemplate "text/template"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

//go:embed templates/*.txt templates/*.html
var embedded embed.FS

// maxTemplate bounds a template file, in bytes: a whole mail beyond it would be cut or hidden by mail programs anyway.
const maxTemplate = 256 << 10

// kinds are all that is ever sent.
var kinds = []authcore.MailKind{
	authcore.MailConfirm, authcore.MailRegistered, authcore.MailReset, authcore.MailNoPassword, authcore.MailSuspended,
	authcore.MailPasswordChanged, authcore.MailConfirmEmail, authcore.MailEmailChanged, authcore.MailMethodAdded,
	authcore.MailMethodRemoved, authcore.MailTokenCreated, authcore.MailTokenDeleted, authcore.MailRecovery, authcore.MailDisabled,
	authcore.MailEnabled, authcore.MailDeleted, authcore.MailRoleGranted, authcore.MailRoleRevoked, authcore.MailSessionsEnded,
}

// linked are the kinds that are of no use without their link.
var linked = []authcore.MailKind{authcore.MailConfirm, authcore.MailReset, authcore.MailConfirmEmail}

// Templates are the words of all kinds of mail. They may be used by many goroutines.
//
// Each kind has two files, confirm.txt and confirm.html for instance. The text begins with the line "Subject: …" and an
// empty line. What several of them share stands as definitions in layout.txt and layout.html. Within, Data is at hand,
// and the function utc, which writes a time as "2 January 2006, 15:04 UTC".
type Templates struct {
	text map[authcore.MailKind]*texttemplate.Template
	html map[authcore.MailKind]*htmltemplate.Template
}

// DefaultTemplates answers the built-in words, in English.
func DefaultTemplates() (*Templates, error) {
	sub, err := fs.Sub(embedded, "templates")
	if err != nil {
		return nil, fmt.Errorf("mail: templates: %w", err)
	}
	return build(sub, sub)
}

// LoadTemplates reads templates from the folder dir. A kind comes whole from there, both of its files, or whole from
// the built-in ones; so does each layout. It refuses a folder without templates, files that are none, files over
// 256 KiB, and whatever does not parse or cannot tell sample mails of all kinds, naming file and line. It needs no network.
func LoadTemplates(dir string) (*Templates, error) {
	folder := os.DirFS(dir)
	if err := checkFiles(folder); err != nil {
		return nil, fmt.Errorf("mail: templates in %s: %w", dir, err)
	}
	defaults, err := fs.Sub(embedded, "templates")
	if err != nil {
		return nil, fmt.Errorf("mail: templates: %w", err)
	}
	t, err := build(folder, defaults)
	if err != nil {
		return nil, fmt.Errorf("mail: templates in %s: %w", dir, err)
	}
	return t, nil
}

// checkFiles looks for files that would silently not be used, and for halves.
func checkFiles(folder fs.FS) error {
	entries, err := fs.ReadDir(folder, ".")
	if err != nil {
		return err
	}
	have := make(map[string]bool)
	var errs []error
	for _, e := range entries {
		name := e.Name()
		stem, ext := strings.TrimSuffix(name, path.Ext(name)), path.Ext(name)
		known := stem == "layout" || slices.Contains(kinds, authcore.MailKind(stem))
		switch {
		case strings.HasPrefix(name, "."):
		case !known || ext != ".txt" && ext != ".html" || e.IsDir():
			errs = append(errs, fmt.Errorf("%s: not a template; known are <kind>.txt and <kind>.html for %s, layout.txt and layout.html", name, kindList()))
		default:
			have[name] = true
		}
	}
	for _, kind := range kinds {
		txt, html := string(kind)+".txt", string(kind)+".html"
		if have[txt] != have[html] {
			if !have[txt] {
				txt, html = html, txt
			}
			errs = append(errs, fmt.Errorf("%s: missing beside %s", html, txt))
		}
	}
	if len(errs) == 0 && len(have) == 0 {
		errs = append(errs, errors.New("no templates there"))
	}
	return errors.Join(errs...)
}

func kindList() string {
	var names []string
	for _, k := range kinds {
		names = append(names, string(k))
	}
	return strings.Join(names, " ")
}

// build parses each file from folder, or where it is not there from defaults, and tries all kinds.
func build(folder, defaults fs.FS) (*Templates, error) {
	t := &Templates{
		text: make(map[authcore.MailKind]*texttemplate.Template),
		html: make(map[authcore.MailKind]*htmltemplate.Template),
	}
	source := source{folder, defaults}
	textLayout, err := source.text(texttemplate.New("").Funcs(texttemplate.FuncMap{"utc": utc}), "layout.txt")
	if err != nil {
		return nil, err
	}
	htmlLayout, err := source.html(htmltemplate.New("").Funcs(htmltemplate.FuncMap{"utc": utc}), "layout.html")
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, kind := range kinds {
		if err := t.add(kind, source, textLayout, htmlLayout); err != nil {
			errs = append(errs, err)
		}
	}
	return t, errors.Join(errs...)
}

func (t *Templates) add(kind authcore.MailKind, s source, textLayout *texttemplate.Template, htmlLayout *htmltemplate.Template) error {
	text, err := textLayout.Clone()
	if err == nil {
		t.text[kind], err = s.text(text, string(kind)+".txt")
	}
	if err != nil {
		return err
	}
	html, err := htmlLayout.Clone()
	if err == nil {
		t.html[kind], err = s.html(html, string(kind)+".html")
	}
	if err != nil {
		return err
	}
	return t.try(kind)
}

// try executes a kind with all there may be, and with as little.
func (t *Templates) try(kind authcore.MailKind) error {
	for _, d := range []Data{sample(kind, true), sample(kind, false)} {
		words, err := t.render(kind, d)
		if err != nil {
			return err
		}
		if d.Link == "" {
			continue
		}
		if !strings.Contains(words.Text, d.Link) {
			return fmt.Errorf("%s.txt: does not show {{.Link}}", kind)
		}
		if !strings.Contains(words.HTML, d.Link) {
			return fmt.Errorf("%s.html: does not show {{.Link}}", kind)
		}
	}
	return nil
}

func sample(kind authcore.MailKind, full bool) Data {
	at := time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)
	d := Data{Kind: kind, Product: "Example", Site: "app.example.com", Origin: "https://app.example.com", Time: at, Until: at.Add(15 * time.Minute), Method: authcore.Passkey}
	if slices.Contains(linked, kind) {
		d.Link, d.Expires = "https://app.example.com/auth/activate#key", at.Add(time.Hour)
	}
	if full {
		d.Name, d.Client, d.Device, d.Label, d.Email = "Alice", "192.0.2.7", "Firefox on Linux", "laptop", "alice@example.net"
	}
	return d
}

// source reads a file where it is.
type source struct{ folder, defaults fs.FS }

func (s source) read(name string) (string, error) {
	from := s.folder
	if _, err := fs.Stat(from, name); errors.Is(err, fs.ErrNotExist) {
		from = s.defaults
	}
	b, err := fs.ReadFile(from, name)
	if err != nil {
		return "", err
	}
	if len(b) > maxTemplate {
		return "", fmt.Errorf("%s: longer than %d bytes", name, maxTemplate)
	}
	// Files from other systems: the mail is written with its own line ends, and a mark at the beginning is no subject.
	b = bytes.TrimPrefix(bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n")), []byte("\uFEFF"))
	return string(b), nil
}

func (s source) text(to *texttemplate.Template, name string) (*texttemplate.Template, error) {
	b, err := s.read(name)
	if err != nil {
		return nil, err
	}
	t, err := to.New(name).Parse(b)
	return t, place(err)
}

func (s source) html(to *htmltemplate.Template, name string) (*htmltemplate.Template, error) {
	b, err := s.read(name)
	if err != nil {
		return nil, err
	}
	t, err := to.New(name).Parse(b)
	return t, place(err)
}

// place begins the error of a template package with file and line.
func place(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	for _, prefix := range []string{"template: ", "html/template: ", "html/template:"} {
		text = strings.TrimPrefix(text, prefix)
	}
	return errors.New(text)
}

func utc(t time.Time) string { return t.UTC().Format("2 January 2006, 15:04 UTC") }
