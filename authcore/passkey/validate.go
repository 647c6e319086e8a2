package passkey

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/go-webauthn/webauthn/protocol"
	"golang.org/x/net/publicsuffix"
)

// Validate reports a configuration with which no browser would run a ceremony on one of these origins, and says what to
// write instead.
func (c *Ceremonies) Validate(origins ...string) error {
	switch {
	case c.TTL < 0:
		return errors.New("passkey: the life of a challenge is negative")
	case c.UserVerification != "" && c.UserVerification != VerificationRequired && c.UserVerification != VerificationPreferred:
		return fmt.Errorf("passkey: user verification %q: write required or preferred", c.UserVerification)
	case c.Attestation != "" && c.Attestation != AttestationNone && c.Attestation != AttestationDirect:
		return fmt.Errorf("passkey: attestation %q: write none or direct", c.Attestation)
	}
	for _, a := range c.AllowAAGUIDs {
		if slices.Contains(c.RefuseAAGUIDs, a) {
			return fmt.Errorf("passkey: AAGUID %s is both allowed and refused", a)
		}
	}
	if c.RPID != "" {
		if err := checkRPID(c.RPID); err != nil {
			return fmt.Errorf("passkey: rp_id %q: %w", c.RPID, err)
		}
	}
	for _, origin := range slices.Concat(origins, c.RelatedOrigins) {
		if err := c.checkOrigin(origin); err != nil {
			return fmt.Errorf("passkey: origin %q: %w", origin, err)
		}
	}
	if len(c.RelatedOrigins) > 0 {
		_, err := c.WellKnown()
		return err
	}
	return nil
}

// WellKnown is the document that the host RPID has to serve at https://<RPID>/.well-known/webauthn, as application/json,
// so that browsers run ceremonies on RelatedOrigins (section 5.11).
func (c *Ceremonies) WellKnown() ([]byte, error) {
	if c.RPID == "" {
		return nil, errors.New("passkey: related origins need an rp_id that they are related to; write rp_id example.com")
	}
	related, err := protocol.NewRelatedOriginsWithLabeler(registrableLabel, c.RelatedOrigins...)
	if err != nil {
		return nil, fmt.Errorf("passkey: related origins: %w", err)
	}
	return json.Marshal(related)
}

// registrableLabel is what browsers count: the label before the public suffix.
func registrableLabel(origin string) (string, error) {
	u, err := url.Parse(origin)
	if err != nil {
		return "", err
	}
	domain, err := publicsuffix.EffectiveTLDPlusOne(u.Hostname())
	if err != nil {
		return "", err
	}
	label, _, _ := strings.Cut(domain, ".")
	return label, nil
}

// checkRPID wants a domain in the one spelling that browsers compare with (section 5.1.2, "valid domain string").
func checkRPID(id string) error {
	host := id
	if u, err := url.Parse(id); err == nil && u.Host != "" {
		host = u.Host
	}
	host, _, _ = strings.Cut(host, "/")
	if name, port, ok := strings.Cut(host, ":"); ok && !strings.Contains(port, ":") {
		host = name
	}
	if fixed := strings.ToLower(strings.TrimSuffix(host, ".")); fixed != id && fixed != "" && checkRPID(fixed) == nil {
		return fmt.Errorf("is not the bare name of a host in lower case; write rp_id %s", fixed)
	}
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return errors.New("browsers have no passkeys for IP addresses; write the name of a host, rp_id example.com (on this machine: localhost)")
	}
	for _, r := range id {
		switch {
		case r > 0x7e:
			return errors.New("is not ASCII; write it in the xn-- form")
		case !strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789-_.", r):
			return errors.New("is not the name of a host; write it without anything else, rp_id example.com")
		}
	}
	if id != "localhost" && !strings.Contains(id, ".") {
		return errors.New("is a name without a dot; write the full name of the host, rp_id auth.example.com (on this machine: localhost)")
	}
	if err := protocol.ValidateRPID(id); err != nil {
		return fmt.Errorf("%w; write the name of a host, rp_id example.com", err)
	}
	return nil
}

// checkOrigin: the origin is a secure context, and the relying party is its host or a domain above (section 5.1.2 step
// 8, HTML's "is a registrable domain suffix of or is equal to").
func (c *Ceremonies) checkOrigin(origin string) error {
	u, err := url.Parse(origin)
	if err != nil || u.Hostname() == "" || u.Scheme+"://"+u.Host != origin || strings.ToLower(origin) != origin ||
		u.Scheme == "https" && u.Port() == "443" || u.Scheme == "http" && u.Port() == "80" {
		return errors.New("write it as the browser shows it, https://app.example.com")
	}
	host := u.Hostname()
	local := host == "localhost" || strings.HasSuffix(host, ".localhost")
	related := slices.Contains(c.RelatedOrigins, origin)
	id := c.RelyingPartyID(origin)
	below := strings.HasSuffix(host, "."+id)
	if _, err := netip.ParseAddr(host); err == nil {
		return errors.New("browsers have no passkeys for IP addresses; use the name of a host, https://app.example.com (on this machine: http://localhost), or write passkey off")
	}
	switch {
	case u.Scheme != "https" && (u.Scheme != "http" || !local):
		return fmt.Errorf("browsers have passkeys over https only; write https://%s, or passkey off", u.Host)
	case host == id:
		if err := checkRPID(id); err != nil {
			return fmt.Errorf("as rp_id: %w", err)
		}
		return nil
	case related && u.Scheme != "https":
		return fmt.Errorf("a related origin is one over https; write https://%s", u.Host)
	case related:
		return nil
	case !below:
		return fmt.Errorf("is neither rp_id %s nor below it; write rp_id %s, or leave rp_id out", id, host)
	}
	// localhost is a public suffix too, to browsers: x.localhost has no passkeys of localhost.
	if suffix, _ := publicsuffix.PublicSuffix(id); suffix == id {
		return fmt.Errorf("rp_id %s is a public suffix, which no site may speak for; write rp_id %s, or leave rp_id out", id, host)
	}
	return nil
}
