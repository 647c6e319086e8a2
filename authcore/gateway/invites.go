package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

// NewInvite is what an invite is to be. The zero value of a field is its default.
type NewInvite struct {
	// Base is where the routes are of the site that the link leads to, "https://app.example.com/auth"; see Realm.Base. It is
	// required.
	Base    string
	Roles   []string      // which accounts that are opened with it get; default: none
	Uses    int           // how many accounts may be opened with it; default 1, at most 10000
	Expires time.Duration // for how long; default 24 h, at least 1 min, at most 365 days
	Note    string        // for whom, in the words of who makes it; cut short
}

const (
	defaultInvite = 24 * time.Hour
	leastInvite   = time.Minute
	mostInvite    = 365 * 24 * time.Hour
	mostUses      = 10000
	mostRoles     = 32
	recoveryTTL   = 24 * time.Hour
)

// ErrInvalidInvite says what an invite cannot be, with words for who wants to make it.
var ErrInvalidInvite = errors.New("no such invite can be made")

// CreateInvite makes an invite and answers it with the link, whose key is stored nowhere. It answers ErrInvalidInvite.
func (r *Realm) CreateInvite(ctx context.Context, by authcore.Trace, n NewInvite) (authcore.Invite, string, error) {
	n.Uses, n.Expires = cmp.Or(n.Uses, 1), cmp.Or(n.Expires, defaultInvite)
	invalid := func(format string, args ...any) (authcore.Invite, string, error) {
		return authcore.Invite{}, "", fmt.Errorf("gateway: %w: "+format, append([]any{ErrInvalidInvite}, args...)...)
	}
	var roles []string
	for _, role := range n.Roles {
		if !validRole(role) {
			return invalid("role %q: write letters, digits, '-', '_', '.' or ':'", role)
		}
		if !slices.Contains(roles, role) {
			roles = append(roles, role)
		}
	}
	switch {
	case len(roles) > mostRoles:
		return invalid("it has %d roles, and may have %d", len(roles), mostRoles)
	case n.Uses < 1 || n.Uses > mostUses:
		return invalid("%d uses: write 1 to %d", n.Uses, mostUses)
	case n.Expires < leastInvite || n.Expires > mostInvite:
		return invalid("it expires after %v: write %v to %v", n.Expires, leastInvite, mostInvite)
	}
	id, err := r.newID()
	if err != nil {
		return authcore.Invite{}, "", err
	}
	key, err := r.newID()
	if err != nil {
		return authcore.Invite{}, "", err
	}
	now := r.Now().UTC().Truncate(time.Microsecond)
	i := authcore.Invite{
		ID: id, KeyHash: authcore.HashSecret(key), Roles: roles, Note: authcore.ClientText(n.Note), By: by.Actor,
		Created: now, Expires: now.Add(n.Expires), Uses: n.Uses,
	}
	err = r.Stores.Transactions.Transact(ctx, func(s authcore.Stores) error {
		if err := r.stillAdministers(ctx, s, by); err != nil {
			return err
		}
		if err := s.Invites.CreateInvite(ctx, i); err != nil {
			return err
		}
		return r.note(ctx, s, authcore.EventInviteCreated, "", "", by, inviteDetail(i))
	})
	return i, n.Base + "/invite#" + key, err
}

// inviteDetail tells an invite in the audit log. Its note may name a person, and would stay there when they are deleted.
func inviteDetail(i authcore.Invite) string {
	detail := "invite " + i.ID
	if len(i.Roles) > 0 {
		detail += fmt.Sprintf(", roles %v", i.Roles)
	}
	return detail
}

// OpenInvite is an invite in a list.
type OpenInvite struct {
	authcore.Invite
	Live bool // an account may be opened with it now: by itself, and because who made it may invite still
}

// Invites answers all invites that are not deleted yet, expired and used ones too, the newest first.
func (r *Realm) Invites(ctx context.Context) ([]OpenInvite, error) {
	all, err := r.Stores.Invites.InvitesOpen(ctx)
	if err != nil {
		return nil, err
	}
	open, may := make([]OpenInvite, len(all)), map[string]bool{}
	for n, i := range all {
		open[n] = OpenInvite{Invite: i, Live: i.Live(r.Now())}
		if !open[n].Live {
			continue
		}
		is, known := may[i.By]
		if !known {
			if is, err = r.mayAdminister(ctx, r.Stores, i.By); err != nil {
				return nil, err
			}
			may[i.By] = is
		}
		open[n].Live = is
	}
	return open, nil
}

