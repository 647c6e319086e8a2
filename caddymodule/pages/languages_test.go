package pages

import (
	"maps"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-authgate/authgate/authcore/gateway"
)

// Every language has every text, with the same places for values and nothing besides. Whoever adds a text to text/en adds
// it to the same file of each other folder of text.
func TestLanguagesAreComplete(t *testing.T) {
	d := readDictionary()
	if len(d.languages()) < 6 {
		t.Errorf("only %v", d.languages())
	}
	for _, tag := range d.languages()[1:] {
		for name := range d[tag] {
			if _, ok := d[source][name]; !ok {
				t.Errorf("text/%s/%s.json: there is no text/%s/%s.json", tag, name, source, name)
			}
		}
		for name, original := range d[source] {
			compare(t, tag, name, "page", original.Page, d[tag][name].Page)
			compare(t, tag, name, "script", original.Script, d[tag][name].Script)
		}
	}
}

func compare(t *testing.T, tag, name, part string, original, translated map[string]string) {
	t.Helper()
	for _, key := range slices.Sorted(maps.Keys(original)) {
		text, ok := translated[key]
		switch {
		case !ok:
			t.Errorf("text/%s/%s.json: %s has no %q; in English it says %q", tag, name, part, key, original[key])
		case strings.TrimSpace(text) == "" || text != strings.TrimSpace(text):
			t.Errorf("text/%s/%s.json: %s: %q is %q", tag, name, part, key, text)
		case !slices.Equal(places(text), places(original[key])):
			t.Errorf("text/%s/%s.json: %s: %q has the places %v, in English %v", tag, name, part, key, places(text), places(original[key]))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(translated)) {
		if _, ok := original[key]; !ok {
			t.Errorf("text/%s/%s.json: %s: %q is not in English", tag, name, part, key)
		}
	}
}

// places are the places of a text, each once.
func places(text string) []string {
	all := regexp.MustCompile(`\{\w+\}`).FindAllString(text, -1)
	slices.Sort(all)
	return slices.Compact(all)
}

func TestLanguageIsChosen(t *testing.T) {
	c := newChooser([]string{"en", "ar", "de", "es", "fr", "zh-Hans"})
	for _, test := range []struct{ name, accept, want string }{
		{"nothing said", "", "en"},
		{"one", "de", "de"},
		{"of a country", "de-AT", "de"},
		{"in capitals", "DE-at", "de"},
		{"the first that there is", "da, fr;q=0.8, de;q=0.7", "fr"},
		{"by weight, not by order", "de;q=0.3, es;q=0.9, en;q=0.5", "es"},
		{"weight of nothing is a refusal", "de;q=0, es;q=0.1", "es"},
		{"simplified Chinese", "zh-CN,zh;q=0.9,en;q=0.8", "zh-Hans"},
		{"of Singapore", "zh-SG", "zh-Hans"},
		{"traditional Chinese before English", "zh-TW, en;q=0.5", "en"},
		{"traditional Chinese alone", "zh-TW", "zh-Hans"},
		{"Arabic of Egypt", "ar-EG,ar;q=0.9", "ar"},
		{"Latin American Spanish", "es-419", "es"},
		{"none that there is", "sw, xh", "en"},
		{"anything", "*", "en"},
		{"none that there is, or anything", "sw, *;q=0.1", "en"},
		{"rubbish", ";;;q=,,-", "en"},
		{"a long one", strings.Repeat("de,", 200), "en"},
		{"a hundred kilobytes", "de," + strings.Repeat("de-de-de,", 100<<10/9), "en"},
		{"a hundred kilobytes of subtags", strings.Repeat("a-", 50<<10), "en"},
		{"refused, and anything", "de;q=0, *", "en"},
		{"all refused", "*;q=0", "en"},
		{"anything before one", "*, de", "de"},
		{"anything of little weight", "*;q=0.1, de;q=0.5", "de"},
		{"weight of too many digits", "de;q=0.33333, fr;q=0.2", "de"},
		{"weight above one", "fr;q=0.9, de;q=7", "de"},
		{"weight below nothing", "de;q=-1, fr;q=0.1", "fr"},
		{"weight that is a word", "de;q=high", "en"},
		{"no Unicode", "\xff\xfe, de", "en"},
		{"a line break", "de\r\nX: y", "en"},
		{"a tag that is private", "x-private, fr", "fr"},
		{"a region nobody knows", "de-ZZ", "de"},
		{"space around", "  de ; q=0.9 ,  fr ; q=0.95 ", "fr"},
		{"empty members", ",,de,,", "de"},
		{"many subtags", strings.Repeat("de-", 60), "en"},
	} {
		if got := c.choose(test.accept); got != test.want {
			t.Errorf("%s: %q: %s, want %s", test.name, test.accept, got, test.want)
		}
	}
}

// A page says in which language it is: to whoever reads it aloud or translates it, and to caches.
func TestPageSaysItsLanguage(t *testing.T) {
	for _, test := range []struct{ accept, lang, dir string }{
		{"de", "de", "ltr"}, {"fr-CA", "fr", "ltr"}, {"es", "es", "ltr"}, {"zh-CN", "zh-Hans", "ltr"}, {"ar", "ar", "rtl"}, {"", "en", "ltr"},
	} {
		w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/auth/sign-in", nil)
		r.Header.Set("Accept-Language", test.accept)
		w.Header().Set("Vary", "Cookie")
		if err := New().ServePage(w, r, gateway.Page{Name: "sign-in", Mount: "/auth", Origin: "https://a.example", Methods: every}); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(w.Body.String(), `<html lang="`+test.lang+`" dir="`+test.dir+`">`) {
			t.Errorf("%q: %.60s", test.accept, w.Body)
		}
		if h := w.Header(); h.Get("Content-Language") != test.lang || !slices.Equal(h["Vary"], []string{"Cookie", "Accept-Language"}) {
			t.Errorf("%q: %v", test.accept, h)
		}
	}
}

// A name or an address that is written from left to right would fall apart within a text that is not.
func TestValuesStayInOnePieceFromRightToLeft(t *testing.T) {
	for dir, want := range map[string]string{"rtl": "a \u2068b.example:1\u2069 c", "ltr": "a b.example:1 c"} {
		v := &view{Dir: dir, words: words{Page: map[string]string{"x": "a {site} c"}}}
		if got, err := v.Say("x", "site", "b.example:1"); err != nil || got != want {
			t.Errorf("%s: %q, %v", dir, got, err)
		}
	}
}

func FuzzChoose(f *testing.F) {
	for _, seed := range []string{"de", "de-AT;q=0.5,*", "zh-Hant-TW-x-a;q=1.0001", "\xff", "i-klingon", strings.Repeat("a-", 100)} {
		f.Add(seed)
	}
	c := newChooser([]string{"en", "de", "ar"})
	f.Fuzz(func(t *testing.T, accept string) {
		if !slices.Contains(c.tags, c.choose(accept)) {
			t.Error("a language that is not there")
		}
	})
}
