package passkey

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/caddy-authgate/authgate/authcore"
)

// Authenticating is who wants to sign in, or to step up.
type Authenticating struct {
	Origin  string // of the site, as configured: never from the request
	Subject string // the user who is signed in; empty where nobody is
	Client  string // who asks, as a rate limit counts clients
	// Username is the one that was typed, in the form in which it was looked up, and UserID the account that has it; empty
	// where there is none. Both empty: the browser offers the passkeys that it has.
	Username, UserID string
	StepUp           bool // Subject proves again who they are; Username and UserID do not matter
}

// Authentication is what the browser answered.
type Authentication struct {
	Origin      string // of the site on which it arrived, as configured
	Subject     string // the user who is signed in; empty where nobody is
	ChallengeID string
	Response    []byte // the JSON of AuthenticationResponseJSON
	StepUp      bool
}

// Authenticated is who signed in and with what.
type Authenticated struct {
	UserID     string
	Credential authcore.Credential // as it is stored now
	Evidence   Evidence
	Events     []Event // what an operator may want to know
}

// Event is something odd, but no reason to refuse.
type Event struct {
	Kind    EventKind
	Was, Is uint32 // sign counts; of flags 0 and 1
}

// EventKind is what is odd.
type EventKind string

const (
	// SignCountWentBack: the sign count of a synced passkey did not grow.
	SignCountWentBack EventKind = "sign_count_went_back"
	// BackupEligibilityChanged: the passkey was bound to one device and is not any more, or the other way round.
	BackupEligibilityChanged EventKind = "backup_eligibility_changed"
	// BackupStateChanged: the passkey came into a backup, or was taken out.
	BackupStateChanged EventKind = "backup_state_changed"
)

// maxTries bounds how often a sign-in is judged anew because the record changed under it. Of many at once one gets
// through each time.
const maxTries = 32

// BeginAuthentication makes a challenge and the options for navigator.credentials.get. It answers ErrNoPasskey (to step
// up only), authcore.ErrChallengeLimit or authcore.ErrUnavailable.
func (c *Ceremonies) BeginAuthentication(ctx context.Context, a Authenticating) (Begun, error) {
	party, err := c.party(a.Origin)
	if err != nil {
		return Begun{}, err
	}
	purpose := authcore.PurposePasskeyAuthentication
	var kept ceremony
	var offered []protocol.CredentialDescriptor
	verification := c.userVerification()
	switch {
	case a.StepUp:
		// Who only holds the device of a signed-in user shall not pass for the user.
		purpose, verification = authcore.PurposePasskeyStepUp, protocol.VerificationRequired
		if a.Subject == "" {
			return Begun{}, errors.New("passkey: nobody is signed in who could step up")
		}
		if offered, err = c.descriptors(ctx, a.Subject, party.Config.RPID); err != nil {
			return Begun{}, err
		}
		if len(offered) == 0 {
			return Begun{}, fmt.Errorf("passkey: step up: %w", ErrNoPasskey)
		}
		kept = ceremony{UserID: a.Subject, Named: true}
	case (a.UserID != "" || a.Username != "") && c.Secret != nil:
		if offered, err = c.offer(ctx, a, party.Config.RPID); err != nil {
			return Begun{}, err
		}
		kept = ceremony{UserID: a.UserID, Named: true}
	}
	random, err := c.random(challenge)
	if err != nil {
		return Begun{}, err
	}
	options, session, err := party.BeginDiscoverableLogin(
		webauthn.WithLoginOrigin(a.Origin),
		webauthn.WithChallenge(random),
		webauthn.WithUserVerification(verification),
		webauthn.WithAllowedCredentials(offered),
	)
	if err != nil {
		return Begun{}, fmt.Errorf("passkey: begin authentication: %w", err)
	}
	if kept.Named {
		session.UserID = UserHandle(kept.UserID)
	}
	kept.Session = *session
	return c.begun(ctx, purpose, a.Origin, a.Subject, a.Client, options, kept)
}

// FinishAuthentication judges an assertion and stores what it says of the passkey. It answers ErrInvalidAssertion (as
// ErrUnknownCredential, with ErrNotAllowed or as *SignCountError where it was for that), authcore.ErrChallengeNotFound,
// authcore.ErrChallengeExpired or authcore.ErrUnavailable.
func (c *Ceremonies) FinishAuthentication(ctx context.Context, a Authentication) (Authenticated, error) {
	purpose := authcore.PurposePasskeyAuthentication
	if a.StepUp {
		purpose = authcore.PurposePasskeyStepUp
	}
	kept, err := c.take(ctx, a.ChallengeID, authcore.Binding{Purpose: purpose, Origin: a.Origin, Subject: a.Subject})
	if err != nil {
		return Authenticated{}, err
	}
	party, err := c.party(a.Origin)
	if err != nil {
		return Authenticated{}, err
	}
	parsed, err := parseAssertion(a.Response)
	if err != nil {
		return Authenticated{}, refusal(ErrInvalidAssertion, err, kept.Session.Challenge)
	}
	err = checkClientData(parsed.Raw.AssertionResponse.ClientDataJSON, protocol.AssertCeremony, kept.Session.Challenge, a.Origin)
	if err != nil {
		return Authenticated{}, refusal(ErrInvalidAssertion, err, kept.Session.Challenge)
	}
	for range maxTries {
		stored, err := c.Credentials.CredentialByKey(ctx, authcore.Passkey, Key(parsed.RawID))
		switch {
		case errors.Is(err, authcore.ErrCredentialNotFound):
			return Authenticated{}, unknown(party, kept, parsed)
		case err != nil:
			return Authenticated{}, authcore.StoreError("passkey", err)
		}
		done, err := c.judge(party, kept, parsed, stored)
		if err != nil {
			return Authenticated{}, err
		}
		err = c.Credentials.UpdateCredential(ctx, done.Credential)
		switch {
		case errors.Is(err, authcore.ErrConflict):
			// Another sign-in, or a new name: what was compared with is old now.
			continue
		case errors.Is(err, authcore.ErrCredentialNotFound):
			return Authenticated{}, unknown(party, kept, parsed)
		case err != nil:
			return Authenticated{}, authcore.StoreError("passkey", err)
		}
		done.Credential.Version++
		return done, nil
	}
	return Authenticated{}, fmt.Errorf("passkey: the record changes all the time: %w", authcore.ErrUnavailable)
}

