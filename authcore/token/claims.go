package token

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/caddy-authgate/authgate/authcore"
)

// claims is what the tokens say. Those without omitempty are in every token; what an identity does not have is absent.
type claims struct {
	Issuer      string                    `json:"iss"`
	Audience    audience                  `json:"aud"`
	Subject     string                    `json:"sub"`
	ClientID    string                    `json:"client_id,omitempty"` // RFC 9068 section 2.2 demands it: the gateway itself is the client
	SessionID   string                    `json:"sid"`
	TokenID     string                    `json:"jti"`
	IssuedAt    int64                     `json:"iat"`
	NotBefore   int64                     `json:"nbf,omitempty"` // never written, but heeded
	Expires     int64                     `json:"exp"`
	AuthTime    int64                     `json:"auth_time,omitempty"` // in none but an assertion of a personal access token
	Roles       []string                  `json:"roles,omitempty"`
	Granted     []string                  `json:"granted,omitempty"` // of Roles, those that Issuer.Granted answered
	AMR         []string                  `json:"amr,omitempty"`
	Methods     []authcore.Method         `json:"methods,omitempty"`
	MethodTimes map[authcore.Method]int64 `json:"method_times,omitempty"`
	Verified    []authcore.Method         `json:"user_verified,omitempty"` // of Methods, those with MethodUse.UserVerified
	Bound       []authcore.Method         `json:"device_bound,omitempty"`  // of Methods, those with MethodUse.DeviceBound
	Username    string                    `json:"preferred_username,omitempty"`
	Name        string                    `json:"name,omitempty"`
	Email       string                    `json:"email,omitempty"`
	Wallets     []string                  `json:"wallets,omitempty"`
	Keys        []string                  `json:"keys,omitempty"`
}

// audience is one string where there is one, as most verifiers like it best, else an array (RFC 7519 section 4.1.3).
type audience []string

func (a audience) MarshalJSON() ([]byte, error) {
	if len(a) == 1 {
		return json.Marshal(a[0])
	}
	return json.Marshal([]string(a))
}

// identity answers who the claims of an access token are about.
func (c *claims) identity() *authcore.Identity {
	id := &authcore.Identity{
		Subject:   c.Subject,
		SessionID: c.SessionID,
		Username:  c.Username,
		Name:      c.Name,
		Email:     c.Email,
		Roles:     c.Roles,
		Wallets:   c.Wallets,
		Keys:      c.Keys,
	}
	for _, m := range c.Methods {
		id.Methods = append(id.Methods, authcore.MethodUse{
			Method: m, Time: time.Unix(c.MethodTimes[m], 0).UTC(),
			UserVerified: slices.Contains(c.Verified, m), DeviceBound: slices.Contains(c.Bound, m),
		})
	}
	return id
}

// parseClaims reads the claims of an access token, which encoding/json alone would read too kindly: names in any case,
// the last of duplicates, null for a number.
func parseClaims(payload []byte) (*claims, error) {
	m, err := parseMembers(payload)
	if err != nil {
		return nil, err
	}
	var c claims
	r := reader{members: m}
	c.Issuer = r.text("iss", required)
	c.Audience = r.audience("aud")
	c.Subject = r.text("sub", required)
	c.ClientID = r.text("client_id", required)
	c.SessionID = r.text("sid", required)
	c.TokenID = r.text("jti", required)
	c.IssuedAt = r.seconds("iat", required)
	c.NotBefore = r.seconds("nbf", optional)
	c.Expires = r.seconds("exp", required)
	c.AuthTime = r.seconds("auth_time", required)
	c.Roles = r.texts("roles", optional)
	c.Granted = r.texts("granted", optional)
	c.AMR = r.texts("amr", optional)
	for _, m := range r.texts("methods", required) {
		c.Methods = append(c.Methods, authcore.Method(m))
	}
	c.MethodTimes = r.methodTimes("method_times", c.Methods)
	c.Verified = r.methodsOf("user_verified", c.Methods)
	c.Bound = r.methodsOf("device_bound", c.Methods)
	c.Username = r.text("preferred_username", optional)
	c.Name = r.text("name", optional)
	c.Email = r.text("email", optional)
	c.Wallets = r.texts("wallets", optional)
	c.Keys = r.texts("keys", optional)
	if err := r.finish(); err != nil {
		return nil, err
	}
	return &c, c.check()
}

// check compares the times with each other: a token that contradicts itself is none of ours.
func (c *claims) check() error {
	latest := int64(0)
	for _, t := range c.MethodTimes {
		latest = max(latest, t)
	}
	switch {
	case c.AuthTime != latest:
		return errors.New("auth_time is not the latest of method_times")
	case c.AuthTime > c.IssuedAt:
		return errors.New("auth_time is after iat")
	// No eternal token, whatever signed it.
	case c.Expires <= c.IssuedAt || c.Expires-c.IssuedAt > int64(maxAccessTTL/time.Second):
		return errors.New("exp is not soon after iat")
	}
	return nil
}

