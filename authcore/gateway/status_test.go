package gateway

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

// wallClock is the clock of a store on another machine.
type wallClock struct {
	now func() time.Time
	err error
}

func (c *wallClock) StoreTime(context.Context) (time.Time, error) { return c.now(), c.err }

func state(s Status, name string) Part {
	for _, p := range s {
		if p.Name == name {
			return p
		}
	}
	return Part{}
}

// A machine whose clock went wrong issues tokens that are expired, or not yet good, everywhere else: balancers must not send
// anybody there. Seconds are for the log only.
func TestClockAgainstTheStore(t *testing.T) {
	var ahead time.Duration
	clock := new(wallClock)
	h := build(t, func(c *RealmConfig, _ *Site) { c.Stores.Clock = clock })
	clock.now = func() time.Time { return h.now.Add(ahead) }
	for _, c := range []struct {
		ahead time.Duration
		state PartState
		code  int
	}{
		{0, PartOK, 200},
		{4 * time.Second, PartOK, 200},
		{-6 * time.Second, PartDegraded, 200},
		{59 * time.Second, PartDegraded, 200},
		{61 * time.Second, PartDown, 503},
		{-61 * time.Second, PartDown, 503},
		{-365 * 24 * time.Hour, PartDown, 503},
		{time.Second, PartOK, 200},
	} {
		ahead = c.ahead
		got := h.do("GET", "health/ready", "")
		if got.Code != c.code {
			t.Errorf("%v ahead: %d %s", c.ahead, got.Code, got.Body)
		}
		if strings.Contains(strings.ToLower(got.Body.String()), "clock") {
			t.Errorf("strangers are told of clocks: %s", got.Body)
		}
		if p := state(h.realm.Status(t.Context()), "clock"); p.State != c.state || p.Offset != c.ahead {
			t.Errorf("%v ahead: %+v", c.ahead, p)
		}
	}
	log := h.log.String()
	if n := strings.Count(log, "part=clock"); n != 3 { // degraded, down, and well again; nothing twice
		t.Errorf("%d lines of the clock:\n%s", n, log)
	}
	clock.err = errors.New("no route")
	if p := state(h.realm.Status(t.Context()), "clock"); p.State != PartDegraded {
		t.Errorf("%+v", p)
	}
	clock.err, clock.now = nil, func() time.Time { return time.Time{} }
	if p := state(h.realm.Status(t.Context()), "clock"); p.State != PartOff {
		t.Errorf("%+v", p)
	}
}

// An answer that was long on its way is no clock that goes wrong.
func TestSlowClocksAreNotWrong(t *testing.T) {
	clock := new(wallClock)
	h := build(t, func(c *RealmConfig, _ *Site) { c.Challenges.Clock = clock })
	clock.now = func() time.Time {
		was := h.now
		h.now = h.now.Add(20 * time.Second)
		return was
	}
	if p := state(h.realm.Status(t.Context()), "challenge_clock"); p.State != PartOK {
		t.Errorf("%+v", p)
	}
}

func TestStatusTellsPartsApart(t *testing.T) {
	h := build(t, func(c *RealmConfig, _ *Site) { c.Challenges.Notices = &wire{} })
	s := h.realm.Status(t.Context())
	if s.Err() != nil || state(s, "store").State != PartOK || state(s, "keys").State != PartOK || state(s, "clock").State != PartOff ||
		state(s, "notices").State != PartDegraded {
		t.Errorf("%+v", s)
	}
	listener{h.realm, t.Context()}.Connected(true)
	if p := state(h.realm.Status(t.Context()), "notices"); p.State != PartOK {
		t.Errorf("%+v", p)
	}
	h.realm.Challenges.Health = broken{}
	s = h.realm.Status(t.Context())
	if !errors.Is(s.Err(), authcore.ErrUnavailable) || state(s, "challenge_store").State != PartDown || state(s, "store").State != PartOK {
		t.Errorf("%+v", s)
	}
	if got := h.do("GET", "health/ready", ""); got.Code != 503 || strings.Contains(got.Body.String(), "secret-host") {
		t.Errorf("%d %s", got.Code, got.Body)
	}
}

// broken is a store that says more than strangers should hear.
type broken struct{}

func (broken) Ping(context.Context) error {
	return errors.Join(authcore.ErrUnavailable, errors.New("dial secret-host"))
}
