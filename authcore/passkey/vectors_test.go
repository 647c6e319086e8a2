package passkey

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/caddy-authgate/authgate/authcore"
)

// vector is an entry of the shared vectors; see the README beside them.
type vector struct {
	ID, Kind, Expect, Challenge string
	Origins, RPIDs              []string
	RequireUV                   bool
	Response                    json.RawMessage
	StoredCredential            struct {
		PublicKey string
		SignCount uint32
		Flags     *byte
	}
}

// readVectors reads all shared vectors, which lie beside the repository and are not part of it. Only where they are
// absent altogether the test is skipped.
func readVectors(tb testing.TB) []vector {
	tb.Helper()
	root := filepath.Join("..", "..", "..", "shared")
	if _, err := os.Stat(root); errors.Is(err, os.ErrNotExist) {
		tb.Skip("no shared vectors beside the repository")
	}
	files, err := filepath.Glob(filepath.Join(root, "vectors", "webauthn", "*-*ion.json"))
	if err != nil {
		tb.Fatal(err)
	}
	var all []vector
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			tb.Fatal(err)
		}
		var some []vector
		if err := json.Unmarshal(data, &some); err != nil {
			tb.Fatalf("%s: %v", name, err)
		}
		all = append(all, some...)
	}
	if len(all) < 100 {
		tb.Fatalf("%d vectors", len(all))
	}
	return all
}

// verdict is what we say of a vector, and why it is not what the vector expects.
type verdict struct {
	accept bool
	why    string
}

const (
	expired      = "certificates are compared with the time now, and this one is over; where no attestation is asked for it is not looked at"
	foreignRoot  = "the certificate is of no root that the library knows"
	dropped      = "nobody asked for an attestation, so what it says is not looked at"
	unstated     = "its origin says nothing; all is well with it"
	foreignFrame = "no ceremony runs in a frame of another site, and there is no option for it"
	mldsa        = "ML-DSA is not asked for, and is not in a build of this version of Go"
	notAsked     = "the algorithm is none of those that are asked for (EdDSA, ES256, RS256)"
	oneSpelling  = "browsers write the origin in one spelling"
	tokenBinding = "Level 3 has no token binding any more: a value is not judged, a string where an object was is not read"
)

// differences are the verdicts that differ from what is expected, or where no expectation is stated; under both
// policies of attestation, or, with its name at the end, under one.
var differences = map[string]verdict{
	"SimpleWebAuthn/should-enforce-CTS-check-by-default/registration/none":                                         {true, dropped},
	"SimpleWebAuthn/should-skip-CTS-check-when-enforcement-option-is-false/registration/direct":                    {false, expired},
	"SimpleWebAuthn/should-validate-TPM-RSA-response-SHA256/registration/direct":                                   {false, expired},
	"SimpleWebAuthn/should-verify-TPM-response/registration/direct":                                                {false, expired},
	"SimpleWebAuthn/should-verify-TPM-response-with-non-spec-compliant-tcgAtTpm-SAN-structure/registration/direct": {false, expired},
	"SimpleWebAuthn/should-verify-TPM-response-with-spec-compliant-tcgAtTpm-SAN-structure/registration/direct":     {false, expired},
	"SimpleWebAuthn/should-verify-Packed-attestation-with-RSA-PSS-SHA-256-public-key/registration":                 {false, notAsked},
	"derived/none-es256/be-flipped/authentication":                                                                 {true, "the flag is adopted: providers do change it; refused where synced passkeys are forbidden (TestForbidSynced)"},
	"derived/none-es256/bom/authentication":                                                                        {false, "browsers write none"},
	"derived/none-es256/case-fold-keys/authentication":                                                             {false, "members have one spelling"},
	"derived/none-es256/origin-path/authentication":                                                                {false, oneSpelling},
	"derived/none-es256/origin-trailing-slash/authentication":                                                      {false, oneSpelling},
	"derived/none-es256/origin-uppercase/authentication":                                                           {false, oneSpelling},
	"derived/none-es256/padded-base64/authentication":                                                              {true, "older pages pad; the bytes are the same"},
	"derived/none-es256/unsolicited-appid-false/authentication":                                                    {true, "Safari sends it"},
	"go-webauthn/androidKeyTestResponse0-982/registration/none":                                                    {true, dropped},
	"go-webauthn/androidKeyTestResponse0-982/registration/direct":                                                  {false, foreignRoot},
	"go-webauthn/appleTestResponse-59/registration":                                                                {false, "the id is not that of the attested passkey"},
	"go-webauthn/packedTestResponseES512-488/registration":                                                         {false, notAsked},
	"go-webauthn/safetyNetTestResponse-664/registration/none":                                                      {true, dropped},
	"go-webauthn/safetyNetTestResponse-664/registration/direct":                                                    {false, expired},
	"go-webauthn/testAttestationResponses-390/registration":                                                        {true, unstated},
	"go-webauthn/testAttestationResponses-400/registration":                                                        {true, unstated},
	"go-webauthn/testAttestationResponses-408/registration":                                                        {true, unstated},
	"go-webauthn/testCredentialRequestResponses-566/registration":                                                  {true, unstated},
	"py_webauthn/test_verify_ml_dsa_44_response/authentication":                                                    {false, mldsa},
	"py_webauthn/test_verify_ml_dsa_87_response/authentication":                                                    {false, mldsa},
	"py_webauthn/test_verify_attestation_dell_xps_13/registration/direct":                                          {false, expired},
	"py_webauthn/test_verify_attestation_lenovo_carbon_x1/registration/direct":                                     {false, expired},
	"py_webauthn/test_verify_attestation_surface_pro_4/registration/direct":                                        {false, expired},
	"py_webauthn/test_verify_attestation_with_unsupported_token_binding/registration":                              {false, tokenBinding},
	"py_webauthn/test_verify_attestation_with_unsupported_token_binding_status/registration":                       {true, tokenBinding},
	"w3c/none-es256-topOrigin/authentication":                                                                      {false, foreignFrame},
	"w3c/none-es256-topOrigin/registration":                                                                        {false, foreignFrame},
	"w3c/tpm-es256/registration/direct":                                                                            {false, "the manufacturer of the TPM is made up"},
}

