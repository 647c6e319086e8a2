package caddymodule

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-authgate/authgate/authcore/gateway"
	"github.com/caddy-authgate/authgate/authcore/passkey"
)

// config is what the gateway takes the options for: nil where passkeys are off.
func (o *PasskeyOptions) config() (*gateway.PasskeyConfig, error) {
	if o == nil {
		return &gateway.PasskeyConfig{}, nil
	}
	if o.Off {
		return nil, nil
	}
	c := &gateway.PasskeyConfig{
		RPID: o.RPID, RPName: o.RPName, RelatedOrigins: o.RelatedOrigins,
		UserVerification: passkey.UserVerification(o.UserVerification), Attestation: passkey.Attestation(o.Attestation),
		ChallengeTTL: time.Duration(o.ChallengeTTL), Required: true,
	}
	if strings.Contains(o.RPName, "{") {
		return nil, fmt.Errorf("rp_name %q: placeholders are not replaced here; write the name itself, or {$NAME} in the Caddyfile", o.RPName)
	}
	switch o.Synced {
	case "", "allow":
	case "forbid":
		c.ForbidSynced = true
	default:
		return nil, fmt.Errorf("synced %q is not known; write: synced allow | forbid", o.Synced)
	}
	var err error
	if c.AllowAAGUIDs, err = parseAAGUIDs(o.AllowAAGUIDs); err != nil {
		return nil, err
	}
	c.RefuseAAGUIDs, err = parseAAGUIDs(o.RefuseAAGUIDs)
	return c, err
}

func parseAAGUIDs(texts []string) ([]passkey.AAGUID, error) {
	var all []passkey.AAGUID
	for _, text := range texts {
		one, err := passkey.ParseAAGUID(text)
		if err != nil {
			return nil, err
		}
		if slices.Contains(all, one) {
			return nil, fmt.Errorf("aaguid %s is named twice; name it once", one)
		}
		all = append(all, one)
	}
	return all, nil
}

func (a *App) parsePasskey(d *caddyfile.Dispenser, args []string) error {
	a.Passkey = new(PasskeyOptions)
	o := a.Passkey
	if len(args) == 1 {
		if args[0] != "off" {
			return d.Errf("unknown %q; write: passkey off, or passkey and a block of options", args[0])
		}
		o.Off = true
		if d.NextBlock(d.Nesting()) {
			return d.Errf("passkey is off and so has no options")
		}
		return nil
	}
	// Related origins need an rp_id, which may be written after them, so they are checked at the end.
	var related []string
	var relatedAt *caddyfile.Dispenser
	err := parseBlock(d, "passkey", []option{
		textOption("rp_id <domain>", &o.RPID).checked(a.check),
		textOption("rp_name <name>", &o.RPName).checked(a.check),
		textOption("user_verification required | preferred", &o.UserVerification).checked(a.check),
		textOption("attestation none | direct", &o.Attestation).checked(a.check),
		textOption("synced allow | forbid", &o.Synced).checked(a.check),
		option{usage: "aaguid allow | refuse <AAGUID>...", min: 2, max: -1, repeat: true, parse: o.parseAAGUID}.checked(a.check),
		durationOption("challenge_ttl", &o.ChallengeTTL).checked(a.check),
		listOption("related_origins https://<host>...", &related).notingPlace(&relatedAt),
	})
	if err != nil || related == nil {
		return err
	}
	o.RelatedOrigins = related
	if err := a.check(); err != nil {
		return relatedAt.WrapErr(err)
	}
	return nil
}

func (o *PasskeyOptions) parseAAGUID(d *caddyfile.Dispenser, args []string) error {
	switch args[0] {
	case "allow":
		o.AllowAAGUIDs = append(o.AllowAAGUIDs, args[1:]...)
	case "refuse":
		o.RefuseAAGUIDs = append(o.RefuseAAGUIDs, args[1:]...)
	default:
		return d.Errf("unknown %q; write: aaguid allow <AAGUID>..., or aaguid refuse <AAGUID>...", args[0])
	}
	return nil
}
