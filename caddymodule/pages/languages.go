package pages

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"

	"golang.org/x/text/language"
)

// source is the language that all others are translated from, and what readers get for whom there is no other.
const source = "en"

// maxAccept is how much of a header Accept-Language is read. Browsers send some dozens of bytes.
const maxAccept = 256

// words are texts: those of templates and those of scripts. In a text, {key} is a place for a value.
type words struct {
	Page   map[string]string `json:"page"`
	Script map[string]string `json:"script"`
}

// add adds the texts of other, which win.
func (w *words) add(other words) {
	if w.Page == nil {
		w.Page, w.Script = map[string]string{}, map[string]string{}
	}
	maps.Copy(w.Page, other.Page)
	maps.Copy(w.Script, other.Script)
}

// dictionary is all texts, by language (a folder of text, named by its BCP 47 tag) and file.
type dictionary map[string]map[string]words

// readDictionary reads the embedded texts.
func readDictionary() dictionary {
	d := dictionary{}
	for _, file := range must(fs.Glob(files, "text/*/*.json")) {
		tag := path.Base(path.Dir(file))
		if d[tag] == nil {
			d[tag] = map[string]words{}
		}
		var w words
		if err := json.Unmarshal(must(files.ReadFile(file)), &w); err != nil {
			panic(fmt.Errorf("pages: %s: %w", file, err))
		}
		name := path.Base(file)
		d[tag][name[:len(name)-len(".json")]] = w
	}
	return d
}

// languages answers the tags, the source first.
func (d dictionary) languages() []string {
	tags := slices.Sorted(maps.Keys(d))
	tags = slices.DeleteFunc(tags, func(tag string) bool { return tag == source })
	return append([]string{source}, tags...)
}

// page answers the texts of a page in a language: those of its files, the later ones winning.
func (d dictionary) page(tag string, names []string) (w words) {
	for _, name := range names {
		w.add(d[tag][name])
	}
	return w
}

// chooser finds the language for a reader.
type chooser struct {
	tags    []string
	matcher language.Matcher
}

func newChooser(tags []string) chooser {
	var known []language.Tag
	for _, tag := range tags {
		known = append(known, language.MustParse(tag))
	}
	return chooser{tags, language.NewMatcher(known)}
}

// choose answers the language for a header Accept-Language (RFC 9110, section 12.5.4): the first of the reader's, by
// weight, that there is. Only where none of them is there, one that its readers are said to understand (CLDR) will do.
func (c chooser) choose(accept string) string {
	if accept == "" || len(accept) > maxAccept {
		return c.tags[0]
	}
	wanted, _, err := language.ParseAcceptLanguage(accept)
	if err != nil {
		return c.tags[0]
	}
	for _, enough := range []language.Confidence{language.High, language.Low} {
		for _, tag := range wanted {
			if _, i, confidence := c.matcher.Match(tag); confidence >= enough {
				return c.tags[i]
			}
		}
	}
	return c.tags[0]
}

// direction answers the value of the attribute dir for a language.
func direction(tag string) string {
	script, _ := language.MustParse(tag).Script()
	switch script.String() {
	case "Arab", "Hebr", "Syrc", "Thaa":
		return "rtl"
	}
	return "ltr"
}