// RevokeInvite deletes an invite: nobody opens an account with it any more. It answers authcore.ErrInviteNotFound.
func (r *Realm) RevokeInvite(ctx context.Context, by authcore.Trace, id string) error {
	return r.Stores.Transactions.Transact(ctx, func(s authcore.Stores) error {
		if err := r.stillAdministers(ctx, s, by); err != nil {
			return err
		}
		if err := s.Invites.RevokeInvite(ctx, id); err != nil {
			return err
		}
		return r.note(ctx, s, authcore.EventInviteRevoked, "", "", by, "invite "+id)
	})
}

// ErrWhichSite says that an origin must be given, or another one, with the words for who is to give it.
var ErrWhichSite = errors.New("name the site with its origin")

// Base answers where the routes of a site are, "https://app.example.com/auth", for links: of the site with this origin, or
// of the only one where that is empty. It answers ErrWhichSite.
func (r *Realm) Base(origin string) (string, error) {
	var bases, origins []string
	origin = CanonicalOrigin(origin)
	for _, g := range r.State.gateways(r) {
		if g.away() {
			continue // it has no page that a link could lead to
		}
		if origin != "" && g.origin.text != origin {
			origins = append(origins, g.origin.text)
		} else if base := g.origin.text + g.site.Path; !slices.Contains(bases, base) {
			bases, origins = append(bases, base), append(origins, g.origin.text)
		}
	}
	if len(bases) == 1 {
		return bases[0], nil
	}
	slices.Sort(origins)
	return "", fmt.Errorf("gateway: %w: the sites are %v", ErrWhichSite, slices.Compact(origins))
}

// invited answers the invite of a key, where an account may be opened with it now: else authcore.ErrInviteNotFound or
// authcore.ErrInviteExpired.
func (r *Realm) invited(ctx context.Context, key string) (authcore.Invite, error) {
	i, err := r.Stores.Invites.Invite(ctx, authcore.HashSecret(key))
	if err == nil && !i.Live(r.Now()) {
		err = fmt.Errorf("gateway: invite: %w", authcore.ErrInviteExpired)
	}
	if err == nil {
		err = r.stillInvites(ctx, r.Stores, i)
	}
	return i, err
}

// stillInvites answers authcore.ErrInviteNotFound for an invite of somebody who may not make one any more. The threat: an
// administrator who is to be removed makes invites first, and opens accounts with them afterwards.
func (r *Realm) stillInvites(ctx context.Context, s authcore.Stores, i authcore.Invite) error {
	is, err := r.mayAdminister(ctx, s, i.By)
	if err == nil && !is {
		err = fmt.Errorf("gateway: invite: who made it does not administer: %w", authcore.ErrInviteNotFound)
	}
	return err
}

// createUser opens an account with its first credential. With an invite, of which the hash of the key is given, a use of it is
// counted with that and the account gets its roles, all of it or nothing: of many at once no more come in than it has uses.
func (r *Realm) createUser(ctx context.Context, u authcore.User, first authcore.Credential, invite []byte, by authcore.Trace) error {
	now := r.Now()
	by.Actor = u.ID
	if invite != nil { // before the transaction: a chain may have to be asked
		i, err := r.Stores.Invites.Invite(ctx, [32]byte(invite))
		if err == nil {
			err = r.stillInvites(ctx, r.Stores, i)
		}
		if err != nil {
			return err
		}
	}
	return r.Stores.Transactions.Transact(ctx, func(s authcore.Stores) error {
		opened := u
		if invite != nil {
			i, err := s.Invites.UseInvite(ctx, [32]byte(invite), now)
			if err == nil {
				err = r.stillInvites(ctx, s, i)
			}
			if err != nil {
				return err
			}
			opened.Roles = i.Roles
			if err := r.note(ctx, s, authcore.EventInviteUsed, "", u.ID, by, inviteDetail(i)); err != nil {
				return err
			}
		}
		if err := s.Users.CreateUser(ctx, opened, first); err != nil {
			return err
		}
		return r.note(ctx, s, authcore.EventUserCreated, string(first.Kind), u.ID, by, "")
	})
}