// noKey are vectors with which no public key comes: nothing can be verified.
var noKey = []string{"go-webauthn/TestFinishLoginFailure-192", "go-webauthn/testAssertionResponses-590"}

func TestVectors(t *testing.T) {
	used := map[string]bool{}
	for _, v := range readVectors(t) {
		if slices.Contains(noKey, v.ID) {
			continue
		}
		name := strings.TrimSuffix(v.ID, "/"+v.Kind) + "/" + v.Kind
		for _, attestation := range []Attestation{AttestationNone, AttestationDirect} {
			t.Run(name+"/"+string(attestation), func(t *testing.T) {
				want := strings.HasPrefix(v.Expect, "accept")
				stated := v.Expect != "policy" && v.Expect != "unstated"
				for _, key := range []string{name, name + "/" + string(attestation)} {
					d, ok := differences[key]
					if !ok {
						continue
					}
					used[key] = true
					if stated && d.accept == want {
						t.Errorf("no difference: %s", d.why)
					}
					want, stated = d.accept, true
				}
				if !stated {
					t.Error("no verdict on this vector")
				}
				accepted, err := v.try(t, attestation)
				if accepted != want {
					t.Errorf("%s: accepted %t, want %t: %v", v.Expect, accepted, want, err)
				}
			})
		}
	}
	for key := range differences {
		if !used[key] {
			t.Errorf("no vector for %s", key)
		}
	}
}

// try has every origin and relying party of a vector judge it.
func (v vector) try(t *testing.T, attestation Attestation) (accepted bool, err error) {
	t.Helper()
	for _, site := range v.Origins {
		for _, rpID := range v.RPIDs {
			h := newHouse(t)
			h.RPID, h.Attestation = rpID, attestation
			if !v.RequireUV {
				h.UserVerification = VerificationPreferred
			}
			if v.Kind == "registration" {
				err = v.register(t, h, site)
			} else {
				err = v.authenticate(t, h, site)
			}
			if err == nil {
				return true, nil
			}
			if !errors.Is(err, ErrInvalidAttestation) && !errors.Is(err, ErrInvalidAssertion) {
				t.Fatalf("no verdict: %v", err)
			}
		}
	}
	return false, err
}

