package pages

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"image/png"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Brand is how the pages of an operator look and speak. The zero value of a field leaves it as it is.
type Brand struct {
	Name       string // of the product, shown beside the site's host
	Logo       []byte // SVG or PNG, at most MaxLogo bytes
	Accent     Colour // of links and buttons
	Background Colour // of what is around the sheet
	Texts      []Text
}

// Colour is written as #rgb or #rrggbb. Dark is for the dark colour scheme; empty, it is made from Light.
type Colour struct{ Light, Dark string }

// Text is one text in the words of the operator.
type Text struct {
	Language string // BCP 47 tag of one that there is; empty: in all of them
	Key      string // <file>.<key> of the folder text, "sign-in.heading"
	Text     string
}

// MaxLogo is how large a logo may be, in bytes.
const MaxLogo = 64 << 10

// maxText is how long a text or name may be, in characters.
const maxText = 500

// contrast is the least for text on its ground (WCAG 2.2, 1.4.3).
const contrast = 4.5

// logo is a picture that is fit to be shown, at this many pixels.
type logo struct {
	file          string // name of the asset
	data          []byte
	width, height int
}

const logoHeight = 32

// maxSide is how wide or high a logo may be in its own units.
const maxSide = 1 << 20

// newLogo checks a logo and finds its size, so that the page need not move when it is there.
func newLogo(data []byte) (*logo, error) {
	if len(data) > MaxLogo {
		return nil, fmt.Errorf("the logo has %d bytes, more than %d", len(data), MaxLogo)
	}
	l, w, h := &logo{data: data, height: logoHeight}, 0.0, 0.0
	if bytes.HasPrefix(data, []byte("\x89PNG\r\n\x1a\n")) {
		c, err := png.DecodeConfig(bytes.NewReader(data))
		if err != nil {
			return nil, fmt.Errorf("the logo is no PNG: %w", err)
		}
		l.file, w, h = "logo.png", float64(c.Width), float64(c.Height)
	} else {
		var err error
		if w, h, err = sizeOfSVG(data); err != nil {
			return nil, fmt.Errorf("the logo is neither PNG nor SVG: %w", err)
		}
		l.file = "logo.svg"
	}
	// So that no number in it overflows, or is none.
	if !(w > 0 && h > 0 && w <= maxSide && h <= maxSide && w <= 8*h && h <= 4*w) {
		return nil, fmt.Errorf("the logo is %g by %g; it may be up to 8 times as wide as high, or 4 times as high as wide", w, h)
	}
	l.width = max(1, int(logoHeight*(w/h)+.5))
	return l, nil
}

// sizeOfSVG answers width and height by the viewBox, else by the attributes of these names, else those of a square.
func sizeOfSVG(data []byte) (w, h float64, err error) {
	d := xml.NewDecoder(bytes.NewReader(data))
	for {
		t, err := d.Token()
		if err != nil {
			return 0, 0, errors.New("there is no element svg in it")
		}
		root, ok := t.(xml.StartElement)
		if !ok {
			continue
		}
		if root.Name.Local != "svg" || root.Name.Space != "http://www.w3.org/2000/svg" {
			return 0, 0, fmt.Errorf("it begins with <%s>, not with <svg xmlns=\"http://www.w3.org/2000/svg\">", root.Name.Local)
		}
		// To the end, so that what is cut off is refused here and not in a browser.
		if err := d.Skip(); err != nil {
			return 0, 0, err
		}
		w, h = 1, 1
		for _, a := range root.Attr {
			switch a.Name.Local {
			case "viewBox":
				if n := strings.Fields(strings.ReplaceAll(a.Value, ",", " ")); len(n) == 4 {
					w, _ = strconv.ParseFloat(n[2], 64)
					h, _ = strconv.ParseFloat(n[3], 64)
					return w, h, nil
				}
			case "width":
				w, _ = strconv.ParseFloat(strings.TrimSuffix(a.Value, "px"), 64)
			case "height":
				h, _ = strconv.ParseFloat(strings.TrimSuffix(a.Value, "px"), 64)
			}
		}
		return w, h, nil
	}
}

