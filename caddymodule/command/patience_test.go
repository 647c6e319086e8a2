package command

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// The proof of a long log takes longer than any other command may. It is waited for; one that could not be had ends otherwise
// than one that fails, or a script would raise the alarm for a store that is slow.
func TestAuditVerifyTakesItsTime(t *testing.T) {
	arrived, done := make(chan struct{}), make(chan struct{})
	status := http.StatusOK
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // only then it shows that who asks has gone
		if r.URL.Path != AuditVerifyPath {
			<-r.Context().Done() // until whoever asks gives up
			return
		}
		close(arrived)
		select {
		case <-done:
		case <-r.Context().Done():
		}
		w.WriteHeader(status)
		if status != http.StatusOK {
			fmt.Fprint(w, `{"error":"sqlstore: walk events: unavailable"}`)
			return
		}
		fmt.Fprint(w, `{"holds":true,"events":1000000}`)
	}))
	defer server.Close()
	address := strings.TrimPrefix(server.URL, "http://")
	verified := make(chan error)
	go func() {
		_, _, err := toldBy(&endpoint{timeout: 100 * time.Millisecond}, address, "audit", "verify")
		verified <- err
	}()
	<-arrived
	// One that began later gives up.
	if _, _, err := toldBy(&endpoint{timeout: 100 * time.Millisecond}, address, "status"); code(err) != exitUnreachable {
		t.Errorf("status: %v", err)
	}
	close(done)
	if err := <-verified; err != nil {
		t.Error(err)
	}

	arrived, status = make(chan struct{}), http.StatusServiceUnavailable
	if _, errs, err := told(t, address, "audit", "verify"); code(err) != 1 || !strings.Contains(errs, "unavailable") {
		t.Errorf("%v %s", err, errs)
	}
}
