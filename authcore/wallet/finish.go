package wallet

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

// leeway is how far the clock of a client that writes its own message may differ from ours.
const leeway = time.Minute

// Finish judges an answer and says whose wallet signed it. It answers ErrInvalidMessage, ErrInvalidSignature (which may be
// ErrChainNotChecked, too), ErrRPCUnavailable, authcore.ErrChallengeNotFound, authcore.ErrChallengeExpired or
// authcore.ErrUnavailable.
//
// The order is that of cost: the message is read, then its challenge is spent, then the fields are judged, and only what
// is left reaches the cryptography, and what no key signed the chain. The challenge is spent before anything is judged, so that a failed try cannot be
// tried again.
func (s *SignIn) Finish(ctx context.Context, answer Answer) (Account, error) {
	m, err := ParseMessage(answer.Message)
	if err != nil {
		return Account{}, err
	}
	now := s.now()
	challenge, err := s.Challenges.ConsumeChallenge(ctx, authcore.HashSecret(m.Nonce), authcore.Binding{
		Purpose: purpose(answer.StepUp), Origin: answer.Origin, Subject: answer.Subject,
	}, now)
	switch {
	case errors.Is(err, authcore.ErrChallengeNotFound) && expired(m, now):
		// A store may have cleaned it up. That the message says so itself tells nobody anything.
		return Account{}, fmt.Errorf("wallet: finish: %w", authcore.ErrChallengeExpired)
	case err != nil:
		return Account{}, authcore.StoreError("wallet: challenges", err, authcore.ErrChallengeNotFound, authcore.ErrChallengeExpired)
	case len(challenge.Data) > 0:
		err = checkWritten(answer.Message, challenge.Data)
	default:
		err = s.checkFields(m, answer.Origin, now)
	}
	if err != nil {
		return Account{}, err
	}
	return s.verify(ctx, m, answer)
}

// checkWritten compares a message with the one that Begin wrote for this nonce: same bytes, so same address, chain,
// times and all.
func checkWritten(text string, want []byte) error {
	sum := sha256.Sum256([]byte(text))
	if subtle.ConstantTimeCompare(sum[:], want) != 1 {
		return fmt.Errorf("wallet: finish: not the message that was issued: %w", ErrInvalidMessage)
	}
	return nil
}

// checkFields judges a message that the client wrote. The nonce was ours; everything else that Begin would have fixed
// is compared here.
func (s *SignIn) checkFields(m Message, origin string, now time.Time) error {
	refuse := func(what string) error {
		return fmt.Errorf("wallet: finish: %s: %w", what, ErrInvalidMessage)
	}
	scheme, domain, err := splitOrigin(origin)
	if err != nil {
		return err
	}
	u, _ := splitURI(m.URI)
	switch {
	// A signature that was given to another site is good for that site only. Equality also refuses user information, other
	// ports and encoded or dotted spellings of the host.
	case strings.ToLower(m.Domain) != domain:
		return refuse("the domain is another")
	case m.Scheme != "" && strings.ToLower(m.Scheme) != scheme:
		return refuse("the scheme is another")
	case strings.ToLower(u.scheme) != scheme || strings.ToLower(u.authority) != domain:
		return refuse("the URI is not of this origin")
	case !s.chainAllowed(m.ChainID):
		return refuse("the chain is not allowed")
	// ERC-5573 hides a delegation of rights in a resource. Begin writes none, so none is signed for us.
	case m.Resources != nil:
		return refuse("it has resources")
	case expired(m, now):
		return fmt.Errorf("wallet: finish: %w", authcore.ErrChallengeExpired)
	case m.IssuedAt.Time().After(now.Add(leeway)):
		return refuse("issued in the future")
	case m.IssuedAt.Time().Before(now.Add(-s.ttl() - leeway)):
		return refuse("issued too long ago")
	// Together with the expiration this refuses a Not Before that comes after it, too.
	case !m.NotBefore.IsZero() && now.Before(m.NotBefore.Time()):
		return refuse("not valid yet")
	}
	return nil
}

// expired: a message is no longer valid from its Expiration Time on.
func expired(m Message, now time.Time) bool {
	return !m.ExpirationTime.IsZero() && !now.Before(m.ExpirationTime.Time())
}
