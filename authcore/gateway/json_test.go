package gateway

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestParseObject(t *testing.T) {
	deep := func(n int) string { return strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n) }
	for _, c := range []struct {
		name, in string
		ok       bool
	}{
		{"empty object", `{}`, true},
		{"white space around", " \r\n\t{ } \n", true},
		{"all kinds of values", `{"a":1,"b":"x","c":[1,{"a":2},{"a":3}],"d":null,"e":true,"f":{"a":1}}`, true},
		{"same name at different depths", `{"a":{"a":{"a":1}}}`, true},
		{"names that only look alike", `{"a":1,"а":2}`, true}, // Latin, Cyrillic
		{"value that looks like a name", `{"a":"b","b":"a"}`, true},
		{"as deep as may be", deep(maxDepth), true},

		{"nothing", ``, false},
		{"an array", `[]`, false},
		{"a string", `"a"`, false},
		{"null", `null`, false},
		{"two objects", `{}{}`, false},
		{"text after it", `{}x`, false},
		{"a comma too many", `{"a":1,}`, false},
		{"a comment", `{/**/}`, false},
		{"single quotes", `{'a':1}`, false},
		{"a name without quotes", `{a:1}`, false},
		{"NaN", `{"a":NaN}`, false},
		{"a leading zero", `{"a":01}`, false},
		{"a byte order mark", "\ufeff{}", false},
		{"a line break in a string", "{\"a\":\"\n\"}", false},
		{"invalid UTF-8 in a value", "{\"a\":\"\xff\"}", false},
		{"invalid UTF-8 in a name", "{\"\xff\":1}", false},
		{"a surrogate in UTF-8", "{\"a\":\"\xed\xa0\x80\"}", false},
		{"a duplicate", `{"a":1,"a":1}`, false},
		{"a duplicate, written otherwise", `{"a":1,"\u0061":1}`, false},
		{"a duplicate in another case", `{"session":"x","Session":"cookie"}`, false},
		{"a duplicate by the long s", `{"session":"x","ſession":"cookie"}`, false},
		{"a duplicate below", `{"a":{"b":1,"b":2}}`, false},
		{"a duplicate in an array", `{"a":[0,{"b":1,"B":2}]}`, false},
		{"a duplicate after a nested value", `{"a":{"b":[]},"c":1,"a":2}`, false},
		{"too deep", deep(maxDepth + 1), false},
		{"too deep in arrays", `{"a":` + strings.Repeat("[", maxDepth) + strings.Repeat("]", maxDepth) + `}`, false},
		{"as deep as a body can be", strings.Repeat(`[`, maxBody), false},
	} {
		if _, err := parseObject([]byte(c.in)); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// What is accepted is JSON to everybody, and means the same when it is read by package encoding/json.
func FuzzParseObject(f *testing.F) {
	for _, s := range []string{`{}`, `{"a":1,"A":2}`, `{"a":[{"b":null}]}`, `[]`, `{"a":"\ud800"}`, `{"K":1,"k":2}`, "{\"\xff\":1}", `{"a":1}{}`, `{"a":{"a":{}},"b":"{"}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		m, err := parseObject(in)
		if err != nil {
			return
		}
		if !json.Valid(in) || !utf8.Valid(in) {
			t.Fatalf("%q was accepted", in)
		}
		// Nothing got lost: a name that is there twice would have been dropped on the way.
		d := json.NewDecoder(strings.NewReader(string(in)))
		names, depth := 0, 0
		for {
			tok, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if tok == json.Delim('{') || tok == json.Delim('[') {
				depth++
				continue
			}
			if tok == json.Delim('}') || tok == json.Delim(']') {
				depth--
				continue
			}
			if depth == 1 {
				names++ // a name, or a plain value
			}
		}
		plain := 0
		for _, raw := range m {
			if raw[0] != '{' && raw[0] != '[' {
				plain++
			}
		}
		if names != len(m)+plain {
			t.Fatalf("%q: %d names and plain values, %d members", in, names, len(m)+plain)
		}
	})
}

func BenchmarkParseObject(b *testing.B) {
	body := []byte(solution(newSigner(1), strings.Repeat("a line of a message\n", 20), `,"session":"cookie"`))
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		if _, err := parseObject(body); err != nil {
			b.Fatal(err)
		}
	}
}

func TestContentType(t *testing.T) {
	for _, c := range []struct {
		in []string
		ok bool
	}{
		{[]string{"application/json"}, true},
		{[]string{"Application/JSON"}, true},
		{[]string{"application/json; charset=utf-8"}, true},
		{[]string{`application/json;charset="UTF-8"`}, true},
		{nil, false},
		{[]string{""}, false},
		{[]string{"text/json"}, false},
		{[]string{"application/json; charset=utf-16"}, false},
		{[]string{"application/json; charset=utf-8; charset=utf-7"}, false},
		{[]string{"application/json; profile=x"}, false},
		{[]string{"application/problem+json"}, false},
		{[]string{"application/json, text/plain"}, false},
		{[]string{"application/json", "text/plain"}, false},
		{[]string{"text/plain; application/json"}, false},
	} {
		if got := isKind(c.in, "application/json"); got != c.ok {
			t.Errorf("isKind(%q) = %v", c.in, got)
		}
	}
}

// A body without end is sent to fill the memory, with a length that says so, with one that is left out, and chunked.
func TestBodyWithoutEnd(t *testing.T) {
	h := build(t)
	huge := `{"a":"` + strings.Repeat("a", maxBody) + `"}`
	h.do("POST", "challenge/create", huge).refused(413, "too_large")
	r := h.request("POST", "challenge/create", huge)
	r.ContentLength, r.TransferEncoding = -1, []string{"chunked"}
	h.serve(r).refused(413, "too_large")
	r = h.request("POST", "challenge/create", huge)
	r.Body = unread{t} // who announces too much is refused at once
	h.serve(r).refused(413, "too_large")
	h.do("POST", "challenge/create", `{"a":"`+strings.Repeat("a", maxBody-8)+`"}`).ok(new(map[string]any))
}

func TestBodyThatBreaksOff(t *testing.T) {
	h := build(t)
	r := h.request("POST", "challenge/create", `{}`)
	r.Body = io.NopCloser(io.MultiReader(strings.NewReader(`{`), failing{io.ErrUnexpectedEOF}))
	h.serve(r).refused(400, "invalid_request")
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// A client sends a byte now and then, to hold a connection for hours.
func TestBodyThatDribbles(t *testing.T) {
	w := &deadlineWriter{ResponseWriter: httptest.NewRecorder()}
	r := httptest.NewRequest(http.MethodPost, "/", failing{os.ErrDeadlineExceeded})
	r.ContentLength = -1
	r.Header.Set("Content-Type", "application/json")
	if _, err := readObject(w, r); err != errSlowBody {
		t.Errorf("err = %v", err)
	}
	if len(w.set) != 2 || w.set[0].IsZero() || time.Until(w.set[0]) > bodyTime || !w.set[1].IsZero() {
		t.Errorf("deadlines: %v", w.set)
	}
}

type deadlineWriter struct {
	http.ResponseWriter
	set []time.Time
}

func (w *deadlineWriter) SetReadDeadline(t time.Time) error {
	w.set = append(w.set, t)
	return nil
}
