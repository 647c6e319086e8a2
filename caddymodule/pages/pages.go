// Package pages is what people see of the gateway: the pages to sign in, to open an account and to get back into it, to
// see who one is signed in as and to manage what one signs in with, and to learn why a request was refused. It is HTML,
// one style sheet and a few small ES modules, embedded in the binary.
//
// Its pages promise to work under the content security policy that the gateway sets (scripts and styles from this
// origin only, none inline), to load nothing from elsewhere, and to stay below 60 KB each with all that they load.
// Opening a page changes nothing, not even one that a mailed link leads to; its key is in the fragment, and a button sends it.
// Whatever comes from outside, names of people and of wallets, addresses, paths, is escaped by html/template on the
// server and is only ever a text node in the browser.
//
// To add
//
//   - a text: to text/en/<file>.json, under "page" for what a template says (.Say "key") or "script" for what a script says
//     (say('key')), and to the same file of each other language; a test names those that are missing.
//   - a language: a folder of text, named by its BCP 47 tag, with the same files as text/en.
//   - a page: templates/<name>.html, which defines title, script and body; text/<name>.json; a line in texts below, with
//     the files of texts it is made of; a route of the gateway that fills a [gateway.Page] of this name. A subpage of an
//     account, say account/sessions, has a name with a hyphen, account-sessions.
//   - a script: assets/<name>.js, an ES module that imports what it shares by a line of its own ("from './page.js'"). It
//     asks the gateway by call of page.js and tells by tell, both with texts of the page. What takes a fresh sign-in goes
//     through change of confirm.js, on a page that has the template "proof" and the texts common, passkey, wallet,
//     password and confirm. Comments are //,
//     to the end of the line.
//
// A page has to stay within 60 KB with all it loads, in the language that has the longest texts; a test weighs each.
//
// It decides nothing: who may see a page, which headers it carries and whether a return address is safe were settled by
// the gateway before.
package pages

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"strconv"

	"github.com/caddy-authgate/authgate/authcore/gateway"
)

//go:embed assets templates text
var files embed.FS

// Pages implements gateway.Pages.
type Pages struct {
	pages     map[string]page
	languages chooser
	assets    map[string][]byte
	name      string // of the product; may be empty
	logo      *logo  // may be nil
}

type page struct {
	template *template.Template
	words    map[string]words // by language
}

// texts are the files of texts that a page is made of. Where two have the same key the later one wins.
var texts = map[string][]string{
	"sign-in":          {"common", "passkey", "wallet", "password", "sign-in"},
	"account":          {"common", "passkey", "wallet", "password", "confirm", "account"},
	"account-profile":  {"common", "passkey", "wallet", "password", "confirm", "account-profile"},
	"account-sessions": {"common", "account-sessions"},
	"account-tokens":   {"common", "passkey", "wallet", "password", "confirm", "account-tokens"},
	"register":         {"common", "passkey", "password", "new-account", "register"},
	"forgot":           {"common", "password", "forgot"},
	"activate":         {"common", "password", "mailed-link", "activate"},
	"reset":            {"common", "password", "mailed-link", "reset"},
	"email":            {"common", "password", "mailed-link", "email"},
	"invite":           {"common", "passkey", "wallet", "password", "new-account", "invite"},
	"recover":          {"common", "passkey", "wallet", "password", "mailed-link", "recover"},
	"confirm":          {"common", "passkey", "wallet", "password", "confirmation"},
	"error":            {"error"},
	"loop":             {"loop"},

	"admin":             {"common", "administration", "admin"},
	"admin-user":        {"common", "passkey", "wallet", "password", "confirm", "administration", "administering", "admin-user"},
	"admin-invitations": {"common", "passkey", "wallet", "password", "confirm", "administration", "administering", "admin-invitations"},
	"admin-access":      {"common", "administration", "admin-access"},
	"admin-log":         {"common", "administration", "events", "admin-log"},
}

// New answers the pages as they are. It panics where the embedded files are at odds with each other, which the tests rule
// out.
func New() *Pages { return must(Branded(Brand{})) }