func (v vector) register(t *testing.T, h *house, site string) error {
	t.Helper()
	party, err := h.party(site)
	if err != nil {
		t.Fatal(err)
	}
	_, session, err := party.BeginRegistration(owner{handle: UserHandle("u")},
		webauthn.WithRegistrationOrigin(site), webauthn.WithCredentialParameters(webauthn.CredentialParametersRecommendedL3()))
	if err != nil {
		t.Fatal(err)
	}
	done, err := h.FinishRegistration(t.Context(), Registration{
		Origin: site, ChallengeID: v.keep(t, h, authcore.PurposePasskeyRegistration, ceremony{Session: *session, UserID: "u", New: true}), Response: v.Response,
	})
	if err == nil {
		h.keepAccount(t, done)
	}
	return err
}

func (v vector) authenticate(t *testing.T, h *house, site string) error {
	t.Helper()
	var response struct {
		RawID    string
		Response map[string]any
	}
	var whole map[string]any
	if json.Unmarshal(v.Response, &response) != nil || json.Unmarshal(v.Response, &whole) != nil {
		t.Fatal("unreadable response")
	}
	id, err := rawID(response.RawID)
	if err != nil {
		t.Fatal(err)
	}
	public, err := base64.RawURLEncoding.DecodeString(v.StoredCredential.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	record := Record{RPID: h.RPID, PublicKey: public, SignCount: v.StoredCredential.SignCount, AttestationFormat: "none"}
	if v.StoredCredential.Flags != nil {
		record.Flags = *v.StoredCredential.Flags
	}
	data, err := json.Marshal(record)
	if err != nil {
		t.Fatal(err)
	}
	h.keepAccount(t, Registered{UserID: "u", Credential: authcore.Credential{UserID: "u", Kind: authcore.Passkey, Key: Key(id), Data: data}})
	party, err := h.party(site)
	if err != nil {
		t.Fatal(err)
	}
	_, session, err := party.BeginDiscoverableLogin(webauthn.WithLoginOrigin(site),
		webauthn.WithAllowedCredentials([]protocol.CredentialDescriptor{descriptor(id, nil)}))
	if err != nil {
		t.Fatal(err)
	}
	session.UserID = UserHandle("u")
	// The handle is not signed, and it is one of another relying party's user.
	delete(whole["response"].(map[string]any), "userHandle")
	edited, err := json.Marshal(whole)
	if err != nil {
		t.Fatal(err)
	}
	_, err = h.FinishAuthentication(t.Context(), Authentication{
		Origin: site, Response: edited,
		ChallengeID: v.keep(t, h, authcore.PurposePasskeyAuthentication, ceremony{Session: *session, UserID: "u", Named: true}),
	})
	return err
}

// keep stores a ceremony with the challenge of the vector.
func (v vector) keep(t *testing.T, h *house, purpose authcore.Purpose, kept ceremony) string {
	t.Helper()
	kept.Session.Challenge = v.Challenge
	id, _, err := h.Ceremonies.keep(t.Context(), authcore.Binding{Purpose: purpose, Origin: kept.Session.Origin}, "", kept)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// A whole ceremony of Chromium: its client data has members that nobody compares.
func TestBrowserSamples(t *testing.T) {
	readVectors(t)
	dir := filepath.Join("..", "..", "..", "shared", "vectors", "webauthn", "browser")
	read := func(name string) (challenge string, response []byte) {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		var sample struct {
			Session  struct{ Challenge string }
			Response json.RawMessage
		}
		if err := json.Unmarshal(data, &sample); err != nil {
			t.Fatal(err)
		}
		return sample.Session.Challenge, sample.Response
	}
	const site = "http://localhost:34343"
	h := newHouse(t)
	v := vector{}
	v.Challenge, v.Response = read("sample-registration.json")
	h.RPID = "localhost"
	if err := v.register(t, h, site); err != nil {
		t.Fatal(err)
	}
	registered, err := h.store.CredentialsOf(t.Context(), "u")
	if err != nil || len(registered) != 1 {
		t.Fatal(registered, err)
	}
	v.StoredCredential.PublicKey = base64.RawURLEncoding.EncodeToString(h.record(t, registered[0]).PublicKey)
	v.Challenge, v.Response = read("sample-login.json")
	h = newHouse(t)
	h.RPID, h.UserVerification = "localhost", VerificationRequired
	if err := v.authenticate(t, h, site); err != nil {
		t.Error(err)
	}
}
