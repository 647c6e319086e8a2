package passkey

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/caddy-authgate/authgate/authcore"
)

// minCredentialID: ids are 16 bytes at least (section 4), so nobody guesses one.
const minCredentialID = 16

// Registering is who makes a passkey.
type Registering struct {
	Origin  string // of the site, as configured: never from the request
	Subject string // the user who is signed in; empty where nobody is
	Client  string // who asks, as a rate limit counts clients
	// UserID is the account, existing or, with New, to be created when the ceremony ends.
	UserID                string
	Username, DisplayName string // shown by the authenticator; DisplayName defaults to Username
	New                   bool
	Invite                []byte // with New, comes back as Registered.Invite; may be nil
	// Recovery is what the ceremony is bound to where nobody is signed in and UserID is an account that is recovered.
	Recovery string
}

// Registration is what the browser answered.
type Registration struct {
	Origin      string // of the site on which it arrived, as configured
	Subject     string // the user who is signed in; empty where nobody is
	ChallengeID string
	Response    []byte // the JSON of RegistrationResponseJSON
	Name        string // what the user calls the passkey; may be empty
	Recovery    string // as the ceremony began
}

// Registered is a passkey that was made, for an account that is New or not.
type Registered struct {
	UserID, Username string
	New              bool
	Invite           []byte
	// Credential is not stored yet, and has no ID: the caller gives one and stores it, by which a passkey that somebody
	// has already is refused (section 7.1 step 26).
	Credential authcore.Credential
	Evidence   Evidence
}

// BeginRegistration makes a challenge and the options for navigator.credentials.create. Passkeys that the account has
// here are excluded, so that none is made twice on one authenticator. It answers authcore.ErrChallengeLimit or
// authcore.ErrUnavailable.
func (c *Ceremonies) BeginRegistration(ctx context.Context, r Registering) (Begun, error) {
	switch {
	case r.UserID == "":
		return Begun{}, errors.New("passkey: registration without a user")
	// Nobody adds a passkey to somebody else's account.
	case r.Subject != "" && (r.New || r.Subject != r.UserID || r.Recovery != ""):
		return Begun{}, errors.New("passkey: registration for another user than the one who is signed in")
	case r.New && r.Recovery != "":
		return Begun{}, errors.New("passkey: recovery of an account that is not there")
	}
	party, err := c.party(r.Origin)
	if err != nil {
		return Begun{}, err
	}
	var excluded []protocol.CredentialDescriptor
	if !r.New {
		if excluded, err = c.descriptors(ctx, r.UserID, party.Config.RPID); err != nil {
			return Begun{}, err
		}
	}
	random, err := c.random(challenge)
	if err != nil {
		return Begun{}, err
	}
	display := r.DisplayName
	if display == "" {
		display = r.Username
	}
	options, session, err := party.BeginRegistration(
		owner{handle: UserHandle(r.UserID), name: r.Username, displayName: display},
		webauthn.WithRegistrationOrigin(r.Origin),
		webauthn.WithCredentialParameters(webauthn.CredentialParametersRecommendedL3()),
		// A sign-in needs no username only with passkeys that authenticators find by themselves.
		webauthn.WithResidentKeyRequirement(protocol.ResidentKeyRequirementRequired),
		webauthn.WithExclusions(excluded),
		webauthn.WithExtensions(webauthn.WithExtensionCredProps()),
		func(o *protocol.PublicKeyCredentialCreationOptions) error {
			o.Challenge = random
			return nil
		},
	)
	if err != nil {
		return Begun{}, fmt.Errorf("passkey: begin registration: %w", err)
	}
	return c.begun(ctx, authcore.PurposePasskeyRegistration, r.Origin, boundTo(r.Subject, r.Recovery), r.Client, options, ceremony{
		Session: *session, UserID: r.UserID, Username: r.Username, New: r.New, Invite: r.Invite,
	})
}

// boundTo is the subject of a ceremony's binding. The ids of users have no spaces.
func boundTo(subject, recovery string) string {
	if recovery != "" {
		return "recovery " + recovery
	}
	return subject
}

// begun keeps a ceremony and writes its options.
func (c *Ceremonies) begun(ctx context.Context, purpose authcore.Purpose, origin, subject, client string, options any, kept ceremony) (Begun, error) {
	text, err := json.Marshal(options)
	if err != nil {
		return Begun{}, fmt.Errorf("passkey: options: %w", err)
	}
	id, expires, err := c.keep(ctx, authcore.Binding{Purpose: purpose, Origin: origin, Subject: subject}, client, kept)
	if err != nil {
		return Begun{}, err
	}
	return Begun{ChallengeID: id, Options: text, Expires: expires}, nil
}

