package keysign

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/cloudflare/circl/sign/mldsa/mldsa65"

	"github.com/caddy-authgate/authgate/authcore"
)

const (
	defaultTTL       = time.Minute
	defaultStatement = "Sign in."
	// maxStatement leaves the rest of a message its room within maxMessage, in bytes.
	maxStatement = 1024
)

// clusters are the networks of Solana, by the names that messages have for them.
var clusters = []string{"mainnet", "testnet", "devnet"}

// SignIn is the ceremony: Begin asks, the key signs, Finish judges. It may be used from many goroutines at once.
type SignIn struct {
	Challenges authcore.Challenges // required
	Kinds      []Kind              // of keys that may sign in; none: none
	Cluster    string              // of Solana wallets: "mainnet" (default), "testnet" or "devnet"
	Statement  string              // what the user agrees to; default "Sign in."
	TTL        time.Duration       // how long a challenge may be answered; default 1 min
	Now        func() time.Time    // default time.Now
	Rand       io.Reader           // default crypto/rand.Reader
}

// Ask is who asks for a challenge.
type Ask struct {
	Origin  string // of the site, as configured: never from the request
	Subject string // the user who is signed in; empty where nobody is
	Client  string // who asks, as a rate limit counts clients
	StepUp  bool   // Subject proves again who they are; such a challenge signs nobody in
	Kind    Kind
	// Account is a credential key (see ParseAccount). It may be empty for Solana wallets, which then write their own address
	// into the message.
	Account string
}

// Asked is a challenge, in full and by its fields: those are the members of the same names of the SolanaSignInInput of
// the Wallet Standard.
type Asked struct {
	Message   string // the text to sign; empty where the account was left open
	Account   Account
	Domain    string
	Statement string
	URI       string
	Version   string
	ChainID   string // the cluster; empty for keys of programs
	Nonce     string
	IssuedAt  time.Time // to the millisecond, as Expires is
	Expires   time.Time
}

// Answer is a signed message.
type Answer struct {
	Origin    string // of the site on which it arrived, as configured
	Subject   string // the user who is signed in; empty where nobody is
	StepUp    bool   // answers a challenge that was asked for to step up
	Message   string // the text that was signed, byte for byte
	Signature string // "0x" and hex digits
	// Key is "ml-dsa-65:" and the whole key in hex digits, for keys of that kind, which messages name by their hash. For others
	// it is not looked at.
	Key string
}

// Validate reports a configuration with which no message can be written: an unknown kind or cluster, one kind twice, a
// statement that is not one line of printable ASCII or has more than 1024 bytes, a negative TTL.
func (s *SignIn) Validate() error {
	for i, k := range s.Kinds {
		if !slices.Contains(kinds, k) {
			return fmt.Errorf("keysign: %q is no kind of key; there are solana, ed25519 and ml-dsa-65", k)
		}
		if slices.Contains(s.Kinds[:i], k) {
			return fmt.Errorf("keysign: %s is named twice", k)
		}
	}
	if s.Cluster != "" && !slices.Contains(clusters, s.Cluster) {
		return fmt.Errorf("keysign: %q is no cluster of Solana; there are %s", s.Cluster, strings.Join(clusters, ", "))
	}
	if len(s.Statement) > maxStatement || strings.ContainsFunc(s.Statement, func(r rune) bool { return r < ' ' || r > '~' }) {
		return fmt.Errorf("keysign: statement: not one line of printable ASCII of at most %d bytes", maxStatement)
	}
	if s.TTL < 0 {
		return errors.New("keysign: the life of a challenge is negative")
	}
	return nil
}

// Begin makes a challenge. It answers ErrKindOff, ErrInvalidKey, authcore.ErrChallengeLimit or authcore.ErrUnavailable.
func (s *SignIn) Begin(ctx context.Context, ask Ask) (Asked, error) {
	if !slices.Contains(s.Kinds, ask.Kind) {
		return Asked{}, fmt.Errorf("keysign: begin: %w", ErrKindOff)
	}
	_, domain, ok := strings.Cut(ask.Origin, "://")
	if !ok || domain == "" {
		return Asked{}, errors.New("keysign: the origin is not a scheme and a host")
	}
	nonce, err := s.nonce()
	if err != nil {
		return Asked{}, err
	}
	// Whole milliseconds, so that the message and the challenge expire at the same moment.
	now := s.now().Truncate(time.Millisecond)
	asked := Asked{
		Domain: domain, Statement: s.statement(), URI: ask.Origin, Version: "1", Nonce: nonce, IssuedAt: now, Expires: now.Add(s.ttl()),
	}
	line := ""
	if ask.Kind == Solana {
		asked.ChainID = s.cluster()
	}
	if ask.Account != "" || ask.Kind != Solana {
		if asked.Account, err = ParseAccount(ask.Account); err != nil {
			return Asked{}, err
		}
		if asked.Account.Kind != ask.Kind {
			return Asked{}, fmt.Errorf("keysign: begin: a key of another kind: %w", ErrInvalidKey)
		}
		line = asked.Account.written()
	}
	text := asked.text(ask.Kind, line)
	if line != "" {
		asked.Message = text
	}
	sum := sha256.Sum256([]byte(text))
	err = s.Challenges.CreateChallenge(ctx, authcore.Challenge{
		ID:      authcore.HashSecret(nonce),
		Binding: binding(ask.Origin, ask.Subject, ask.StepUp),
		Client:  ask.Client,
		Data:    sum[:],
		Expires: asked.Expires,
	}, now)
	if err != nil {
		return Asked{}, authcore.StoreError("keysign: challenges", err, authcore.ErrChallengeLimit)
	}
	return asked, nil
}

