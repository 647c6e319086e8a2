package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/caddy-authgate/authgate/authcore"
)

// administering is a change of a user's account by an administrator or an operator.
type administering struct {
	by     authcore.Trace
	userID string
	// weakens says that the user may administer less afterwards: then somebody else must be left who can. force goes
	// without; only operators may ask for that.
	weakens, force bool
	// mail tells the user, at the address from before the change, with the label.
	mail  authcore.MailKind
	label string
	// change makes the change and answers whether there was anything to change, and which sessions end by it.
	change func(s authcore.Stores, u authcore.User) (changed bool, ended []string, err error)
}

// administer makes a change, with all that belongs to it: the change, its event, its mail and its notices happen together
// or not at all. It holds on this instance at once.
func (r *Realm) administer(ctx context.Context, a administering) error {
	u, err := r.Stores.Users.User(ctx, a.userID)
	if err != nil {
		return err
	}
	tell, err := r.told(ctx, u, authcore.Mail{Kind: a.mail, Label: a.label}, a.by)
	if err != nil {
		return err
	}
	var candidates []string
	if a.weakens && !a.force {
		if candidates, err = r.administrators(ctx, a.by); err != nil {
			return err
		}
	}
	var changed bool
	var ended []string
	err = r.Stores.Transactions.Transact(ctx, func(s authcore.Stores) error {
		changed, ended = false, nil
		if err := r.stillAdministers(ctx, s, a.by); err != nil {
			return err
		}
		u, err := s.Users.User(ctx, a.userID)
		if err != nil {
			return err
		}
		// Before the change: by then a deleted user has no roles to look at.
		if a.weakens && !a.force {
			if err := r.leaves(ctx, s, u, candidates); err != nil {
				return err
			}
		}
		if changed, ended, err = a.change(s, u); err != nil || !changed {
			return err
		}
		if err := tell(s); err != nil {
			return err
		}
		return r.notifyWithin(ctx, s, a.userID, ended)
	})
	if err != nil || !changed {
		return err
	}
	for _, id := range ended {
		r.forget(id)
	}
	r.outdate(a.userID)
	r.notifyAfter(ctx, a.userID, ended)
	return nil
}

// notifyWithin tells other instances as part of the transaction, where notices go through the same store.
func (r *Realm) notifyWithin(ctx context.Context, s authcore.Stores, userID string, ended []string) error {
	return r.tellWithin(ctx, s, slices.Compact(append(noticesOfEnd(userID, ended), userChanged(userID))))
}

