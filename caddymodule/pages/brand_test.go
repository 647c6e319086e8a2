package pages

import (
	"bytes"
	"image"
	"image/png"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-authgate/authgate/authcore/gateway"
)

const svg = `<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 60 20"><path d="M0 0"/></svg>`

func picture(t *testing.T, w, h int) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, w, h))); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestBrandIsRefused(t *testing.T) {
	for _, test := range []struct {
		name  string
		brand Brand
		want  string
	}{
		{"name of spaces", Brand{Name: "  "}, "name: it is empty"},
		{"name with a line break", Brand{Name: "a\nb"}, "control characters"},
		{"name too long", Brand{Name: strings.Repeat("x", 501)}, "longer than 500"},
		{"accent that is no colour", Brand{Accent: Colour{Light: "green"}}, `accent: "green" is no colour`},
		{"accent that would be more style", Brand{Accent: Colour{Light: "#000;}*{display:none"}}, "is no colour"},
		{"pale accent", Brand{Accent: Colour{Light: "#9ad0ff"}}, "accent: #9ad0ff is too close to #ffffff in the light scheme: the contrast is 1.6"},
		{"dark accent in the dark", Brand{Accent: Colour{Light: "#0b5394", Dark: "#0b5394"}}, "accent: #0b5394 is too close to #1b1c1a in the dark scheme"},
		{"accent in the dark only", Brand{Accent: Colour{Dark: "#86d3ae"}}, `accent: "" is no colour`},
		{"style after a line break", Brand{Accent: Colour{Light: "#000\n}*{x:y"}}, "is no colour"},
		{"line break", Brand{Accent: Colour{Light: "#000\n"}}, "is no colour"},
		{"style in the dark", Brand{Accent: Colour{Light: "#000", Dark: "#fff;}@import url(//evil.example)"}}, "is no colour"},
		{"style around the sheet", Brand{Background: Colour{Light: "url(//evil.example/x.png)"}}, "is no colour"},
		{"named place", Brand{Background: Colour{Light: "var(--ink)"}}, "is no colour"},
		{"eight digits", Brand{Accent: Colour{Light: "#00000000"}}, "is no colour"},
		{"digits of Unicode", Brand{Accent: Colour{Light: "#١٢٣"}}, "is no colour"},
		{"logo of endless size", Brand{Logo: []byte(strings.Replace(svg, "60 20", "1e999 1e999", 1))}, "+Inf by +Inf"},
		{"logo of great size", Brand{Logo: []byte(strings.Replace(svg, "60 20", "1e308 1e308", 1))}, "1e+308 by 1e+308"},
		{"logo of no number", Brand{Logo: []byte(strings.Replace(svg, "60 20", "NaN NaN", 1))}, "NaN by NaN"},
		{"logo of another kind of XML", Brand{Logo: []byte(strings.Replace(svg, "2000/svg", "1999/xhtml", 1))}, "not with <svg"},
		{"dark background", Brand{Background: Colour{Light: "#333"}}, "background: #333 is too close to #1b1c19 in the light scheme"},
		{"unknown text", Brand{Texts: []Text{{Key: "sign-in.headnig", Text: "x"}}}, `no text "sign-in.headnig"; did you mean "sign-in.heading"?`},
		{"unknown file", Brand{Texts: []Text{{Key: "signin.heading", Text: "x"}}}, `did you mean "sign-in.heading"?`},
		{"text without file", Brand{Texts: []Text{{Key: "heading", Text: "x"}}}, "did you mean"},
		{"unknown language", Brand{Texts: []Text{{Language: "it", Key: "sign-in.heading", Text: "x"}}}, "there are: en, ar, de, es, fr, zh-Hans"},
		{"empty text", Brand{Texts: []Text{{Key: "sign-in.heading"}}}, "text sign-in.heading: it is empty"},
		{"place that nothing fills", Brand{Texts: []Text{{Key: "sign-in.heading", Text: "Hello {name}"}}}, "it has the place {name}"},
		{"logo of nothing", Brand{Logo: []byte{}}, "neither PNG nor SVG"},
		{"logo that is a page", Brand{Logo: []byte("<html><svg/></html>")}, "begins with <html>"},
		{"logo cut off", Brand{Logo: []byte(svg[:100])}, "neither PNG nor SVG"},
		{"logo too large", Brand{Logo: make([]byte, MaxLogo+1)}, "more than 65536"},
		{"logo too wide", Brand{Logo: picture(t, 90, 10)}, "90 by 10"},
		{"logo without size", Brand{Logo: []byte(strings.Replace(svg, "60 20", "0 0", 1))}, "0 by 0"},
		{"PNG cut off", Brand{Logo: picture(t, 9, 9)[:12]}, "no PNG"},
	} {
		if _, err := Branded(test.brand); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
	}
}

