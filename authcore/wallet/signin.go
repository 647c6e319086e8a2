package wallet

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

const (
	defaultTTL = time.Minute
	// maxStatement leaves the rest of a message its room within maxMessage, in bytes.
	maxStatement = 1024
)

// SignIn is the ceremony: Begin asks, the wallet signs, Finish judges. The zero value of every field but Challenges is
// its default. It may be used from many goroutines at once.
type SignIn struct {
	Challenges authcore.Challenges // required
	Statement  string              // what the user agrees to; default: none. See Validate
	TTL        time.Duration       // how long a challenge may be answered; default 1 min
	Chains     []uint64            // chain ids (EIP-155) that a message may name; default: any
	Contracts  *Contracts          // by which wallets that are contracts can sign in; default: they cannot
	Now        func() time.Time    // default time.Now
	Rand       io.Reader           // default crypto/rand.Reader
}

// Ask is who asks for a challenge.
type Ask struct {
	Origin  string // of the site, as configured: never from the request
	Subject string // the user who is signed in; empty where nobody is
	Client  string // who asks, as a rate limit counts clients
	StepUp  bool   // Subject proves again who they are; such a challenge signs nobody in
	Address string // the wallet; empty where the client writes the message itself
	ChainID uint64 // of the wallet; 0: the first one allowed, else 1 (Ethereum)
}

// Asked is a challenge, and what a client that writes the message itself must write.
type Asked struct {
	Message   string // the text to sign; empty where no address was given
	Nonce     string
	Domain    string
	URI       string
	Version   string
	Statement string
	Expires   time.Time
}

// Answer is a signed message.
type Answer struct {
	Origin    string // of the site on which it arrived, as configured
	Subject   string // the user who is signed in; empty where nobody is
	Client    string // who answers, as a rate limit counts clients
	StepUp    bool   // answers a challenge that was asked for to step up
	Message   string // the text that was signed, byte for byte
	Signature string // "0x" and hex digits
}

// Validate reports a configuration with which no message can be written or accepted: a statement that ERC-4361 does not
// allow (printable ASCII without " % < > \ ^ ` { | }, one line) or of more than 1024 bytes, a chain id that is 0 or
// named twice, a negative TTL.
func (s *SignIn) Validate() error {
	if !isStatement(s.Statement) {
		return errors.New("wallet: statement: only letters, digits, spaces and -._~!$&'()*+,;=:/?#[]@ are allowed")
	}
	if len(s.Statement) > maxStatement {
		return fmt.Errorf("wallet: statement: longer than %d bytes", maxStatement)
	}
	for i, c := range s.Chains {
		if c == 0 {
			return errors.New("wallet: chains: 0 is not a chain id")
		}
		if slices.Contains(s.Chains[:i], c) {
			return fmt.Errorf("wallet: chains: %d is named twice", c)
		}
	}
	if s.TTL < 0 {
		return errors.New("wallet: the life of a challenge is negative")
	}
	return nil
}

// Begin makes a challenge. With an address it writes the whole message; without one, the client writes it around the
// nonce. It answers ErrInvalidAddress, ErrChainNotAllowed, authcore.ErrChallengeLimit or authcore.ErrUnavailable.
func (s *SignIn) Begin(ctx context.Context, ask Ask) (Asked, error) {
	scheme, domain, err := splitOrigin(ask.Origin)
	if err != nil {
		return Asked{}, err
	}
	chain := ask.ChainID
	switch {
	case chain != 0 && !s.chainAllowed(chain):
		return Asked{}, fmt.Errorf("wallet: begin: %w", ErrChainNotAllowed)
	case chain == 0 && len(s.Chains) > 0:
		chain = s.Chains[0]
	case chain == 0:
		chain = 1
	}
	nonce, err := s.nonce()
	if err != nil {
		return Asked{}, err
	}
	// Whole milliseconds, so that the message and the challenge expire at the same moment.
	now := s.now().Truncate(time.Millisecond)
	asked := Asked{
		Nonce: nonce, Domain: domain, URI: ask.Origin, Version: "1", Statement: s.Statement,
		Expires: now.Add(s.ttl()),
	}
	challenge := authcore.Challenge{
		ID:      authcore.HashSecret(nonce),
		Binding: authcore.Binding{Purpose: purpose(ask.StepUp), Origin: ask.Origin, Subject: ask.Subject},
		Client:  ask.Client,
		Expires: asked.Expires,
	}
	if ask.Address != "" {
		address, err := ParseAddress(ask.Address)
		if err != nil {
			return Asked{}, err
		}
		m := Message{
			Domain: domain, Address: address, Statement: s.Statement, URI: ask.Origin, Version: "1", ChainID: chain,
			Nonce: nonce, IssuedAt: NewTimestamp(now), ExpirationTime: NewTimestamp(asked.Expires),
		}
		// ERC-4361: a scheme that is absent means https. Not all wallets know the scheme, so it is written only where it must.
		if scheme != "https" {
			m.Scheme = scheme
		}
		if asked.Message, err = m.Format(); err != nil {
			return Asked{}, err
		}
		sum := sha256.Sum256([]byte(asked.Message))
		challenge.Data = sum[:]
	}
	if err := s.Challenges.CreateChallenge(ctx, challenge, now); err != nil {
		return Asked{}, authcore.StoreError("wallet: challenges", err, authcore.ErrChallengeLimit)
	}
	return asked, nil
}

func purpose(stepUp bool) authcore.Purpose {
	if stepUp {
		return authcore.PurposeWalletStepUp
	}
	return authcore.PurposeWalletSignIn
}

func (s *SignIn) chainAllowed(id uint64) bool {
	return len(s.Chains) == 0 || slices.Contains(s.Chains, id)
}

// nonce: 160 random bits, as ERC-4361 wants them alphanumeric.
func (s *SignIn) nonce() (string, error) {
	random := s.Rand
	if random == nil {
		random = rand.Reader
	}
	var b [20]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return "", fmt.Errorf("wallet: nonce: %w", err)
	}
	return base32.StdEncoding.EncodeToString(b[:]), nil
}

func (s *SignIn) now() time.Time {
	if s.Now == nil {
		return time.Now()
	}
	return s.Now()
}

func (s *SignIn) ttl() time.Duration {
	if s.TTL == 0 {
		return defaultTTL
	}
	return s.TTL
}

// splitOrigin answers the scheme and the authority of a configured origin.
func splitOrigin(origin string) (scheme, domain string, err error) {
	scheme, domain, _ = strings.Cut(strings.ToLower(origin), "://")
	if a, ok := splitAuthority(domain); !ok || a.host == "" || a.userinfo != "" || !isScheme(scheme) {
		return "", "", errors.New("wallet: the origin is not a scheme and a host")
	}
	return scheme, domain, nil
}