func (r *Realm) tellWithin(ctx context.Context, s authcore.Stores, all []authcore.Notice) error {
	if r.Challenges.Notices != nil || s.Notices == nil {
		return nil
	}
	for _, n := range all {
		if err := s.Notices.Notify(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

// notifyAfter tells other instances where notices go another way. Where that fails now, the change holds there once access
// tokens have expired.
func (r *Realm) notifyAfter(ctx context.Context, userID string, ended []string) {
	short := r.Challenges.Notices
	if short == nil {
		return
	}
	if len(ended) <= authcore.MostSessions { // else the second says it
		r.tellLate(ctx, short, noticesOfEnd(userID, ended))
	}
	r.tellChanged(ctx, userID)
}

// stillAdministers refuses who was an administrator when the request came and is not any more, or whose session has ended
// since: a body that arrives byte by byte makes that a quarter of a minute. Operators, and users who change what is
// theirs, are not asked here.
func (r *Realm) stillAdministers(ctx context.Context, s authcore.Stores, by authcore.Trace) error {
	if by.Actor == "" || by.Actor == authcore.Operator {
		return nil
	}
	if by.SessionID != "" {
		open, err := s.Sessions.Session(ctx, by.SessionID)
		switch {
		case errors.Is(err, authcore.ErrSessionNotFound), err == nil && !open.Live(r.Now()):
			return errSignedOut.because(errors.New("gateway: administer: the session has ended since"))
		case err != nil:
			return err
		}
	}
	is, err := r.mayAdminister(ctx, s, by.Actor)
	if err == nil && !is {
		err = fmt.Errorf("gateway: administer: %w", ErrNotAdministrator)
	}
	return err
}

// mayAdminister reports whether somebody may administer at this moment, by whatever they have the role.
func (r *Realm) mayAdminister(ctx context.Context, s authcore.Stores, actor string) (bool, error) {
	if actor == authcore.Operator {
		return true, nil
	}
	is, err := r.canAdminister(ctx, s, actor)
	if err == nil && !is {
		is, err = r.administersByChain(ctx, s, actor)
	}
	return is, err
}

// administersByChain reports whether what a user has on a chain makes an administrator of them. Within a transaction the
// answer is to be at hand: whoever is let in to administer, or made what is used now, was asked about just before.
func (r *Realm) administersByChain(ctx context.Context, s authcore.Stores, userID string) (bool, error) {
	if !slices.ContainsFunc(r.chainGrants, func(g chainGrant) bool { return g.role == AdminRole }) {
		return false, nil
	}
	u, err := s.Users.User(ctx, userID)
	switch {
	case errors.Is(err, authcore.ErrUserNotFound):
		return false, nil
	case err != nil || u.Disabled:
		return false, err
	}
	credentials, err := s.Credentials.CredentialsOf(ctx, userID)
	if err != nil {
		return false, err
	}
	id := authcore.Identity{Subject: u.ID, Email: u.Email}
	r.fill(&id, u, credentials)
	r.addChainRoles(ctx, &id)
	return slices.Contains(id.Roles, AdminRole), nil
}

// canAdminister reports whether a user is an administrator who can sign in.
func (r *Realm) canAdminister(ctx context.Context, s authcore.Stores, userID string) (bool, error) {
	u, err := s.Users.User(ctx, userID)
	switch {
	case errors.Is(err, authcore.ErrUserNotFound):
		return false, nil
	case err != nil || u.Disabled:
		return false, err
	}
	credentials, err := s.Credentials.CredentialsOf(ctx, userID)
	if err != nil {
		return false, err
	}
	id := authcore.Identity{Subject: u.ID, Email: u.Email}
	r.fill(&id, u, credentials)
	on := r.methods()
	return slices.Contains(id.Roles, AdminRole) &&
		slices.ContainsFunc(credentials, func(c authcore.Credential) bool { return slices.Contains(on, c.Kind) }), nil
}

// leaves refuses what takes the last administrator away. Of two who do so to each other at once, one finds the other gone:
// whom it reads here nobody else changes before the end of the transaction.
func (r *Realm) leaves(ctx context.Context, s authcore.Stores, u authcore.User, candidates []string) error {
	is, err := r.canAdminister(ctx, s, u.ID)
	if err != nil || !is {
		return err
	}
	for _, id := range candidates {
		if id == u.ID {
			continue
		}
		if is, err = r.canAdminister(ctx, s, id); err != nil || is {
			return err
		}
	}
	return fmt.Errorf("gateway: administer: %w", ErrLastAdministrator)
}

// mostAdministrators bounds among how many one is looked for who would be left.
const mostAdministrators = 200

// administrators answers ids of users who may be administrators, whoever asks first.
func (r *Realm) administrators(ctx context.Context, by authcore.Trace) ([]string, error) {
	ids := []string{by.Actor}
	granted, err := r.holders(ctx, AdminRole)
	if err != nil {
		return nil, err
	}
	for _, u := range granted {
		ids = append(ids, u.ID)
	}
	no := false
	q := authcore.UserQuery{Role: AdminRole, Disabled: &no, Limit: mostAdministrators}
	for len(ids) < mostAdministrators {
		page, err := r.Stores.Directory.FindUsers(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, u := range page.Users {
			ids = append(ids, u.ID)
		}
		if q.After = page.Next; q.After == "" {
			break
		}
	}
	return ids, nil
}
