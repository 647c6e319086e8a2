package mail

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/caddy-authgate/authgate/authcore"
)

// ErrInvalid says that a mail cannot be told at all: its address, link or kind is not one.
var ErrInvalid = errors.New("mail is not valid")

// Data is what templates are given. Texts are one line without control characters, and short.
type Data struct {
	Kind    authcore.MailKind
	Product string // name of the product, or of the site where there is none
	Site    string // host, "app.example.com"
	Origin  string // "https://app.example.com"
	// Name is the user's; may be empty, and always is in mails to addresses that nobody has confirmed.
	Name    string
	Link    string    // empty where there is nothing to press
	Expires time.Time // of Link; zero without one
	Time    time.Time // when it happened; UTC, as all times here
	Client  string    // address of the client that caused it; may be empty
	Device  string    // what that client seems to be, "Firefox on Linux"; empty where it cannot be told
	Method  authcore.Method
	Label   string    // name of the credential or token; may be empty
	Email   string    // the new address
	Until   time.Time // zero: for ever
}

// The longest that texts are shown, in characters.
const (
	maxName    = 64
	maxSubject = 150
)

// words is a mail as people read it.
type words struct{ Subject, Text, HTML string }

// render executes the templates of a kind.
func (t *Templates) render(kind authcore.MailKind, d Data) (words, error) {
	text, html := t.text[kind], t.html[kind]
	if text == nil || html == nil {
		return words{}, fmt.Errorf("mail: kind %q: %w", kind, ErrInvalid)
	}
	var b bytes.Buffer
	if err := text.Execute(&b, d); err != nil {
		return words{}, place(err)
	}
	// The values hold no line ends, so what is cut here was written by the author of the template.
	first, rest, _ := strings.Cut(b.String(), "\n")
	subject, ok := strings.CutPrefix(first, "Subject:")
	subject = clean(subject, maxSubject)
	rest, empty := strings.CutPrefix(rest, "\n")
	if !ok || subject == "" || !empty || strings.TrimSpace(rest) == "" {
		return words{}, fmt.Errorf(`%s.txt:1: must begin with "Subject: …", an empty line and a text`, kind)
	}
	w := words{Subject: subject, Text: rest}
	b.Reset()
	if err := html.Execute(&b, d); err != nil {
		return words{}, place(err)
	}
	w.HTML = b.String()
	if strings.TrimSpace(w.HTML) == "" {
		return words{}, fmt.Errorf("%s.html: is empty", kind)
	}
	return w, nil
}

// newData makes what a mail says fit to be shown.
func newData(m authcore.Mail, product string) (Data, error) {
	origin, err := url.Parse(m.Origin)
	if err != nil || origin.Host == "" || origin.Scheme != "https" && origin.Scheme != "http" || !visible(m.Origin) {
		return Data{}, fmt.Errorf("mail: origin: %w", ErrInvalid)
	}
	// A link leads to the site that the mail is about, whatever a request said of its host.
	if m.Link != "" && (!strings.HasPrefix(m.Link, m.Origin+"/") || !visible(m.Link)) {
		return Data{}, fmt.Errorf("mail: link: %w", ErrInvalid)
	}
	if (m.Link != "") != slices.Contains(linked, m.Kind) {
		return Data{}, fmt.Errorf("mail: link of kind %q: %w", m.Kind, ErrInvalid)
	}
	d := Data{
		Kind: m.Kind, Product: clean(product, maxName), Site: origin.Host, Origin: m.Origin, Link: m.Link, Expires: m.Expires.UTC(),
		Time: m.Time.UTC(), Client: client(m.Client), Device: device(m.UserAgent), Method: authcore.Method(clean(string(m.Method), maxName)), Label: clean(m.Label, maxName),
		Email: clean(m.Email, 254), Until: m.Until.UTC(),
	}
	if d.Product == "" {
		d.Product = d.Site
	}
	switch m.Kind {
	case authcore.MailConfirm, authcore.MailConfirmEmail, authcore.MailRegistered:
		// The name was chosen by whoever typed the address in. Shown, the site would send anybody's words to anybody.
	default:
		d.Name = clean(m.Name, maxName)
	}
	return d, nil
}

// visible reports whether s is printable ASCII without spaces.
func visible(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}

// clean makes s one line of at most n characters: all that is no letter, mark, number, punctuation or symbol becomes a
// space. Control and format characters go with it, those that reverse the direction of writing too, by which a text can
// be made to look like another.
func clean(s string, n int) string {
	var b strings.Builder
	count, gap := 0, false
	for _, r := range strings.ToValidUTF8(s, " ") {
		if !unicode.IsGraphic(r) || unicode.IsSpace(r) {
			gap = true
			continue
		}
		if gap && b.Len() > 0 {
			b.WriteByte(' ')
			count++
		}
		gap = false
		if count >= n {
			return strings.TrimRight(b.String(), " ") + "…"
		}
		b.WriteRune(r)
		count++
	}
	return b.String()
}

// client answers s where it is an address, else nothing.
func client(s string) string {
	addr, err := netip.ParseAddr(s)
	if err != nil {
		return ""
	}
	return addr.Unmap().WithZone("").String()
}

// device names browser and system in our own words. What a client calls itself is never shown as it stands: it can be
// any text, an address to visit for instance.
func device(userAgent string) string {
	browser, system := firstIn(userAgent, browsers), firstIn(userAgent, systems)
	switch {
	case browser == "":
		return system
	case system == "":
		return browser
	}
	return browser + " on " + system
}

// mark is what gives a browser or system away.
type mark struct{ in, name string }

// The order matters: most browsers call themselves by the names of others too.
var (
	browsers = []mark{
		{"Edg", "Edge"},
		{"OPR/", "Opera"},
		{"SamsungBrowser/", "Samsung Internet"},
		{"Vivaldi/", "Vivaldi"},
		{"FxiOS/", "Firefox"},
		{"Firefox/", "Firefox"},
		{"CriOS/", "Chrome"},
		{"Chrome/", "Chrome"},
		{"Chromium/", "Chromium"},
		{"Safari/", "Safari"},
		{"curl/", "curl"},
	}
	systems = []mark{
		{"iPhone", "iPhone"},
		{"iPad", "iPad"},
		{"Android", "Android"},
		{"CrOS", "ChromeOS"},
		{"Windows", "Windows"},
		{"Macintosh", "macOS"},
		{"Linux", "Linux"},
	}
)

func firstIn(s string, marks []mark) string {
	for _, m := range marks {
		if strings.Contains(s, m.in) {
			return m.name
		}
	}
	return ""
}