type presence bool

const (
	required presence = true
	optional presence = false
)

// reader takes claims out of an object and keeps the first mistake.
type reader struct {
	members map[string]json.RawMessage
	read    []string
	err     error
}

func (r *reader) take(name string, p presence) (json.RawMessage, bool) {
	r.read = append(r.read, name)
	raw, found := r.members[name]
	if !found && p == required {
		r.fail(name, "is missing")
	}
	return raw, found
}

func (r *reader) fail(name, why string) {
	if r.err == nil {
		r.err = fmt.Errorf("claim %s %s", name, why)
	}
}

// text reads a string. An empty one is refused: an absent value is an absent claim.
func (r *reader) text(name string, p presence) string {
	raw, found := r.take(name, p)
	if !found {
		return ""
	}
	s, ok := parseText(raw)
	if !ok {
		r.fail(name, "is not a string with content")
	}
	return s
}

func (r *reader) texts(name string, p presence) []string {
	raw, found := r.take(name, p)
	if !found {
		return nil
	}
	list, ok := parseTexts(raw)
	if !ok {
		r.fail(name, "is not an array of strings with content")
	}
	return list
}

func (r *reader) audience(name string) []string {
	raw, found := r.take(name, required)
	if !found {
		return nil
	}
	if one, ok := parseText(raw); ok {
		return []string{one}
	}
	list, ok := parseTexts(raw)
	if !ok {
		r.fail(name, "is neither a string nor an array of strings")
	}
	return list
}

// seconds reads a whole number of seconds since 1970.
func (r *reader) seconds(name string, p presence) int64 {
	raw, found := r.take(name, p)
	if !found {
		return 0
	}
	t, ok := parseSeconds(raw)
	if !ok {
		r.fail(name, "is not a whole number of seconds")
	}
	return t
}

// methodTimes reads an object with a time for each of these methods and no other.
func (r *reader) methodTimes(name string, methods []authcore.Method) map[authcore.Method]int64 {
	raw, found := r.take(name, required)
	if !found {
		return nil
	}
	members, err := parseMembers(raw)
	times := make(map[authcore.Method]int64, len(methods))
	for _, m := range methods {
		t, ok := parseSeconds(members[string(m)])
		if !ok {
			r.fail(name, "lacks the time of a method")
		}
		times[m] = t
	}
	// Of unequal sizes where methods has one twice, or the object one more.
	if err != nil || len(members) != len(methods) || len(times) != len(methods) {
		r.fail(name, "does not belong to methods")
	}
	return times
}

// methodsOf reads a list, which may be absent, of some of these methods.
func (r *reader) methodsOf(name string, methods []authcore.Method) (some []authcore.Method) {
	for _, m := range r.texts(name, optional) {
		if !slices.Contains(methods, authcore.Method(m)) {
			r.fail(name, "names what is none of methods")
		}
		some = append(some, authcore.Method(m))
	}
	return some
}

// finish answers the first mistake. Claims with other names are ignored (RFC 7519 section 4), but not those that differ
// in case alone from one that was read: whoever compares names without case would read the token differently.
func (r *reader) finish() error {
	for name := range r.members {
		if !slices.Contains(r.read, name) && slices.ContainsFunc(r.read, func(n string) bool { return strings.EqualFold(n, name) }) {
			r.fail(name, "is written in another case")
		}
	}
	return r.err
}

// parseMembers reads one JSON object with nothing after it and no member twice.
func parseMembers(raw []byte) (map[string]json.RawMessage, error) {
	if !utf8.Valid(raw) {
		return nil, errors.New("not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("not a JSON object")
	}
	members := make(map[string]json.RawMessage)
	for d.More() {
		t, err := d.Token()
		name, ok := t.(string)
		if err != nil || !ok {
			return nil, errors.New("not a JSON object")
		}
		if _, twice := members[name]; twice {
			return nil, errors.New("a member twice")
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, errors.New("not a JSON object")
		}
		members[name] = value
	}
	if _, err := d.Token(); err != nil {
		return nil, errors.New("not a JSON object")
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("data after the JSON object")
	}
	return members, nil
}

// parseText reads a string with content. That refuses null too, which encoding/json takes for an empty one.
func parseText(raw json.RawMessage) (s string, ok bool) {
	err := json.Unmarshal(raw, &s)
	return s, err == nil && s != ""
}

// parseTexts reads an array of strings, at least one and each with content.
func parseTexts(raw json.RawMessage) (list []string, ok bool) {
	err := json.Unmarshal(raw, &list)
	return list, err == nil && len(list) > 0 && !slices.Contains(list, "")
}

// parseSeconds reads digits only: no sign, fraction or exponent, no null.
func parseSeconds(raw json.RawMessage) (int64, bool) {
	n, err := strconv.ParseUint(string(raw), 10, 63)
	return int64(n), err == nil
}