// judge verifies an assertion (section 7.2) against the passkey that is stored, and answers what to store.
func (c *Ceremonies) judge(party *webauthn.WebAuthn, kept ceremony, parsed *protocol.ParsedCredentialAssertionData, stored authcore.Credential) (Authenticated, error) {
	record, err := ReadRecord(stored)
	if err != nil {
		return Authenticated{}, authcore.StoreError("passkey", err)
	}
	before, said := record, parsed.Response.AuthenticatorData
	switch {
	case record.RPID != kept.Session.RelyingPartyID:
		return Authenticated{}, refusal(ErrInvalidAssertion, errors.New("the passkey belongs to another relying party"), "")
	// Section 7.2 steps 5 and 6: one of those that were listed, and of the user who was named.
	case kept.Named && (stored.UserID != kept.UserID || !listed(kept, parsed.RawID)):
		return Authenticated{}, unknown(party, kept, parsed)
	}
	// Authenticators do change the flag, though they should not, and the library refuses them for it. Section 7.2 step 19
	// wants that only where a policy rests on it; ours looks at what the assertion says. It is saved only with all the rest.
	record.Flags = record.Flags&^byte(protocol.FlagBackupEligible) | byte(said.Flags&protocol.FlagBackupEligible)
	used, err := validate(party, kept, parsed, stored.UserID, record)
	if err != nil {
		return Authenticated{}, refusal(ErrInvalidAssertion, err, kept.Session.Challenge)
	}
	if err := c.allowed(record, record.Synced()); err != nil {
		return Authenticated{}, fmt.Errorf("passkey: authentication: %w: %w", err, ErrInvalidAssertion)
	}
	now := c.now()
	record.Flags = byte(used.Flags.ProtocolValue())
	record.SignCount, record.SignCountWentBack = used.Authenticator.SignCount, time.Time{}
	var events []Event
	if used.Authenticator.CloneWarning {
		// What the record said counts, not what this assertion says of itself: whoever has the key can write any flag.
		if !before.Synced() {
			return Authenticated{}, &SignCountError{stored.UserID, stored.ID, before.SignCount, said.Counter}
		}
		record.SignCountWentBack = now
		events = append(events, Event{SignCountWentBack, before.SignCount, said.Counter})
	}
	if before.Synced() != record.Synced() {
		events = append(events, Event{BackupEligibilityChanged, bit(before.Synced()), bit(record.Synced())})
		record.BackupChanged = now
	}
	if before.BackedUp() != record.BackedUp() {
		events = append(events, Event{BackupStateChanged, bit(before.BackedUp()), bit(record.BackedUp())})
		record.BackupChanged = now
	}
	stored.LastUsed = now
	if stored.Data, err = json.Marshal(record); err != nil {
		return Authenticated{}, fmt.Errorf("passkey: record: %w", err)
	}
	return Authenticated{
		UserID:     stored.UserID,
		Credential: stored,
		// Of the assertion: the flags of the record remember an earlier verification.
		Evidence: Evidence{UserVerified: said.Flags.HasUserVerified(), DeviceBound: !record.Synced()},
		Events:   events,
	}, nil
}

// validate has the library verify an assertion by one passkey of one user.
func validate(party *webauthn.WebAuthn, kept ceremony, parsed *protocol.ParsedCredentialAssertionData, userID string, record Record) (*webauthn.Credential, error) {
	user := owner{handle: UserHandle(userID), credentials: []webauthn.Credential{record.credential(parsed.RawID)}}
	session := kept.Session
	// judge compared with the list. The library would also refuse where another passkey of the list was deleted meanwhile.
	session.AllowedCredentialIDs = nil
	if kept.Named {
		return party.ValidateLogin(user, session, parsed)
	}
	_, used, err := party.ValidatePasskeyLogin(func([]byte, []byte) (webauthn.User, error) { return user, nil }, session, parsed)
	return used, err
}

// unknown refuses an assertion by a passkey that is not stored, or not one of those that were asked for. Only where none
// were named it says so. Where some were they may have been made up, and nothing tells: the same work is done.
func unknown(party *webauthn.WebAuthn, kept ceremony, parsed *protocol.ParsedCredentialAssertionData) error {
	if !kept.Named {
		return refusal(ErrUnknownCredential, errors.New("not stored"), "")
	}
	// Whatever comes out, it is refused.
	_, err := validate(party, kept, parsed, kept.UserID, decoyRecord(kept.Session.RelyingPartyID, parsed.Response.AuthenticatorData.Flags))
	return refusal(ErrInvalidAssertion, fmt.Errorf("not a passkey of the user who was named; as a decoy: %v", err), kept.Session.Challenge)
}

func listed(kept ceremony, id []byte) bool {
	return slices.ContainsFunc(kept.Session.AllowedCredentialIDs, func(one []byte) bool { return slices.Equal(one, id) })
}

func rawID(key string) ([]byte, error) { return base64.RawURLEncoding.DecodeString(key) }

func bit(b bool) uint32 {
	if b {
		return 1
	}
	return 0
}
