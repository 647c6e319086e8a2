package wallet

import (
	"net/http"
	"testing"
	"time"
)

// last answers what was told last of what begins so.
func (o *observed) last(of ...string) (said string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, t := range o.told {
		for _, one := range of {
			if t == one {
				said = t
			}
		}
	}
	return said
}

// An endpoint that fails is replaced in the configuration by one that works, or by none: nobody is told for ever that it is
// broken. Where the new one fails too, that is told, whatever becomes of the old one.
func TestBrokenEndpointIsReplaced(t *testing.T) {
	const broken, works = "10/1 broken true", "10/1 broken false"
	fails := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }
	breakDown := func(o *observed, now func() time.Time) *Contracts {
		f := newFakeChain(t, 10)
		f.hostile(fails)
		k := testContracts(t, func(c *ContractsConfig) { c.Observer, c.Now = o, now }, f)
		if o.last(broken, works) != works {
			t.Errorf("an endpoint that was not asked yet: %q", o.told)
		}
		for range breakAfter {
			_ = f.ask(t, k)
		}
		if o.last(broken, works) != broken {
			t.Errorf("an endpoint that fails: %q", o.told)
		}
		return k
	}
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	clock := func() time.Time { return now }

	o := new(observed)
	breakDown(o, clock).Close()
	if o.last(broken, works) != works {
		t.Errorf("nobody asks it any more: %q", o.told)
	}

	o = new(observed)
	old := breakDown(o, clock)
	f := newFakeChain(t, 10)
	testContracts(t, func(c *ContractsConfig) { c.Observer = o }, f)
	if o.last(broken, works) != works {
		t.Errorf("another one is in its place: %q", o.told)
	}
	old.Close()

	// A reload that is refused makes one that nobody asks. The trial of the one that stays tells how it does.
	o = new(observed)
	k := breakDown(o, clock)
	testContracts(t, func(c *ContractsConfig) { c.Observer = o }, newFakeChain(t, 10)).Close()
	now = now.Add(maxBreak)
	_ = newFakeChain(t, 10).ask(t, k)
	if o.last(broken, works) != broken {
		t.Errorf("a trial failed: %q", o.told)
	}
}
