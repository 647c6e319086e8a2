package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// Backups opens stores without a running Caddy, and knows what a backup is.
type Backups interface {
	// Dump writes everything that the store of a configuration holds.
	Dump(ctx context.Context, from Configuration, to io.Writer) (Holding, error)
	// Restore fills the store of a configuration, which must be empty, with what Dump or the endpoint wrote.
	Restore(ctx context.Context, to Configuration, from io.Reader) (Holding, error)
	// Check reads what Dump or the endpoint wrote to its end and answers an error unless it is whole.
	Check(from io.Reader) (Holding, error)
	// Place tells which store a configuration names, without opening it, and its admin endpoint.
	Place(Configuration) (Place, error)
	// Invite makes an invite in the store of a configuration.
	Invite(context.Context, Configuration, InviteQuestion) (Invited, error)
}

// Configuration is a file, or where it has no name the Caddyfile in the folder at hand.
type Configuration struct {
	File, Adapter string
}

// Place is what a configuration says of where things are.
type Place struct {
	Store string // its name, which has no secret in it
	Admin string // the address of the admin endpoint; empty: there is none
}

// Holding is what a backup holds.
type Holding struct {
	Time   time.Time        `json:"time"` // when it was taken
	Schema int64            `json:"schema"`
	Rows   map[string]int64 `json:"rows"` // how many, by table
}

func (h Holding) String() string {
	var parts []string
	for _, kind := range []struct{ table, one, many string }{
		{"users", "user", "users"},
		{"credentials", "credential", "credentials"},
		{"sessions", "session", "sessions"},
		{"signing_keys", "signing key", "signing keys"},
		{"confirmations", "unconfirmed key", "unconfirmed keys"},
		{"outbox", "waiting mail", "waiting mails"},
	} {
		n, name := h.Rows[kind.table], kind.many
		if n == 1 {
			name = kind.one
		}
		parts = append(parts, fmt.Sprintf("%d %s", n, name))
	}
	last := len(parts) - 1
	return strings.Join(slices.Clone(parts[:last]), ", ") + " and " + parts[last]
}

// checked has a backup written by fill to a writer, and reads it on the way: what arrives there is whole, or an error.
func (r recovery) checked(to io.Writer, fill func(io.Writer) error) (Holding, error) {
	in, out := io.Pipe()
	filled := make(chan error, 1)
	go func() {
		err := fill(io.MultiWriter(to, out))
		out.CloseWithError(err) // nil: the end
		filled <- err
	}()
	h, err := r.backups.Check(in)
	in.CloseWithError(errStopped)
	if failed := <-filled; failed != nil && !errors.Is(failed, errStopped) {
		return Holding{}, failed
	}
	return h, err
}

var errStopped = errors.New("what is written is no backup")

// recovery is what backup, restore and migrate have in common.
type recovery struct {
	to      *endpoint
	backups Backups
}
