package command

import (
	"encoding/json"
	"testing"
)

func TestDashboardAndAlertsArePrinted(t *testing.T) {
	for command, want := range map[string]string{"dashboard": Dashboard, "alerts": Alerts} {
		// Nobody is asked for them.
		out, _, err := told(t, "localhost:1", command)
		if err != nil || out != want || len(out) < 1000 {
			t.Errorf("%s: %v, %d bytes", command, err, len(out))
		}
	}
	var d struct{ Panels []struct{ ID int } }
	if err := json.Unmarshal([]byte(Dashboard), &d); err != nil {
		t.Fatal(err)
	}
	seen := map[int]bool{}
	for _, p := range d.Panels {
		if seen[p.ID] {
			t.Errorf("panel %d is there twice", p.ID)
		}
		seen[p.ID] = true
	}
}
