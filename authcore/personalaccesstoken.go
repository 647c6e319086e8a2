package authcore

import (
	"context"
	"io"
	"time"
)

// PersonalAccessToken lets programs, and clients that cannot sign in, act for a user: never with more than the user has.
type PersonalAccessToken struct {
	ID     string // opaque, public; what routes call it, and half of what finds it
	UserID string
	Origin string // where it is good, as Session.Origin
	Name   string // given by the user
	// SecretHash is HashSecret of the whole token, which itself is never stored.
	SecretHash [32]byte
	// Roles are those that it may use of the roles that the user has at that moment. AllRoles: all of them.
	Roles    []string
	AllRoles bool
	Paths    []string // patterns of package policy, outside of which it is good for nothing; none: it is good wherever rules let it
	Created  time.Time
	Expires  time.Time // zero: never
	LastUsed time.Time // about; zero: never
}

// Live reports whether the token may be used at this moment.
func (t PersonalAccessToken) Live(now time.Time) bool {
	return t.Expires.IsZero() || now.Before(t.Expires)
}

// PersonalSession, and the id of a token, is what stands for the session of the token: the "sid" of its assertions, by which
// its streams end, and what other instances are told when it is deleted. No id of a session begins so.
const PersonalSession = "pat:"

// EndPersonalAccessTokens deletes all personal access tokens of a user, each with its event, as part of a transaction, and
// answers what stood for their sessions. The random bytes are those of NewEvent, and code says why.
func EndPersonalAccessTokens(ctx context.Context, s Stores, random io.Reader, now time.Time, userID, code string, by Trace) (ended []string, err error) {
	all, err := s.PersonalAccessTokens.PersonalAccessTokensOf(ctx, userID)
	if err != nil {
		return nil, err
	}
	for _, t := range all {
		e, err := NewEvent(random, now, EventTokenDeleted, code, userID, by, t.Name)
		if err != nil {
			return nil, err
		}
		if err := s.PersonalAccessTokens.DeletePersonalAccessToken(ctx, userID, t.ID); err != nil {
			return nil, err
		}
		if err := s.Events.AddEvent(ctx, e); err != nil {
			return nil, err
		}
		ended = append(ended, PersonalSession+t.ID)
	}
	return ended, nil
}

// PersonalAccessTokens keeps personal access tokens.
type PersonalAccessTokens interface {
	// CreatePersonalAccessToken stores a token of a user who is there, else it answers ErrUserNotFound. One whose id is stored
	// already is ErrConflict.
	CreatePersonalAccessToken(ctx context.Context, t PersonalAccessToken) error
	// PersonalAccessToken answers the token with this id, expired or not, or ErrPersonalAccessTokenNotFound.
	PersonalAccessToken(ctx context.Context, id string) (PersonalAccessToken, error)
	// PersonalAccessTokensOf answers the tokens of a user, expired ones too, oldest first; none is no error.
	PersonalAccessTokensOf(ctx context.Context, userID string) ([]PersonalAccessToken, error)
	// NotePersonalAccessTokens moves LastUsed of tokens on, by their ids, never back. Those that are not there are passed over.
	NotePersonalAccessTokens(ctx context.Context, used map[string]time.Time) error
	// DeletePersonalAccessToken deletes a token of this user: ErrPersonalAccessTokenNotFound where the user has none with
	// this id.
	DeletePersonalAccessToken(ctx context.Context, userID, id string) error
	// DeleteExpiredPersonalAccessTokens deletes those that expired at or before the given time and answers how many.
	DeleteExpiredPersonalAccessTokens(ctx context.Context, before time.Time) (int, error)
}
