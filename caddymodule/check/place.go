package check

import (
	"fmt"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// Locate writes into findings where they stand in the Caddyfile that the configuration was adapted from, where there is no
// doubt: the JSON does not say, so a directive is looked for that has this name and these arguments in a block of that
// site, and one that stands there more than once is not found.
func Locate(findings []Finding, name string, text []byte) error {
	blocks, err := caddyfile.Parse(name, text)
	if err != nil {
		return err
	}
	for i := range findings {
		if f := &findings[i]; f.Source == "" && len(f.seek) > 0 {
			f.Source = f.find(blocks)
		}
	}
	return nil
}

// line is a directive: its name and what stands on the line.
type line struct {
	name caddyfile.Token
	args []string
}

func (f Finding) find(blocks []caddyfile.ServerBlock) string {
	var found []line
	for _, b := range blocks {
		if !f.in(b) {
			continue
		}
		for _, segment := range b.Segments {
			if f.inErrors != (segment.Directive() == "handle_errors") {
				continue
			}
			for _, l := range lines(segment) {
				if l.name.Text == f.seek[0] && l.says(f.seek[1:]) {
					found = append(found, l)
				}
			}
		}
	}
	if len(found) != 1 {
		return ""
	}
	return fmt.Sprintf("%s:%d", found[0].name.File, found[0].name.Line)
}

// in reports whether a block may be the one of the finding's site; where that is none, the global options.
func (f Finding) in(b caddyfile.ServerBlock) bool {
	if f.Site == "" {
		return len(b.Keys) == 0
	}
	named := ""
	if _, rest, ok := strings.Cut(f.At, "/named_routes/"); ok {
		named, _, _ = strings.Cut(rest, "/")
	}
	if named != "" || b.IsNamedRoute {
		return b.IsNamedRoute && slices.Contains(b.GetKeysText(), named)
	}
	return slices.ContainsFunc(b.GetKeysText(), func(key string) bool {
		if _, rest, ok := strings.Cut(key, "://"); ok {
			key = rest
		}
		key, _, _ = strings.Cut(key, "/")
		host, _, _ := strings.Cut(key, ":")
		if len(f.hosts) == 0 {
			return host == "" && (key == "" || slices.Contains(strings.Split(f.Site, ", "), key))
		}
		return slices.ContainsFunc(f.hosts, func(h string) bool { return strings.EqualFold(h, host) })
	})
}

// lines are the lines of a segment, those of blocks in it too.
func lines(segment caddyfile.Segment) []line {
	var list []line
	for i, token := range segment {
		if i == 0 || token.File != segment[i-1].File || token.Line != segment[i-1].Line+strings.Count(segment[i-1].Text, "\n") {
			list = append(list, line{name: token})
			continue
		}
		last := &list[len(list)-1]
		last.args = append(last.args, token.Text)
	}
	return list
}

// says reports whether all of these texts stand in the line; an address may be written shorter.
func (l line) says(texts []string) bool {
	for _, text := range texts {
		if !slices.ContainsFunc(l.args, func(arg string) bool {
			if _, rest, ok := strings.Cut(arg, "://"); ok && !strings.Contains(text, "://") {
				arg = rest
			}
			return arg == text || strings.HasPrefix(arg, ":") && strings.HasSuffix(text, arg)
		}) {
			return false
		}
	}
	return true
}
