package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

const (
	maxBody  = 64 << 10
	maxDepth = 16               // of JSON; WebAuthn credentials need five
	bodyTime = 15 * time.Second // for a body to arrive; a client that dribbles holds a connection for no longer
)

// object is the JSON object in the body of a request. Its methods read members; the first that is not as it must be is
// kept in err, so that a handler looks once. Members nobody asks for are ignored.
type object struct {
	members map[string]json.RawMessage
	err     error
}

// readObject reads the body of a request. Its errors are refusals.
func readObject(w http.ResponseWriter, r *http.Request) (*object, error) {
	if !isKind(r.Header["Content-Type"], "application/json") {
		return nil, errMediaType
	}
	b, err := readBody(w, r)
	if err != nil {
		return nil, err
	}
	m, err := parseObject(b)
	if err != nil {
		return nil, errInvalidRequest.because(err)
	}
	return &object{members: m}, nil
}

// readBody reads the body of a request, of whatever kind. Its errors are refusals.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if r.ContentLength > maxBody {
		return nil, errTooLarge
	}
	// Servers that cannot set deadlines answer an error, and have their own limits.
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Now().Add(bodyTime))
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	_ = rc.SetReadDeadline(time.Time{})
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, errTooLarge
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, errSlowBody
	case err != nil:
		return nil, errInvalidRequest.because(err)
	}
	return b, nil
}

// isKind accepts one content type, with no parameter but charset=utf-8. That a page of another origin cannot send JSON
// without asking first (W3C Fetch, CORS-safelisted request header) is a second lock on the door of checkSender.
func isKind(lines []string, wanted string) bool {
	if len(lines) != 1 {
		return false
	}
	kind, params, err := mime.ParseMediaType(lines[0])
	if err != nil || kind != wanted {
		return false
	}
	for name, value := range params {
		if name != "charset" || !strings.EqualFold(value, "utf-8") {
			return false
		}
	}
	return true
}

// parseObject answers the members of a JSON object (RFC 8259) that reads the same to every parser: valid UTF-8, nothing
// after it, and in no object of it two names that are the same, or the same but for case, as package encoding/json takes
// them for.
func parseObject(b []byte) (map[string]json.RawMessage, error) {
	if !utf8.Valid(b) {
		return nil, errors.New("gateway: body: not UTF-8")
	}
	var m map[string]json.RawMessage
	if err := json.Unmarshal(b, &m); err != nil || m == nil {
		return nil, errors.New("gateway: body: not a JSON object") // what it is instead may be a secret
	}
	return m, checkNames(b)
}

// checkNames refuses duplicate names and deep nesting in b, which is valid JSON.
func checkNames(b []byte) error {
	type level struct {
		names map[string]bool // nil: an array
		value bool            // a name was read, its value comes next
	}
	var stack []level
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	for {
		t, err := d.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("gateway: body: %w", err)
		}
		if t == json.Delim('}') || t == json.Delim(']') {
			stack = stack[:len(stack)-1]
			continue
		}
		if n := len(stack) - 1; n >= 0 && stack[n].names != nil {
			if top := &stack[n]; top.value {
				top.value = false
			} else {
				name := foldCase(t.(string))
				if top.names[name] {
					return errors.New("gateway: body: a name is there twice")
				}
				top.names[name], top.value = true, true
				continue
			}
		}
		switch t {
		case json.Delim('{'):
			stack = append(stack, level{names: make(map[string]bool)})
		case json.Delim('['):
			stack = append(stack, level{})
		}
		if len(stack) > maxDepth {
			return errors.New("gateway: body: nested too deeply")
		}
	}
}

// foldCase answers one spelling for all names that differ in case only: the lowest of each letter's.
func foldCase(s string) string {
	return strings.Map(func(r rune) rune {
		least := r
		for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
			least = min(least, f)
		}
		return least
	}, s)
}

func (o *object) fail(name, why string) {
	if o.err == nil {
		o.err = errInvalidRequest.because(fmt.Errorf("gateway: body: %s: %s", name, why))
	}
}

// required answers a string that must be there.
func (o *object) required(name string) string {
	s, given := o.optional(name)
	if !given {
		o.fail(name, "is missing")
	}
	return s
}

// optional answers a string that may be there; null counts as not there.
func (o *object) optional(name string) (s string, given bool) {
	raw := o.members[name]
	if raw == nil || string(raw) == "null" {
		return "", false
	}
	if err := json.Unmarshal(raw, &s); err != nil {
		o.fail(name, "is not a string")
		return "", false
	}
	return s, true
}

// has reports whether a member is there; null counts as not there.
func (o *object) has(name string) bool {
	raw := o.members[name]
	return raw != nil && string(raw) != "null"
}

// object answers the text of an object that must be there.
func (o *object) object(name string) []byte {
	raw := o.members[name]
	if len(raw) == 0 || raw[0] != '{' {
		o.fail(name, "is not an object")
	}
	return raw
}

// maxLabel is how long a name may be that people give to something, in characters.
const maxLabel = 64

// label answers a name that people give to something, if there is one, in a form fit to be shown: printable (which
// excludes control and bidi characters) and without space around it.
func (o *object) label(name string) string {
	s, _ := o.optional(name)
	s = strings.TrimSpace(s)
	if utf8.RuneCountInString(s) > maxLabel || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		o.fail(name, "is too long or not printable")
	}
	return s
}

// number answers a positive integer that may be there, else 0. It may be written as a number, or as a string in decimal
// or with 0x in hexadecimal, as wallets tell their chain (EIP-695).
func (o *object) number(name string) uint64 {
	raw := o.members[name]
	if raw == nil || string(raw) == "null" {
		return 0
	}
	text, base := string(raw), 10
	if raw[0] == '"' {
		text, _ = o.optional(name)
		if hex, ok := strings.CutPrefix(text, "0x"); ok {
			text, base = hex, 16
		}
	}
	n, err := strconv.ParseUint(text, base, 64)
	if err != nil || n == 0 {
		o.fail(name, "is not a positive integer")
	}
	return n
}