// apply changes the texts of d to those of the brand.
func (b Brand) apply(d dictionary) error {
	for _, t := range b.Texts {
		tags := d.languages()
		if t.Language != "" {
			if !slices.Contains(tags, t.Language) {
				return fmt.Errorf("there is no language %q; there are: %s", t.Language, strings.Join(tags, ", "))
			}
			tags = []string{t.Language}
		}
		file, key, _ := strings.Cut(t.Key, ".")
		for _, tag := range tags {
			parts := []map[string]string{d[tag][file].Page, d[tag][file].Script}
			found := false
			for _, part := range parts {
				original, ok := part[key]
				if !ok {
					continue
				}
				found = true
				if err := fits(t.Text, original); err != nil {
					return fmt.Errorf("text %s: %w", t.Key, err)
				}
				part[key] = t.Text
			}
			if !found {
				return fmt.Errorf("there is no text %q; did you mean %q?", t.Key, nearest(t.Key, d[source]))
			}
		}
	}
	return nil
}

var place = regexp.MustCompile(`\{\w+\}`)

// fits reports what is wrong with a text in place of another.
func fits(text, original string) error {
	if err := printable(text); err != nil {
		return err
	}
	for _, p := range place.FindAllString(text, -1) {
		if p != "{site}" && !strings.Contains(original, p) {
			return fmt.Errorf("it has the place %s, which is never filled here; the text it replaces is %q", p, original)
		}
	}
	return nil
}

func printable(s string) error {
	switch {
	case strings.TrimSpace(s) == "":
		return errors.New("it is empty")
	case utf8.RuneCountInString(s) > maxText:
		return fmt.Errorf("it is longer than %d characters", maxText)
	case !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl):
		return errors.New("it has control characters")
	}
	return nil
}

// nearest answers the key that is written most like this one.
func nearest(key string, files map[string]words) string {
	best, least := "", len(key)+100
	for _, file := range slices.Sorted(maps.Keys(files)) {
		for _, part := range []map[string]string{files[file].Page, files[file].Script} {
			for _, known := range slices.Sorted(maps.Keys(part)) {
				if n := distance(key, file+"."+known); n < least {
					best, least = file+"."+known, n
				}
			}
		}
	}
	return best
}

// distance is how many letters must be added, dropped or changed to come from a to b (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := before
			if a[i] != b[j] {
				cost++
			}
			before = row[j+1]
			row[j+1] = min(cost, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}

// style answers what is added to the style sheet, whose own colours the brand's are measured against.
func (b Brand) style(sheet string) (string, error) {
	light, dark := map[string]string{}, map[string]string{}
	first, second, _ := strings.Cut(sheet, "(prefers-color-scheme:dark)")
	for _, of := range []struct {
		part string
		into map[string]string
	}{{first, light}, {second, dark}} {
		for _, m := range regexp.MustCompile(`--(\w+):(#\w+)`).FindAllStringSubmatch(of.part, -1) {
			if of.into[m[1]] == "" {
				of.into[m[1]] = m[2]
			}
		}
	}
	var inLight, inDark strings.Builder
	for _, c := range []struct {
		name, property, against, toward string
		Colour
	}{
		{"accent", "accent", "sheet", "#ffffff", b.Accent},
		{"background", "ground", "ink", "#000000", b.Background},
	} {
		if c.Colour == (Colour{}) {
			continue
		}
		if c.Dark == "" {
			c.Dark = c.Light
			for step := 1; step <= 20 && ratio(c.Dark, dark[c.against]) < contrast; step++ {
				c.Dark = mix(c.Light, c.toward, float64(step)/20)
			}
		}
		for _, one := range []struct {
			scheme, colour, other string
			into                  *strings.Builder
		}{{"light", c.Light, light[c.against], &inLight}, {"dark", c.Dark, dark[c.against], &inDark}} {
			if _, ok := parseColour(one.colour); !ok {
				return "", fmt.Errorf("%s: %q is no colour; write #rgb or #rrggbb", c.name, one.colour)
			}
			if r := ratio(one.colour, one.other); r < contrast {
				return "", fmt.Errorf("%s: %s is too close to %s in the %s scheme: the contrast is %.2f:1 and must be %.1f:1 at least",
					c.name, one.colour, one.other, one.scheme, r, contrast)
			}
			fmt.Fprintf(one.into, "--%s:%s;", c.property, one.colour)
		}
	}
	if inLight.Len() == 0 {
		return "", nil
	}
	return ":root{" + inLight.String() + "}@media (prefers-color-scheme:dark){:root{" + inDark.String() + "}}", nil
}
