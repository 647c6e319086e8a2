package caddymodule

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/store/sqlstore"
	"github.com/caddy-authgate/authgate/caddymodule/command"
)

// backups opens the stores of configurations that do not run.
type backups struct{}

var errNoBackup = errors.New("this kind of store cannot be backed up by this command, nor restored")

// Dump implements command.Backups.
func (backups) Dump(ctx context.Context, from command.Configuration, to io.Writer) (command.Holding, error) {
	return withStore(ctx, from, true, func(open OpenStore) (sqlstore.Contents, error) {
		// Before it, so that it is in the backup, and that nobody takes one unseen.
		if err := noteOperator(ctx, open.Events, authcore.EventBackup); err != nil {
			return sqlstore.Contents{}, err
		}
		return open.Backup.Dump(ctx, to, time.Now())
	})
}

// Restore implements command.Backups.
func (backups) Restore(ctx context.Context, to command.Configuration, from io.Reader) (command.Holding, error) {
	return withStore(ctx, to, false, func(open OpenStore) (sqlstore.Contents, error) {
		c, err := open.Backup.Restore(ctx, from)
		if err == nil {
			err = noteOperator(ctx, open.Events, authcore.EventRestore)
		}
		return c, err
	})
}

// Check implements command.Backups.
func (backups) Check(from io.Reader) (command.Holding, error) {
	c, err := sqlstore.CheckDump(from)
	return holding(c), err
}

// Place implements command.Backups.
func (backups) Place(config command.Configuration) (command.Place, error) {
	l, err := load(config)
	if err != nil {
		return command.Place{}, err
	}
	defer l.cancel()
	place := command.Place{Store: l.store.StoreName(), Admin: l.admin.Listen}
	if place.Admin == "" {
		place.Admin = caddy.DefaultAdminListen
	}
	if l.admin.Disabled {
		place.Admin = ""
	}
	return place, nil
}

func holding(c sqlstore.Contents) command.Holding {
	return command.Holding{Time: c.Time, Schema: c.Schema, Rows: c.Rows}
}

// withStore opens the store of a configuration, which must be there already where that is demanded.
func withStore(ctx context.Context, config command.Configuration, existing bool, do func(OpenStore) (sqlstore.Contents, error)) (h command.Holding, err error) {
	l, err := load(config)
	if err != nil {
		return h, err
	}
	defer l.cancel()
	name := l.store.StoreName()
	if e, ok := l.store.(Existing); ok && existing {
		there, err := e.StoreExists()
		if err == nil && !there {
			err = errors.New("there is no such store")
		}
		if err != nil {
			return h, fmt.Errorf("%s: %w", name, err)
		}
	}
	opening, cancel := context.WithTimeout(ctx, time.Minute) // an old schema is brought up to date
	defer cancel()
	open, err := l.store.OpenStore(opening)
	if err != nil {
		return h, err
	}
	defer func() { err = errors.Join(err, closeIfAny(open.Close)) }()
	if open.Backup == nil {
		return h, fmt.Errorf("%s: %w", name, errNoBackup)
	}
	c, err := do(open)
	if errors.Is(err, sqlstore.ErrNotEmpty) {
		err = fmt.Errorf("%w; name a new one in the configuration (a store that Caddy has run on is never empty)", err)
	}
	return holding(c), err
}

// noteOperator writes into the audit log what is done on the command line.
func noteOperator(ctx context.Context, events authcore.Events, kind authcore.EventKind) error {
	e, err := authcore.NewEvent(nil, time.Now(), kind, "", "", byOperator, "")
	if err != nil {
		return err
	}
	return events.AddEvent(ctx, e)
}

// loaded is what a configuration says, with nothing of it opened.
type loaded struct {
	store  Store
	sites  []Handler
	admin  caddy.AdminConfig
	cancel context.CancelFunc
}

func load(from command.Configuration) (loaded, error) {
	text, file, _, err := caddycmd.LoadConfig(from.File, from.Adapter)
	if err != nil {
		return loaded{}, err
	}
	if file == "" {
		return loaded{}, errors.New("no configuration; name one with --config")
	}
	var config struct {
		Admin caddy.AdminConfig `json:"admin"`
		Apps  struct {
			Authgate *App `json:"authgate"`
		} `json:"apps"`
	}
	var all any
	if err := errors.Join(json.Unmarshal(text, &config), json.Unmarshal(text, &all)); err != nil {
		return loaded{}, fmt.Errorf("%s: %w", file, err)
	}
	app, sites := config.Apps.Authgate, handlers(all)
	if app == nil {
		// A site may have authgate with nothing said of the app. Another configuration is a mistake.
		if len(sites) == 0 {
			return loaded{}, fmt.Errorf("%s has no authgate in it", file)
		}
		app = new(App)
	}
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	store, err := app.loadStore(ctx)
	if err != nil {
		cancel()
		return loaded{}, fmt.Errorf("%s: %w", file, err)
	}
	return loaded{store, sites, config.Admin, cancel}, nil
}

// backUp writes a backup of the store of the configuration that runs now.
func backUp(w http.ResponseWriter, r *http.Request) error {
	if err := onlyPost(w, r); err != nil {
		return err
	}
	app, err := runningApp()
	if err != nil {
		return err
	}
	open, err := app.accounts.get(r.Context())
	if err != nil {
		return caddy.APIError{HTTPStatus: operateStatus(err), Err: err}
	}
	if open.Backup == nil {
		return caddy.APIError{HTTPStatus: http.StatusConflict, Err: errNoBackup}
	}
	if err := app.realm.Note(r.Context(), authcore.EventBackup, "", byOperator, ""); err != nil {
		return caddy.APIError{HTTPStatus: operateStatus(err), Err: err}
	}
	body := &begun{ResponseWriter: w}
	w.Header().Set("Content-Type", "application/gzip")
	_, err = open.Backup.Dump(r.Context(), body, time.Now())
	switch {
	case err == nil:
		app.logger.Info("the store was backed up", "bytes", body.bytes)
	case body.bytes == 0:
		return caddy.APIError{HTTPStatus: operateStatus(err), Err: err}
	default:
		app.logger.Error("a backup broke off", "bytes", body.bytes, "error", err)
		panic(http.ErrAbortHandler) // so that it does not look like an end
	}
	return nil
}

// begun counts what was answered.
type begun struct {
	http.ResponseWriter
	bytes int64
}

func (b *begun) Write(p []byte) (int, error) {
	n, err := b.ResponseWriter.Write(p)
	b.bytes += int64(n)
	return n, err
}

var _ command.Backups = backups{}
