package caddymodule

import (
	"context"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/store/memstore"
	"github.com/caddy-authgate/authgate/caddymodule/command"
)

// hurried is a store that tells which questions about the audit log have a deadline.
type hurried struct{}

var walked, listed = make(chan bool, 1), make(chan bool, 1)

func (hurried) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "authgate.stores.hurried", New: func() caddy.Module { return new(hurried) }}
}

func (hurried) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	return nil
}

func (hurried) StoreName() string { return "hurried" }

func (hurried) OpenStore(context.Context) (OpenStore, error) {
	store := memstore.New()
	stores, challenges := store.Stores(), store.ChallengeStores()
	stores.Events = watchedEvents{stores.Events}
	return OpenStore{Stores: stores, Challenges: &challenges}, nil
}

type auditEvents = authcore.Events

type watchedEvents struct{ auditEvents }

func (w watchedEvents) WalkEvents(ctx context.Context, f func(authcore.Event) error) (authcore.EventHead, error) {
	_, bounded := ctx.Deadline()
	walked <- bounded
	return w.auditEvents.WalkEvents(ctx, f)
}

func (w watchedEvents) Events(ctx context.Context, q authcore.EventQuery) ([]authcore.Event, error) {
	_, bounded := ctx.Deadline()
	listed <- bounded
	return w.auditEvents.Events(ctx, q)
}

// A log of a year is proved in minutes. Whoever asks may wait; other questions end.
func TestProofOfAuditLogHasNoDeadline(t *testing.T) {
	caddy.RegisterModule(hurried{})
	h := newHouse(t)
	h.load("store hurried\n", "authgate\nrespond ok\n")
	var proof command.AuditReport
	if status, body := operator(t, command.AuditVerifyPath, `{}`, &proof); status != 200 || !proof.Holds {
		t.Fatalf("%d %s", status, body)
	}
	if <-walked {
		t.Error("the proof has a deadline")
	}
	var log command.AuditLog
	if status, body := operator(t, command.AuditPath, `{}`, &log); status != 200 {
		t.Fatalf("%d %s", status, body)
	}
	if !<-listed {
		t.Error("a question has no deadline")
	}
}
