package passkey

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/go-webauthn/webauthn/protocol"

	"github.com/caddy-authgate/authgate/authcore/passkey/passkeytest"
)

// offered are the passkeys that options list.
func offered(tb testing.TB, begun Begun) []struct {
	Type, ID   string
	Transports []string
} {
	tb.Helper()
	var o struct {
		PublicKey struct {
			AllowCredentials []struct {
				Type, ID   string
				Transports []string
			}
		}
	}
	if err := json.Unmarshal(begun.Options, &o); err != nil {
		tb.Fatal(err)
	}
	return o.PublicKey.AllowCredentials
}

// shape is the paths of a JSON value, with the lengths of what is random left out.
func shape(v any, path string) []string {
	var all []string
	switch v := v.(type) {
	case map[string]any:
		for name, one := range v {
			all = append(all, shape(one, path+"."+name)...)
		}
	case []any:
		all = append(all, path+"[]")
		for _, one := range v {
			all = append(all, shape(one, path+"[]")...)
		}
	default:
		all = append(all, fmt.Sprintf("%s %T", path, v))
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Somebody asks for the passkeys of many names to learn who has an account, and who has passkeys.
func TestUnknownUsersLookAlike(t *testing.T) {
	h, a := newHouse(t), &passkeytest.Authenticator{Transports: []string{"internal"}}
	h.account(t, a)
	ways := map[string]Authenticating{
		"has a passkey": {Username: "user-a", UserID: "user-a"},
		"has none":      {Username: "bob", UserID: "user-b"},
		"unknown":       {Username: "nobody"},
	}
	var shapes [][]string
	for name, who := range ways {
		first, second := h.beginAuthentication(t, who), h.beginAuthentication(t, who)
		var o any
		if err := json.Unmarshal(first.Options, &o); err != nil {
			t.Fatal(err)
		}
		shapes = append(shapes, shape(o, ""))
		one, two := offered(t, first), offered(t, second)
		if len(one) == 0 || fmt.Sprint(one) != fmt.Sprint(two) {
			t.Errorf("%s: %v, then %v", name, one, two)
		}
		if len(first.ChallengeID) != len(second.ChallengeID) || challengeOf(t, first) == challengeOf(t, second) {
			t.Errorf("%s: %+v", name, first)
		}
	}
	if !slices.Equal(shapes[0], shapes[1]) || !slices.Equal(shapes[0], shapes[2]) {
		t.Errorf("%v", shapes)
	}
	if got := offered(t, h.beginAuthentication(t, ways["has a passkey"])); len(got) != 1 || got[0].ID != Key(a.Credentials[0].ID) {
		t.Errorf("%v", got)
	}
}

// What is made up stays the same through restarts and on all instances, and tells nothing to who lacks the secret.
func TestDecoys(t *testing.T) {
	secret := []byte("secret")
	text := func(secret []byte, rpID, username string) string {
		return fmt.Sprint(decoys(secret, rpID, username))
	}
	first := text(secret, "example.com", "nobody")
	if first != text(secret, "example.com", "Nobody") {
		t.Error("names are compared without case")
	}
	for _, other := range []string{
		text([]byte("other"), "example.com", "nobody"), text(secret, "example.net", "nobody"), text(secret, "example.com", "nobody2"),
		text(secret, "example.com\x00nobody", ""),
	} {
		if other == first {
			t.Error("not of this name")
		}
	}
	counts, sizes, ids := map[int]int{}, map[int]int{}, map[string]bool{}
	for i := range 2000 {
		made := decoys(secret, "example.com", fmt.Sprint("user", i))
		counts[len(made)]++
		for _, d := range made {
			sizes[len(d.CredentialID)]++
			ids[string(d.CredentialID)] = true
			if len(d.Transport) == 0 || d.Type != protocol.PublicKeyCredentialType || len(d.CredentialID) < minCredentialID {
				t.Errorf("%+v", d)
			}
		}
	}
	if counts[1] < 1300 || counts[2] < 300 || len(counts) != 2 || len(sizes) != 4 || len(ids) != counts[1]+2*counts[2] {
		t.Errorf("%v of sizes %v, %d ids", counts, sizes, len(ids))
	}
}

// Whatever is answered to a ceremony for a name that does not exist, or that has no passkeys, the refusal is the one of
// a wrong answer for a name that has some; and one's own passkey does not help.
func TestAnswersForUnknownUsers(t *testing.T) {
	h, mallory := newHouse(t), &passkeytest.Authenticator{}
	alice := &passkeytest.Authenticator{}
	h.account(t, alice)
	h.account(t, mallory)
	for name, who := range map[string]Authenticating{
		"has a passkey": {Username: "user-a", UserID: "user-a"},
		"has none":      {Username: "nobody", UserID: "user-z"},
		"unknown":       {Username: "nobody"},
	} {
		for _, id := range []string{"listed", "own", "made up"} {
			begun := h.beginAuthentication(t, who)
			c := *mallory.Credentials[0]
			switch id {
			case "listed":
				raw, err := base64.RawURLEncoding.DecodeString(offered(t, begun)[0].ID)
				if err != nil {
					t.Fatal(err)
				}
				c.ID, c.UserHandle = raw, nil
			case "made up":
				c.ID = make([]byte, 32)
			}
			response, err := mallory.Assert(&c, challengeOf(t, begun), origin)
			if err != nil {
				t.Fatal(err)
			}
			done, err := h.finish(t, begun, response)
			if !errors.Is(err, ErrInvalidAssertion) || errors.Is(err, ErrUnknownCredential) || done.UserID != "" {
				t.Errorf("%s, %s: %+v, %v", name, id, done, err)
			}
		}
	}
}

// The signature is checked for passkeys that are made up too: a refusal that comes sooner tells them from real ones.
func TestDecoysCostAsMuch(t *testing.T) {
	h, a := newHouse(t), &passkeytest.Authenticator{}
	begun := h.beginAuthentication(t, Authenticating{Username: "nobody"})
	key, err := passkeytest.NewKey(passkeytest.ES256)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := base64.RawURLEncoding.DecodeString(offered(t, begun)[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	response, err := a.Assert(&passkeytest.Credential{ID: raw, RPID: "app.example.com", Key: key}, challengeOf(t, begun), origin)
	if err != nil {
		t.Fatal(err)
	}
	if done, err := h.finish(t, begun, response); !errors.Is(err, ErrInvalidAssertion) || !strings.Contains(err.Error(), "decoy: Error validating the assertion signature") {
		t.Errorf("refused before the signature: %+v, %v", done, err)
	}
}

// Without a secret nothing can be made up, so nobody is answered with passkeys, and all sign in as without a name.
func TestNoSecret(t *testing.T) {
	h, a := newHouse(t), &passkeytest.Authenticator{}
	h.Secret = nil
	h.account(t, a)
	for _, who := range []Authenticating{{Username: "user-a", UserID: "user-a"}, {Username: "nobody"}} {
		begun := h.beginAuthentication(t, who)
		if got := offered(t, begun); got != nil {
			t.Errorf("%v", got)
		}
		if done, err := h.finish(t, begun, get(t, a, begun)); err != nil || done.UserID != "user-a" {
			t.Errorf("%+v, %v", done, err)
		}
	}
	h.Secret = func(context.Context) ([]byte, error) { return nil, nil }
	if begun, err := h.BeginAuthentication(t.Context(), Authenticating{Origin: origin, Username: "nobody"}); err == nil {
		t.Errorf("an empty secret: %s", begun.Options)
	}
}
