package gateway

import (
	"net/http"
	"net/http/httptest"
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
	// A form without JavaScript is shown once more, with what is wrong.
	d.log.Reset()
	a := d.shown(d.send("sign-in", formOf("email", "a@example.com", "password", "not the password of anybody")), "sign-in", 401, "invalid_credentials")
	if id := d.pages.last.RequestID; id == "" || len(a.Header()["X-Request-Id"]) != 1 || a.Header().Get("X-Request-Id") != id || strings.Count(d.log.String(), "request_id="+id+" cause=") != 1 {
		t.Errorf("the form says %q, the header %q, the log %s", id, a.Header()["X-Request-Id"], d.log)
	}
	// Programs have it in the header alone: bodies of refusals that are to be one stay alike. Calls of gRPC, too.
	call := httptest.NewRequest("POST", home+"/x", nil)
	call.ProtoMajor = 2
	call.Header.Set("Content-Type", "application/grpc")
	for kind, r := range map[string]*http.Request{"a program": d.request("GET", "nowhere", ""), "a refused one": httptest.NewRequest("GET", home+"/x", nil), "gRPC": call} {
		d.log.Reset()
		a := d.serve(r)
		id := a.Header().Get("X-Request-Id")
		if id == "" || len(a.Header()["X-Request-Id"]) != 1 || strings.Count(d.log.String(), "request_id="+id+"\n") != 1 || strings.Contains(a.Body.String(), id) {
			t.Errorf("%s: the header is %q, the log %s, the body %s", kind, a.Header()["X-Request-Id"], d.log, a.Body)
		}
	}
	first, second := d.do("GET", "nowhere", "").refused(404, "not_found"), d.do("GET", "nowhere", "").refused(404, "not_found")
	if first.Body.String() != second.Body.String() || first.Header().Get("X-Request-Id") == second.Header().Get("X-Request-Id") {
		t.Errorf("%v %s\n%v %s", first.Header(), first.Body, second.Header(), second.Body)
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
