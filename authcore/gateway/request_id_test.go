package gateway

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// Whoever reads an error page tells the operator the number on it, who finds the request by it in both logs.
func TestRequestIsNamedAlike(t *testing.T) {
	n := 0
	d := newDesk(t, func(c *RealmConfig, _ *Site) {
		c.RequestID = func(*http.Request) string { n++; return "id-" + strings.Repeat("x", n) }
	})
	for _, headers := range [][]string{
		browser(),
		// What a client calls it counts for nothing: it could be another's number, or markup.
		browser("X-Request-Id", "<b>chosen</b>", "X-Correlation-Id", "chosen", "Traceparent", "chosen"),
	} {
		d.log.Reset()
		a := d.shown(d.send("nowhere", "", headers...), "error", 404, "not_found")
		id := d.pages.last.RequestID
		if id == "" || len(a.Header()["X-Request-Id"]) != 1 || a.Header().Get("X-Request-Id") != id || strings.Count(d.log.String(), "request_id="+id+"\n") != 1 {
			t.Errorf("the page says %q, the header %q, the log %s", id, a.Header()["X-Request-Id"], d.log)
		}
		if all := a.Body.String() + d.log.String() + strings.Join(a.Header()["X-Request-Id"], ""); strings.Contains(all, "chosen") {
			t.Errorf("the client chose it: %s", all)
		}
	}
	// Programs have the log line, and no number that could tell two refusals apart which are to be one.
	d.log.Reset()
	a := d.do("GET", "nowhere", "").refused(404, "not_found")
	var members map[string]any
	if err := json.Unmarshal(a.Body.Bytes(), &members); err != nil || members["request_id"] != nil || a.Header()["X-Request-Id"] != nil {
		t.Errorf("%v %s", a.Header(), a.Body)
	}
	if !strings.Contains(d.log.String(), "request_id=id-") {
		t.Errorf("the log says %s", d.log)
	}
	// Pages that are no error name nothing.
	d.bare("sign-in", "")
	if a := d.do("GET", "sign-in", "", "Accept", "text/html"); a.Header()["X-Request-Id"] != nil || d.pages.last.RequestID != "" {
		t.Errorf("%v", a.Header())
	}
}

// A server may know no number; a header without a value would only be read as one.
func TestRequestWithoutName(t *testing.T) {
	d := newDesk(t, func(c *RealmConfig, _ *Site) { c.RequestID = func(*http.Request) string { return "" } })
	a := d.shown(d.send("nowhere", ""), "error", 404, "not_found")
	if lines := a.Header()["X-Request-Id"]; lines != nil {
		t.Errorf("the header is %q", lines)
	}
}
