package gateway

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

// Recover makes a link by which a user adds a new way to sign in, within a day; an earlier one is good no more. The user is
// told by mail, where there is an address to tell. For base see Realm.Base. It answers authcore.ErrUserNotFound.
func (r *Realm) Recover(ctx context.Context, by authcore.Trace, userID, base string) (link string, expires time.Time, err error) {
	key, err := r.newID()
	if err != nil {
		return "", time.Time{}, err
	}
	u, err := r.Stores.Users.User(ctx, userID)
	if err != nil {
		return "", time.Time{}, err
	}
	maker, err := json.Marshal(authcore.Recovery{By: by.Actor})
	if err != nil {
		return "", time.Time{}, err
	}
	now := r.Now().UTC().Truncate(time.Microsecond)
	c := authcore.Confirmation{
		KeyHash: authcore.HashSecret(key), Purpose: authcore.ConfirmRecovery, Subject: userID, Data: maker,
		Created: now, Expires: now.Add(recoveryTTL),
	}
	tell, err := r.told(ctx, u, authcore.Mail{Kind: authcore.MailRecovery, Until: c.Expires, Origin: originOf(base)}, by)
	if err != nil {
		return "", time.Time{}, err
	}
	err = r.Stores.Transactions.Transact(ctx, func(s authcore.Stores) error {
		if err := r.stillAdministers(ctx, s, by); err != nil {
			return err
		}
		if _, err := s.Users.User(ctx, userID); err != nil { // deleted since
			return err
		}
		if err := s.Confirmations.ReplaceConfirmation(ctx, c); err != nil {
			return err
		}
		if err := tell(s); err != nil {
			return err
		}
		return r.note(ctx, s, authcore.EventRecoveryCreated, "", userID, by, "")
	})
	return base + "/recover#" + key, c.Expires, err
}

// originOf answers the origin of a URL.
func originOf(base string) string {
	u, err := url.Parse(base)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

// told answers what writes a mail to a user as part of a transaction, and does nothing where there is no address or no mail.
func (r *Realm) told(ctx context.Context, u authcore.User, m authcore.Mail, by authcore.Trace) (func(authcore.Stores) error, error) {
	if r.Mail == nil || u.Email == "" {
		return func(authcore.Stores) error { return nil }, nil
	}
	m.To, m.Name, m.Origin, m.Time = u.Email, u.Name, cmp.Or(by.Origin, m.Origin), r.Now()
	m.Client, m.UserAgent = by.Client, by.UserAgent
	sealed, err := r.seal(ctx, m)
	return func(s authcore.Stores) error { return s.Outbox.AddMail(ctx, sealed) }, err
}

// recovering answers whose account a key recovers, where it is good now: else authcore.ErrConfirmationNotFound or
// authcore.ErrConfirmationExpired. Nothing is spent by it.
func (r *Realm) recovering(ctx context.Context, key string) (authcore.User, authcore.Confirmation, error) {
	c, err := r.Stores.Confirmations.Confirmation(ctx, authcore.ConfirmRecovery, authcore.HashSecret(key))
	if err != nil {
		return authcore.User{}, c, err
	}
	if !r.Now().Before(c.Expires) {
		return authcore.User{}, c, fmt.Errorf("gateway: recover: %w", authcore.ErrConfirmationExpired)
	}
	if err := r.stillRecovers(ctx, r.Stores, c); err != nil {
		return authcore.User{}, c, err
	}
	u, err := r.enabledUser(ctx, c.Subject)
	if errors.Is(err, authcore.ErrUserNotFound) { // deleted since
		err = fmt.Errorf("gateway: recover: %w: %w", authcore.ErrConfirmationNotFound, err)
	}
	return u, c, err
}

// stillRecovers answers authcore.ErrConfirmationNotFound for a recovery link of somebody who may not make one any more, or
// of which is not known who made it. The threat: an administrator who is to be removed makes links to the accounts of
// others first, and takes those over afterwards.
func (r *Realm) stillRecovers(ctx context.Context, s authcore.Stores, c authcore.Confirmation) error {
	var made authcore.Recovery
	if err := json.Unmarshal(c.Data, &made); err != nil {
		return fmt.Errorf("gateway: recover: %w: %w", authcore.ErrConfirmationNotFound, err)
	}
	is, err := r.mayAdminister(ctx, s, made.By)
	if err == nil && !is {
		err = fmt.Errorf("gateway: recover: who made the link does not administer: %w", authcore.ErrConfirmationNotFound)
	}
	return err
}

// recovered adds a credential to an account that is recovered: with the key, which is spent by that, all its sessions end, its
// personal access tokens are deleted, and what else was handed out or mailed to change how its owner signs in is good no
// more; all of it happens or nothing. The threat: a token that an intruder made outlives the sessions.
func (r *Realm) recovered(ctx context.Context, u authcore.User, waiting authcore.Confirmation, c authcore.Credential, by authcore.Trace) error {
	by.Actor = u.ID
	tell, err := r.told(ctx, u, authcore.Mail{Kind: authcore.MailMethodAdded, Method: c.Kind, Label: label(c)}, by)
	if err != nil {
		return err
	}
	if err := r.thin(ctx, u.ID, ""); err != nil {
		return err
	}
	now := r.Now()
	var ended []string
	err = r.Stores.Transactions.Transact(ctx, func(s authcore.Stores) error {
		ended = nil
		used, err := s.Confirmations.ConsumeConfirmation(ctx, authcore.ConfirmRecovery, waiting.KeyHash, now)
		if err == nil {
			err = r.stillRecovers(ctx, s, used)
		}
		if err != nil {
			return err
		}
		had, err := s.Credentials.CredentialByKey(ctx, c.Kind, c.Key)
		switch {
		case errors.Is(err, authcore.ErrCredentialNotFound):
			if err := s.Credentials.AddCredential(ctx, c); err != nil {
				return err
			}
			if err := tell(s); err != nil {
				return err
			}
		case err != nil:
			return err
		case had.UserID != u.ID:
			return authcore.ErrCredentialInUse
		}
		// Else the account had it all along, and its owner did not know or had lost heart.
		if ended, err = s.Sessions.EndSessionsOf(ctx, u.ID, "", 0, now); err != nil {
			return err
		}
		tokens, err := authcore.EndPersonalAccessTokens(ctx, s, r.Rand, now, u.ID, "recover", by)
		if err != nil {
			return err
		}
		ended = append(ended, tokens...)
		for _, purpose := range []authcore.ConfirmationPurpose{authcore.ConfirmReset, authcore.ConfirmEmail} {
			if err := s.Confirmations.DeleteConfirmation(ctx, purpose, u.ID); err != nil {
				return err
			}
		}
		return r.note(ctx, s, authcore.EventRecoveryUsed, string(c.Kind), u.ID, by, "")
	})
	if err != nil {
		return err
	}
	r.haveEnded(ctx, u.ID, ended)
	return nil
}
