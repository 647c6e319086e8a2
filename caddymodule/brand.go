package caddymodule

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-authgate/authgate/caddymodule/pages"
)

// Brand is how the pages look and what they say.
type Brand struct {
	// The name of the product, shown beside the site's host. Default: none.
	Name string `json:"name,omitempty"`
	// A file with the logo, SVG or PNG, up to 64 KiB. It is read when the configuration is loaded.
	Logo string `json:"logo,omitempty"`
	// The colour of links and buttons, #rrggbb, and that for the dark scheme. Default: green; for the dark scheme a lighter
	// one of the first.
	Accent []string `json:"accent,omitempty"`
	// The colour around the sheet, and that for the dark scheme.
	Background []string `json:"background,omitempty"`
	// Texts in other words.
	Texts []BrandText `json:"texts,omitempty"`
}

// BrandText is a text of the pages in other words.
type BrandText struct {
	// A language that there is: en, ar, de, es, fr or zh-Hans. Default: all of them.
	Language string `json:"language,omitempty"`
	// Which text, "sign-in.heading".
	Key string `json:"key"`
	// The text. {places} of the one it replaces are filled.
	Text string `json:"text"`
}

// plainPages are those without a brand, the same for all sites, and made when the first one needs them.
var plainPages = sync.OnceValue(pages.New)

// pages answers the pages with this brand; nil has none.
func (b *Brand) pages() (*pages.Pages, error) {
	if b == nil {
		return plainPages(), nil
	}
	brand, err := b.brand()
	if err != nil {
		return nil, err
	}
	if b.Logo != "" {
		if brand.Logo, err = readLogo(caddy.NewReplacer().ReplaceKnown(b.Logo, "")); err != nil {
			return nil, fmt.Errorf("brand: logo: %w", err)
		}
	}
	return pages.Branded(brand)
}

// brand is all but the logo.
func (b *Brand) brand() (pages.Brand, error) {
	brand := pages.Brand{Name: b.Name}
	for _, c := range []struct {
		name string
		from []string
		to   *pages.Colour
	}{{"accent", b.Accent, &brand.Accent}, {"background", b.Background, &brand.Background}} {
		if len(c.from) > 2 {
			return brand, fmt.Errorf("brand: %s has %d colours; there is one for the light scheme and one for the dark", c.name, len(c.from))
		}
		for i, colour := range c.from {
			*[]*string{&c.to.Light, &c.to.Dark}[i] = colour
		}
	}
	for _, t := range b.Texts {
		brand.Texts = append(brand.Texts, pages.Text(t))
	}
	return brand, nil
}

// check finds what is wrong with all but the logo, which need not be there where a Caddyfile is only adapted.
func (b *Brand) check() error {
	brand, err := b.brand()
	if err == nil {
		_, err = pages.Branded(brand)
	}
	if err != nil {
		return fmt.Errorf("%s", strings.TrimPrefix(err.Error(), "pages: "))
	}
	return nil
}

// readLogo reads no more of a file than shows that it is too large: it may be a device.
func readLogo(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, pages.MaxLogo+1))
}

// brandOption is the option of the app and of a site.
func brandOption(into **Brand) option {
	return option{usage: "brand { <options> }", block: true, parse: func(d *caddyfile.Dispenser, _ []string) error {
		b := new(Brand)
		*into = b
		colours := func(usage string, into *[]string) option {
			return option{usage: usage, min: 1, max: 2, parse: func(_ *caddyfile.Dispenser, args []string) error {
				*into = args
				return nil
			}}.checked(b.check)
		}
		return parseBlock(d, "brand", []option{
			textOption("name <name>", &b.Name).checked(b.check),
			textOption("logo <file>", &b.Logo).expanding(),
			colours("accent <colour> [<colour in the dark>]", &b.Accent),
			colours("background <colour> [<colour in the dark>]", &b.Background),
			option{usage: "text [<language>] <key> <text>", min: 2, max: 3, repeat: true, parse: func(_ *caddyfile.Dispenser, args []string) error {
				t := BrandText{Key: args[len(args)-2], Text: args[len(args)-1]}
				if len(args) == 3 {
					t.Language = args[0]
				}
				b.Texts = append(b.Texts, t)
				return nil
			}}.checked(b.check),
		})
	}}
}
