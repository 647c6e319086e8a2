package caddymodule

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
	"go.uber.org/zap"

	"github.com/caddy-authgate/authgate/authcore"
)

// AuditOptions configure the audit log.
type AuditOptions struct {
	// How long events are kept; a day at least. Default: 365d.
	Retention caddy.Duration `json:"retention,omitempty"`
	// Keeps them without end, instead.
	Forever bool `json:"forever,omitempty"`
	// Emits each event in Caddy's events app too, as authgate.<kind>.
	Events bool `json:"events,omitempty"`
}

const (
	defaultRetention = 365 * 24 * time.Hour
	minRetention     = 24 * time.Hour

	sealEach    = time.Second
	headEach    = time.Minute // how often the end of the chain is told to the log
	lastSeal    = 5 * time.Second
	emitBacklog = 1024
)

// keep is how long events are kept; zero: for ever.
func (o AuditOptions) keep() (time.Duration, error) {
	kept := time.Duration(o.Retention)
	switch {
	case o.Forever && kept != 0:
		return 0, errors.New("audit: retention is forever and a duration; write one of both")
	case o.Forever:
		return 0, nil
	case kept == 0:
		return defaultRetention, nil
	case kept < minRetention:
		return 0, fmt.Errorf("audit: retention %v is less than a day; write for example: retention 365d", kept)
	}
	return kept, nil
}

func (a *App) parseAudit(d *caddyfile.Dispenser, _ []string) error {
	return parseBlock(d, "audit", []option{
		option{usage: "retention <duration> | forever", min: 1, max: 1, parse: func(d *caddyfile.Dispenser, args []string) (err error) {
			if args[0] == "forever" {
				a.Audit.Forever = true
				return nil
			}
			kept, err := parseDuration(d, args[0])
			a.Audit.Retention = kept
			return err
		}}.checked(a.check),
		{usage: "events on | off", min: 1, max: 1, parse: func(d *caddyfile.Dispenser, args []string) error {
			switch args[0] {
			case "on":
				a.Audit.Events = true
			case "off":
			default:
				return d.Errf("unknown %q; write: events on | off", args[0])
			}
			return nil
		}},
	})
}

// audit tells events of the audit log to Caddy. The log of the process is no part of the proof, but it is where an
// administrator of the store cannot reach: with the ends of the chain in it, whoever keeps it can tell that newer events are
// missing from the store.
type audit struct {
	*metrics
	log  *zap.Logger
	emit chan authcore.Event // nil: to no events app
}

// Happened implements gateway.Observer.
func (t audit) Happened(e authcore.Event) {
	t.metrics.Happened(e)
	fields := make([]zap.Field, 0, 10)
	for name, value := range eventFields(e) {
		fields = append(fields, zap.Any(name, value))
	}
	t.log.Info("event", fields...)
	select {
	case t.emit <- e:
	default:
		if t.emit != nil {
			t.log.Warn("event not emitted: handlers are too slow", zap.String("id", e.ID))
		}
	}
}

// eventFields is an event for logs and event handlers. What is empty is left out.
func eventFields(e authcore.Event) map[string]any {
	fields := map[string]any{"id": e.ID, "kind": string(e.Kind), "time": e.Time.Format(time.RFC3339Nano)}
	for name, value := range map[string]string{
		"code": e.Code, "subject": e.Subject, "actor": e.Actor, "session": e.SessionID, "origin": e.Origin, "client": e.Client,
		"user_agent": e.UserAgent, "detail": e.Detail,
	} {
		if value != "" {
			fields[name] = value
		}
	}
	return fields
}

// provisionAudit answers who is told events.
func (a *App) provisionAudit() (audit, error) {
	t := audit{metrics: counted, log: a.ctx.Logger().Named("audit")}
	a.auditLog = t.log
	if !a.Audit.Events {
		return t, nil
	}
	app, err := a.ctx.App("events")
	if err != nil {
		return t, fmt.Errorf("audit: events: %w", err)
	}
	a.events = app.(*caddyevents.App)
	a.emitting = make(chan authcore.Event, emitBacklog)
	t.emit = a.emitting
	return t, nil
}

// emitEvents tells events to Caddy's events app until the configuration ends. Handlers may take their time: nobody who signs
// in waits for them.
func (a *App) emitEvents() {
	for {
		select {
		case <-a.ctx.Done():
			return
		case e := <-a.emitting:
			a.events.Emit(a.ctx, "authgate."+string(e.Kind), eventFields(e))
		}
	}
}

// sealEvents seals events until the configuration ends, and those of its end.
func (a *App) sealEvents() {
	each, look := time.NewTicker(sealEach), time.NewTicker(headEach)
	defer each.Stop()
	defer look.Stop()
	told := int64(0)
	for failing := false; ; {
		select {
		case <-a.ctx.Done():
			ctx, cancel := context.WithTimeout(context.WithoutCancel(a.ctx), lastSeal)
			defer cancel()
			if err := a.realm.Settle(ctx); err == nil {
				a.tellHead(ctx, &told)
			}
			return
		case <-look.C:
			a.tellHead(a.ctx, &told)
		case <-each.C:
			_, err := a.realm.Seal(a.ctx)
			if failed := err != nil && a.ctx.Err() == nil; failed != failing {
				if failing = failed; failed {
					a.logger.Warn("events of the audit log are not sealed; trying again each second", "error", err)
				}
			}
		}
	}
}

// tellHead logs where the chain ends, where that is not where it ended before.
func (a *App) tellHead(ctx context.Context, told *int64) {
	head, waiting, err := a.realm.Stores.Events.EventHead(ctx)
	if err != nil {
		return
	}
	counted.unsealed.Set(float64(waiting))
	if head.Number != *told {
		*told = head.Number
		a.auditLog.Info("sealed", zap.Int64("number", head.Number), zap.String("hash", hex.EncodeToString(head.Hash[:])))
	}
}

// noteLoaded writes that this configuration is used from now on.
func (a *App) noteLoaded() {
	host, _ := os.Hostname() // where there is none nothing is told
	for {
		err := a.realm.Note(a.ctx, authcore.EventConfigLoaded, a.loaded, authcore.Trace{}, host)
		if err == nil || a.ctx.Err() != nil {
			return
		}
		a.logger.Warn("that the configuration was loaded is not in the audit log yet", "error", err)
		select {
		case <-a.ctx.Done():
		case <-time.After(maxOpenPause):
		}
	}
}

// hash tells configurations of the app apart, before its modules are loaded, which Caddy forgets the words of. No secret is in it: whoever reads the audit log could try which it is.
func (a *App) hash() (string, error) {
	text, err := json.Marshal(a)
	if err != nil {
		return "", err
	}
	var config any
	if err := json.Unmarshal(text, &config); err != nil {
		return "", err
	}
	if text, err = json.Marshal(withoutSecrets(config)); err != nil {
		return "", err
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:]), nil
}

// withoutSecrets leaves out every member that may be a secret or hold one, as addresses with passwords and keys do.
func withoutSecrets(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name := range v {
			lower := strings.ToLower(name)
			secret := false
			for _, part := range []string{"password", "secret", "token_", "dsn", "url", "rpc", "key_file"} {
				secret = secret || strings.Contains(lower, part)
			}
			if secret {
				delete(v, name)
				continue
			}
			v[name] = withoutSecrets(v[name])
		}
	case []any:
		for i := range v {
			v[i] = withoutSecrets(v[i])
		}
	}
	return v
}