// Finish judges an answer and says whose key signed it. It answers ErrInvalidMessage, ErrInvalidSignature, ErrInvalidKey,
// ErrKindOff, authcore.ErrChallengeNotFound, authcore.ErrChallengeExpired or authcore.ErrUnavailable.
//
// The challenge is spent before anything is judged, so that a failed try cannot be tried again; only what is left reaches
// the cryptography of signatures.
func (s *SignIn) Finish(ctx context.Context, answer Answer) (Account, error) {
	m, err := read(answer.Message)
	if err != nil {
		return Account{}, err
	}
	challenge, err := s.Challenges.ConsumeChallenge(ctx, authcore.HashSecret(m.nonce),
		binding(answer.Origin, answer.Subject, answer.StepUp), s.now())
	if err != nil {
		return Account{}, authcore.StoreError("keysign: challenges", err, authcore.ErrChallengeNotFound, authcore.ErrChallengeExpired)
	}
	// The same bytes as were issued, so the same kind, account, origin, times and all. Where the account was left open its line
	// was empty, which no text that names one is.
	if !isHash(challenge.Data, answer.Message) && !isHash(challenge.Data, m.open) {
		return Account{}, fmt.Errorf("keysign: finish: not the message that was issued: %w", ErrInvalidMessage)
	}
	// It may have been switched off since.
	if !slices.Contains(s.Kinds, m.account.Kind) {
		return Account{}, fmt.Errorf("keysign: finish: %w", ErrKindOff)
	}
	return m.account, verify(m.account, answer)
}

// isHash reports whether data is the hash of a text.
func isHash(data []byte, text string) bool {
	sum := sha256.Sum256([]byte(text))
	return subtle.ConstantTimeCompare(sum[:], data) == 1
}

// verify checks the signature over the message as it was received.
func verify(a Account, answer Answer) error {
	if a.Kind == MLDSA65 {
		return verifyMLDSA65(a, answer)
	}
	key, err := a.ed25519()
	if err != nil {
		return err
	}
	sig, err := decodeSignature(answer.Signature, ed25519.SignatureSize)
	if err != nil {
		return err
	}
	// Without the cofactor, as Solana verifies, with R compared as bytes and s below the group order (RFC 8032 section 5.1.7):
	// nobody but the owner of the key can make a second signature out of one.
	if !ed25519.Verify(key[:], []byte(answer.Message), sig) {
		return fmt.Errorf("keysign: verify: %w", ErrInvalidSignature)
	}
	return nil
}

func verifyMLDSA65(a Account, answer Answer) error {
	digits, ok := strings.CutPrefix(answer.Key, string(MLDSA65)+":")
	whole, isHex := decodeHex(digits, mldsa65.PublicKeySize)
	if !ok || !isHex {
		return fmt.Errorf("keysign: verify: the whole ML-DSA-65 key is needed: %w", ErrInvalidKey)
	}
	if mldsaAccount(whole) != a {
		return fmt.Errorf("keysign: verify: not the key in the message: %w", ErrInvalidSignature)
	}
	sig, err := decodeSignature(answer.Signature, mldsa65.SignatureSize)
	if err != nil {
		return err
	}
	var key mldsa65.PublicKey
	if err := key.UnmarshalBinary(whole); err != nil {
		return fmt.Errorf("keysign: verify: %w: %w", ErrInvalidKey, err)
	}
	// FIPS 204 section 5.3, pure, with the empty context, which is what libraries without contexts have. The message says what
	// the signature is for.
	if !mldsa65.Verify(&key, []byte(answer.Message), nil, sig) {
		return fmt.Errorf("keysign: verify: %w", ErrInvalidSignature)
	}
	return nil
}

// decodeSignature reads a signature as clients send it: "0x" and hex digits of either case.
func decodeSignature(s string, n int) ([]byte, error) {
	digits, ok := strings.CutPrefix(s, "0x")
	if !ok || len(digits) != 2*n {
		return nil, fmt.Errorf("keysign: signature: not 0x and %d digits: %w", 2*n, ErrInvalidSignature)
	}
	sig, err := hex.DecodeString(digits)
	if err != nil {
		return nil, fmt.Errorf("keysign: signature: not hexadecimal: %w", ErrInvalidSignature)
	}
	return sig, nil
}

func binding(origin, subject string, stepUp bool) authcore.Binding {
	b := authcore.Binding{Purpose: authcore.PurposeKeySignIn, Origin: origin, Subject: subject}
	if stepUp {
		b.Purpose = authcore.PurposeKeyStepUp
	}
	return b
}

// nonce: 160 random bits, alphanumeric as in ERC-4361.
func (s *SignIn) nonce() (string, error) {
	random := s.Rand
	if random == nil {
		random = rand.Reader
	}
	var b [20]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return "", fmt.Errorf("keysign: nonce: %w", err)
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

func (s *SignIn) statement() string {
	if s.Statement == "" {
		return defaultStatement
	}
	return s.Statement
}

func (s *SignIn) cluster() string {
	if s.Cluster == "" {
		return clusters[0]
	}
	return s.Cluster
}
