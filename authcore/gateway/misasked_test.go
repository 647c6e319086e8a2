package gateway

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// A proxy drops the body in which it is told how it asks wrongly, so that the log has to tell: each mistake once in a
// minute, however many visitors there are, and nothing of what they ask for.
func TestMistakesOfForwardAuthAreLogged(t *testing.T) {
	h := asker(t)
	told := func() int { return strings.Count(h.log.String(), "a proxy asks verify and cannot be answered") }
	elsewhere := func() *http.Request { return byForwarded("GET", "https://app.example.com:8443/public/x?token=s3cret") }
	stranger := func() *http.Request {
		r := byForwarded("GET", home+"/public/x?token=s3cret")
		r.RemoteAddr = "198.51.100.7:1234"
		return r
	}
	for range 5 {
		h.serve(elsewhere()).refused(400, "invalid_request")
		h.serve(stranger()).refused(403, "untrusted_proxy")
	}
	log := h.log.String()
	if told() != 2 {
		t.Errorf("told %d times", told())
	}
	for _, part := range []string{
		"level=WARN", "the host is neither that of https://app.example.com nor below its cookie_domain", "asked_host=app.example.com:8443",
		"see trusted_proxies", "peer=198.51.100.7", "origin=https://app.example.com",
	} {
		if !strings.Contains(log, part) {
			t.Errorf("the log does not say %q:\n%s", part, log)
		}
	}
	if strings.Contains(log, "s3cret") {
		t.Errorf("the log has what was asked for:\n%s", log)
	}

	// Of what clients write themselves it tells no more than ten a minute, and nothing where the client alone is wrong.
	h.now = h.now.Add(2 * time.Minute)
	before := told()
	h.serve(byForwarded("GET", home+"/%zz"))
	if told() != before {
		t.Error("told of a target that no proxy could make better")
	}
	h.serve(stranger())
	if told() != before+1 {
		t.Errorf("not told again after a minute: %d, before %d", told(), before)
	}
}
