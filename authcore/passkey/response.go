package passkey

import (
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode"

	"github.com/go-webauthn/webauthn/protocol"
)

// members are those of a response that are looked at. clientExtensionResults is not among them, so that nothing in it
// can matter, be it unasked for or malformed; what was asked for is read by credProps.
var members = [...]string{"id", "rawId", "type", "authenticatorAttachment", "response"}

// trim keeps the known members of a response, exactly as spelled.
func trim(response []byte) (trimmed []byte, extensions json.RawMessage, err error) {
	if len(response) > MaxResponse {
		return nil, nil, fmt.Errorf("longer than %d bytes", MaxResponse)
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(response, &all); err != nil {
		return nil, nil, err
	}
	kept := make(map[string]json.RawMessage, len(members))
	for _, name := range members {
		if value, ok := all[name]; ok {
			kept[name] = value
		}
	}
	trimmed, err = json.Marshal(kept)
	return trimmed, all["clientExtensionResults"], err
}

func parseAttestation(response []byte) (*protocol.ParsedCredentialCreationData, error) {
	trimmed, extensions, err := trim(response)
	if err != nil {
		return nil, err
	}
	parsed, err := protocol.ParseCredentialCreationResponseBytes(trimmed)
	if err != nil {
		return nil, err
	}
	parsed.ClientExtensionResults.CredProps = credProps(extensions)
	return parsed, nil
}

func parseAssertion(response []byte) (*protocol.ParsedCredentialAssertionData, error) {
	trimmed, _, err := trim(response)
	if err != nil {
		return nil, err
	}
	return protocol.ParseCredentialRequestResponseBytes(trimmed)
}

// credProps is the one output that is asked for: whether the passkey is discoverable. It is the client's word, kept to
// be shown, so anything odd is as good as nothing.
func credProps(extensions json.RawMessage) *protocol.CredentialPropertiesOutput {
	var outputs struct {
		CredProps *protocol.CredentialPropertiesOutput `json:"credProps"`
	}
	if json.Unmarshal(extensions, &outputs) != nil {
		return nil
	}
	return outputs.CredProps
}

// checkClientData compares what the browser signed with what it was asked (section 7.1 steps 7 to 9, 7.2 steps 10 to
// 12). The library does so too, but takes member names in any case and origins in any spelling that leads to the same
// host. Browsers write one spelling, so there is one reading.
func checkClientData(data []byte, kind protocol.CeremonyType, challenge, origin string) error {
	var said map[string]json.RawMessage
	if err := json.Unmarshal(data, &said); err != nil {
		return fmt.Errorf("client data: %w", err)
	}
	text := func(name string) (s string) {
		if json.Unmarshal(said[name], &s) != nil {
			return ""
		}
		return s
	}
	switch {
	case text("type") != string(kind):
		return errors.New("client data: of another kind of ceremony")
	case subtle.ConstantTimeCompare([]byte(text("challenge")), []byte(challenge)) != 1:
		return errors.New("client data: another challenge")
	case text("origin") != origin:
		return fmt.Errorf("client data: the origin is %.100q", text("origin"))
	}
	return nil
}

// refusal is a verdict for the log: what the library says to developers goes with it, but no challenge does, and none
// of it belongs into an answer.
func refusal(verdict, why error, challenge string) error {
	text := why.Error()
	var e *protocol.Error
	if errors.As(why, &e) {
		text = e.Details
		if e.DevInfo != "" {
			text += " (" + e.DevInfo + ")"
		}
	}
	if challenge != "" {
		text = strings.ReplaceAll(text, challenge, "…")
	}
	text = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, text)
	return fmt.Errorf("passkey: %.300s: %w", text, verdict)
}
