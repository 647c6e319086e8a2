package passkey

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/caddy-authgate/authgate/authcore"
)

// ceremony is what is kept between the two parts.
type ceremony struct {
	Session  webauthn.SessionData `json:"session"` // whole, as the library wants it back
	UserID   string               `json:"user_id,omitempty"`
	Username string               `json:"username,omitempty"`
	New      bool                 `json:"new,omitempty"`
	Invite   []byte               `json:"invite,omitempty"`
	Named    bool                 `json:"named,omitempty"` // an authentication that listed passkeys, of UserID or made up ones
}

const (
	idRandom  = 24 // bytes
	idExpires = 6  // milliseconds since 1970
	challenge = 32 // bytes; section 13.4.3 wants 16 at least
)

// keep stores a ceremony, and answers the id under which it is taken, and when it expires.
//
// The id ends with the time, so that an answer which is late is told so even after a store has cleaned up. A client
// that writes another time into it names another ceremony, one that does not exist.
func (c *Ceremonies) keep(ctx context.Context, binding authcore.Binding, client string, kept ceremony) (string, time.Time, error) {
	now := c.now()
	expires := now.Add(c.ttl()).Truncate(time.Millisecond)
	data, err := json.Marshal(kept)
	if err != nil {
		return "", time.Time{}, fmt.Errorf("passkey: ceremony: %w", err)
	}
	raw, err := c.random(idRandom)
	if err != nil {
		return "", time.Time{}, err
	}
	at := binary.BigEndian.AppendUint64(nil, uint64(expires.UnixMilli()))
	id := base64.RawURLEncoding.EncodeToString(append(raw, at[8-idExpires:]...))
	err = c.Challenges.CreateChallenge(ctx, authcore.Challenge{
		ID: authcore.HashSecret(id), Binding: binding, Client: client, Data: data, Expires: expires,
	}, now)
	if err != nil {
		return "", time.Time{}, authcore.StoreError("passkey", err, authcore.ErrChallengeLimit)
	}
	return id, expires, nil
}

// take takes a ceremony out of the store: from here on it is spent, whatever becomes of the answer. The library would
// accept the same response again and again, and one that was asked for by another kind of ceremony.
func (c *Ceremonies) take(ctx context.Context, id string, want authcore.Binding) (ceremony, error) {
	now := c.now()
	stored, err := c.Challenges.ConsumeChallenge(ctx, authcore.HashSecret(id), want, now)
	switch {
	case errors.Is(err, authcore.ErrChallengeNotFound) && late(id, now):
		return ceremony{}, fmt.Errorf("passkey: ceremony: %w", authcore.ErrChallengeExpired)
	case err != nil:
		return ceremony{}, authcore.StoreError("passkey", err, authcore.ErrChallengeNotFound, authcore.ErrChallengeExpired)
	}
	var kept ceremony
	if err := json.Unmarshal(stored.Data, &kept); err != nil || kept.Session.Challenge == "" {
		// Written by another version: the user starts again.
		return ceremony{}, fmt.Errorf("passkey: ceremony: unreadable: %w", authcore.ErrChallengeExpired)
	}
	// A reload may have changed the relying party. What the browser signed is for the old one.
	if kept.Session.RelyingPartyID != c.RelyingPartyID(want.Origin) {
		return ceremony{}, fmt.Errorf("passkey: ceremony: another relying party: %w", authcore.ErrChallengeNotFound)
	}
	return kept, nil
}

// late reports whether the id itself says that its time is over.
func late(id string, now time.Time) bool {
	raw, err := base64.RawURLEncoding.DecodeString(id)
	if err != nil || len(raw) != idRandom+idExpires {
		return false
	}
	at := binary.BigEndian.Uint64(append(make([]byte, 8-idExpires, 8), raw[idRandom:]...))
	return !now.Before(time.UnixMilli(int64(at)))
}
