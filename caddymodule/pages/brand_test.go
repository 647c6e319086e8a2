package pages

import (
	"bytes"
	"image"
	"image/png"
	"net/http/httptest"
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
	p.ServeAsset(w, httptest.NewRequest("GET", "/auth/assets/logo.svg", nil), "logo.svg")
	if h := w.Header(); w.Code != 200 || h.Get("Content-Type") != "image/svg+xml" || !strings.Contains(h.Get("Content-Security-Policy"), "default-src 'none'") || !strings.HasSuffix(h.Get("Content-Security-Policy"), "sandbox") {
		t.Errorf("%d %v", w.Code, h)
	}
	p = must(Branded(Brand{Logo: picture(t, 64, 64)}))
	w = httptest.NewRecorder()
	p.ServeAsset(w, httptest.NewRequest("GET", "/auth/assets/logo.png", nil), "logo.png")
	if w.Code != 200 || w.Header().Get("Content-Type") != "image/png" || p.logo.width != 32 {
		t.Errorf("%d %v %d", w.Code, w.Header(), p.logo.width)
	}
}

func TestContrastRatio(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want float64
	}{{"#000", "#ffffff", 21}, {"#fff", "#fff", 1}, {"#777777", "#fff", 4.48}, {"#767676", "#fff", 4.54}} {
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