func TestBrandShows(t *testing.T) {
	p, err := Branded(Brand{
		Name: "Acme <b>", Logo: []byte(svg), Accent: Colour{Light: "#0b5394"}, Background: Colour{Light: "#fff8e7", Dark: "#102030"},
		Texts: []Text{
			{Key: "sign-in.heading", Text: "Welcome to {site}"},
			{Language: "de", Key: "sign-in.heading", Text: "Willkommen"},
			{Key: "common.cancelled", Text: "Never mind."},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	for accept, want := range map[string]string{"en": "Welcome to", "fr": "Welcome to", "de": "Willkommen"} {
		w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/auth/sign-in", nil)
		r.Header.Set("Accept-Language", accept)
		if err := p.ServePage(w, r, gateway.Page{Name: "sign-in", Mount: "/auth", Origin: "https://a.example", Methods: every}); err != nil {
			t.Fatal(err)
		}
		for _, s := range []string{
			want, "Acme &lt;b&gt;</bdi><bdi>a.example", `<img src="/auth/assets/logo.svg" alt="" width="96" height="32">`, `"cancelled":"Never mind."`, "· Acme &lt;b&gt;</title>",
		} {
			if !strings.Contains(w.Body.String(), s) {
				t.Errorf("%s: no %s in\n%s", accept, s, w.Body)
			}
		}
	}
	css := string(p.assets["authgate.css"])
	_, added, _ := strings.Cut(css, ":root{--accent:#0b5394;--ground:#fff8e7;}@media (prefers-color-scheme:dark){:root{--accent:")
	if len(added) < 7 || ratio(added[:7], "#1b1c1a") < 4.5 || !strings.HasSuffix(added, "--ground:#102030;}}") {
		t.Errorf("the style sheet ends in %q", css[len(css)-200:])
	}
	if other := New(); strings.Contains(string(other.assets["authgate.css"]), "#0b5394") || other.pages["sign-in"].words["de"].Page["heading"] == "Willkommen" {
		t.Error("one brand changes the pages of others")
	}
}

// A logo is opened by its address too, and an SVG would then be a page of the site that can run scripts: whoever draws the
// logo could act as whoever looks at it.
func TestLogoRunsNothing(t *testing.T) {
	p := must(Branded(Brand{Logo: []byte(strings.Replace(svg, "<path", "<script>alert(1)</script><path", 1))}))
	w := httptest.NewRecorder()
	w.Header().Set("Content-Security-Policy", "script-src 'self'") // that of pages
	p.ServeAsset(w, httptest.NewRequest("GET", "/auth/assets/logo.svg", nil), "logo.svg")
	if h := w.Header(); w.Code != 200 || h.Get("Content-Type") != "image/svg+xml" || !slices.Equal(h["Content-Security-Policy"], []string{"default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox"}) {
		t.Errorf("%d %v", w.Code, h)
	}
	p = must(Branded(Brand{Logo: picture(t, 64, 64)}))
	w = httptest.NewRecorder()
	p.ServeAsset(w, httptest.NewRequest("GET", "/auth/assets/logo.png", nil), "logo.png")
	if w.Code != 200 || w.Header().Get("Content-Type") != "image/png" || p.logo.width != 32 {
		t.Errorf("%d %v %d", w.Code, w.Header(), p.logo.width)
	}
}

// Texts of the operator are texts: in each of them markup is shown as it is, wherever it stands, and ends no script.
func TestBrandTextsAreNoMarkup(t *testing.T) {
	evil := `"><img src=x onerror=alert(1)></title></script><script>alert(1)</script><!--{{.Mount}} ' `
	b := Brand{Name: evil}
	for file, w := range readDictionary()[source] {
		for _, part := range []map[string]string{w.Page, w.Script} {
			for key := range part {
				b.Texts = append(b.Texts, Text{Key: file + "." + key, Text: evil})
			}
		}
	}
	plain := Brand{Name: "n"}
	for _, text := range b.Texts {
		text.Text = "n"
		plain.Texts = append(plain.Texts, text)
	}
	hostile, harmless := must(Branded(b)), must(Branded(plain))
	for name := range texts {
		for _, p := range []gateway.Page{
			{Name: name, Status: 401, Registration: true, Mail: true, MinLength: 12, ReturnTo: "/x", Problem: &gateway.Error{Code: "invalid_credentials"}},
			{Name: name, Status: 403, Identity: identity(), ReturnTo: "/x"},
		} {
			p.Mount, p.Origin, p.Methods = "/auth", "https://a.example", every
			bodies := [2]string{}
			for i, pages := range []*Pages{hostile, harmless} {
				w := httptest.NewRecorder()
				if err := pages.ServePage(w, httptest.NewRequest("GET", "/", nil), p); err != nil {
					if p.Identity == nil {
						break // a page for who is signed in
					}
					t.Fatal(err)
				}
				bodies[i] = w.Body.String()
			}
			if skeleton(bodies[0]) != skeleton(bodies[1]) {
				t.Errorf("%s: the texts change the page:\n%s", name, bodies[0])
			}
			if p.Identity != nil && strings.Count(bodies[0], "&lt;img") == 0 {
				t.Errorf("%s: the texts are not there", name)
			}
		}
	}
}

// The colours that are made and those that are taken keep the contrast of WCAG 2.2, 1.4.3, in both schemes.
func TestBrandColoursContrast(t *testing.T) {
	for _, colour := range []string{"#000", "#00f", "#f00", "#777", "#767676", "#800080", "#1d6b4c", "#ff8c00", "#0a0a0a", "#ffffff"} {
		p, err := Branded(Brand{Accent: Colour{Light: colour}})
		if good := ratio(colour, "#ffffff") >= 4.5; good != (err == nil) {
			t.Errorf("%s has %.2f: %v", colour, ratio(colour, "#ffffff"), err)
		}
		if err != nil {
			continue
		}
		css := string(p.assets["authgate.css"])
		dark := css[strings.LastIndex(css, "--accent:")+len("--accent:"):]
		dark, _, _ = strings.Cut(dark, ";")
		if ratio(dark, "#1b1c1a") < 4.5 {
			t.Errorf("%s is %s in the dark: %.2f", colour, dark, ratio(dark, "#1b1c1a"))
		}
	}
}

func TestContrastRatio(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want float64
	}{{"#000", "#ffffff", 21}, {"#fff", "#fff", 1}, {"#777777", "#fff", 4.48}, {"#767676", "#fff", 4.54}, {"#fff", "#000", 21}, {"#f00", "#fff", 4}, {"#00f", "#fff", 8.59}, {"#0f0", "#000", 15.3}, {"#fefefe", "#fff", 1.01}, {"#0a0a0a", "#000", 1.06}} {
		if got := ratio(test.a, test.b); got < test.want-.01 || got > test.want+.01 {
			t.Errorf("%s on %s: %.3f, want %.2f", test.a, test.b, got, test.want)
		}
	}
}

func FuzzLogo(f *testing.F) {
	f.Add([]byte(svg))
	f.Add([]byte("<svg xmlns='http://www.w3.org/2000/svg' width='1e999px' height='-1'/>"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if l, err := newLogo(data); err == nil && (l.width < 1 || l.width > 8*logoHeight) {
			t.Errorf("%d wide", l.width)
		}
	})
}