// descriptors are the passkeys of a user that belong to a relying party, oldest first.
func (c *Ceremonies) descriptors(ctx context.Context, userID, rpID string) ([]protocol.CredentialDescriptor, error) {
	all, err := c.Credentials.CredentialsOf(ctx, userID)
	if err != nil {
		return nil, authcore.StoreError("passkey", err)
	}
	var own []protocol.CredentialDescriptor
	for _, stored := range all {
		if stored.Kind != authcore.Passkey {
			continue
		}
		record, err := ReadRecord(stored)
		if err != nil {
			return nil, authcore.StoreError("passkey", err)
		}
		id, err := rawID(stored.Key)
		if err != nil {
			return nil, authcore.StoreError("passkey", err)
		}
		if record.RPID == rpID {
			own = append(own, descriptor(id, record.Transports))
		}
	}
	return own, nil
}

// FinishRegistration judges what the browser made. It answers ErrInvalidAttestation (with ErrNotAllowed where it was
// for a policy), authcore.ErrChallengeNotFound, authcore.ErrChallengeExpired or authcore.ErrUnavailable.
func (c *Ceremonies) FinishRegistration(ctx context.Context, r Registration) (Registered, error) {
	kept, err := c.take(ctx, r.ChallengeID, authcore.Binding{
		Purpose: authcore.PurposePasskeyRegistration, Origin: r.Origin, Subject: boundTo(r.Subject, r.Recovery),
	})
	if err != nil {
		return Registered{}, err
	}
	made, err := c.create(kept, r)
	if err != nil {
		return Registered{}, err
	}
	record := newRecord(kept.Session.RelyingPartyID, made, c.Attestation)
	if err := c.allowed(record, record.Synced()); err != nil {
		return Registered{}, fmt.Errorf("passkey: registration: %w: %w", err, ErrInvalidAttestation)
	}
	data, err := json.Marshal(record)
	if err != nil {
		return Registered{}, fmt.Errorf("passkey: record: %w", err)
	}
	return Registered{
		UserID: kept.UserID, Username: kept.Username, New: kept.New, Invite: kept.Invite,
		Credential: authcore.Credential{
			UserID: kept.UserID, Kind: authcore.Passkey, Key: Key(made.ID), Name: r.Name, Data: data, Created: c.now(),
		},
		Evidence: Evidence{UserVerified: record.flags().HasUserVerified(), DeviceBound: !record.Synced()},
	}, nil
}

// create verifies a new passkey (section 7.1).
func (c *Ceremonies) create(kept ceremony, r Registration) (*webauthn.Credential, error) {
	refuse := func(err error) (*webauthn.Credential, error) {
		return nil, refusal(ErrInvalidAttestation, err, kept.Session.Challenge)
	}
	party, err := c.party(r.Origin)
	if err != nil {
		return nil, err
	}
	parsed, err := parseAttestation(r.Response)
	if err != nil {
		return refuse(err)
	}
	err = checkClientData(parsed.Raw.AttestationResponse.ClientDataJSON, protocol.CreateCeremony, kept.Session.Challenge, r.Origin)
	if err != nil {
		return refuse(err)
	}
	if c.Attestation != AttestationDirect {
		dropAttestation(&parsed.Response.AttestationObject)
	}
	made, err := party.CreateCredential(owner{handle: UserHandle(kept.UserID)}, kept.Session, parsed)
	if err != nil {
		return refuse(err)
	}
	if len(made.ID) < minCredentialID {
		return refuse(fmt.Errorf("the credential id has %d bytes", len(made.ID)))
	}
	if err := checkKey(made.PublicKey); err != nil {
		return refuse(err)
	}
	return made, nil
}

// formats are the attestation statement formats of section 8.
var formats = []protocol.AttestationFormat{
	protocol.AttestationFormatPacked, protocol.AttestationFormatTPM, protocol.AttestationFormatAndroidKey,
	protocol.AttestationFormatAndroidSafetyNet, protocol.AttestationFormatFIDOUniversalSecondFactor,
	protocol.AttestationFormatApple, protocol.AttestationFormatCompound,
}

// dropAttestation makes an attestation one of format none. Where none was asked for browsers send none. Of the others
// nothing would be believed, but an expired certificate in it would lock its owner out.
func dropAttestation(a *protocol.AttestationObject) {
	if slices.Contains(formats, protocol.AttestationFormat(a.Format)) {
		a.Format, a.AttStatement, a.SubStatements = string(protocol.AttestationFormatNone), nil, nil
	}
}

// allowed answers ErrNotAllowed where a policy speaks against an authenticator.
func (c *Ceremonies) allowed(r Record, synced bool) error {
	switch {
	case c.ForbidSynced && synced:
		return fmt.Errorf("the passkey can be synced: %w", ErrNotAllowed)
	case len(c.AllowAAGUIDs) > 0 && !slices.Contains(c.AllowAAGUIDs, r.AAGUID), slices.Contains(c.RefuseAAGUIDs, r.AAGUID):
		return fmt.Errorf("the model is %s: %w", r.AAGUID, ErrNotAllowed)
	}
	return nil
}