// Branded answers the pages of an operator. Its errors are about the brand.
func Branded(b Brand) (*Pages, error) {
	p := &Pages{pages: map[string]page{}, assets: map[string][]byte{}, name: b.Name}
	if b.Name != "" {
		if err := printable(b.Name); err != nil {
			return nil, fmt.Errorf("pages: brand: name: %w", err)
		}
	}
	base := parse(template.New("base.html"), "base.html", "methods.html", "fields.html", "administration.html")
	dictionary := readDictionary()
	if err := b.apply(dictionary); err != nil {
		return nil, fmt.Errorf("pages: brand: %w", err)
	}
	p.languages = newChooser(dictionary.languages())
	for name, names := range texts {
		pg := page{
			template: parse(template.Must(base.Clone()), name+".html"),
			words:    map[string]words{},
		}
		for _, tag := range p.languages.tags {
			pg.words[tag] = dictionary.page(tag, names)
		}
		p.pages[name] = pg
	}
	for _, f := range must(fs.Glob(files, "assets/*")) {
		p.assets[path.Base(f)] = lean(f, must(files.ReadFile(f)))
	}
	style, err := b.style(string(p.assets["authgate.css"]))
	if err != nil {
		return nil, fmt.Errorf("pages: brand: %w", err)
	}
	p.assets["authgate.css"] = append(p.assets["authgate.css"], style...)
	if b.Logo != nil {
		if p.logo, err = newLogo(b.Logo); err != nil {
			return nil, fmt.Errorf("pages: brand: %w", err)
		}
		p.assets[p.logo.file] = b.Logo
	}
	return p, nil
}

// ServePage writes the page and the status. Nothing is written where it answers an error.
func (p *Pages) ServePage(w http.ResponseWriter, r *http.Request, g gateway.Page) error {
	pg, ok := p.pages[g.Name]
	if !ok {
		return fmt.Errorf("pages: no page %q", g.Name)
	}
	// The gateway says by a header when to come back; the page says the same in words.
	retry, _ := strconv.Atoi(w.Header().Get("Retry-After"))
	tag := p.languages.choose(r.Header.Get("Accept-Language"))
	v, err := newView(tag, pg.words[tag], g, retry)
	if err != nil {
		return fmt.Errorf("pages: %s: %w", g.Name, err)
	}
	v.Product, v.Logo = p.name, p.logo
	var b bytes.Buffer
	if err := pg.template.Execute(&b, v); err != nil {
		return fmt.Errorf("pages: %s: %w", g.Name, err)
	}
	status := g.Status
	if status == 0 {
		status = http.StatusOK
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Language", tag)
	w.Header().Add("Vary", "Accept-Language")
	w.Header().Set("Content-Length", strconv.Itoa(b.Len()))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		w.Write(b.Bytes())
	}
	return nil
}

// ServeAsset writes a file that a page refers to, or 404. Names are looked up in a map, so none leads out of it.
func (p *Pages) ServeAsset(w http.ResponseWriter, r *http.Request, name string) {
	body, ok := p.assets[name]
	if !ok {
		http.NotFound(w, r)
		return
	}
	// Not from the system's MIME table: a machine that calls .js text/plain would break the pages under nosniff.
	kinds := map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml", ".png": "image/png"}
	w.Header().Set("Content-Type", kinds[path.Ext(name)])
	if path.Ext(name) == ".svg" {
		// A page shows it as a picture, in which no script runs. Opened by itself it would be a page of this origin.
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox")
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		w.Write(body)
	}
}

// lean answers an asset without what only its authors need.
func lean(name string, asset []byte) []byte {
	switch path.Ext(name) {
	case ".js":
		return []byte(leanScript(string(asset)))
	case ".css":
		return []byte(leanStyle(string(asset)))
	}
	return asset
}

// parse adds templates to t.
func parse(t *template.Template, names ...string) *template.Template {
	for _, name := range names {
		into := t
		if name != t.Name() {
			into = t.New(name)
		}
		template.Must(into.Parse(leanTemplate(string(must(files.ReadFile("templates/" + name))))))
	}
	return t
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(fmt.Errorf("pages: %w", err))
	}
	return v
}

var _ gateway.Pages = (*Pages)(nil)
