package gateway

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/caddy-authgate/authgate/authcore"
)

// preset is what another gateway tells its backends, by the same names and in the same form. What a client sends under one of
// those names, or one of the others that this gateway uses, is removed.
type preset struct {
	headers  []Header
	names    []string // further names that its backends may believe
	families []string // how further ones begin
}

// defaultPreset is the name of the headers that there are where no preset is chosen.
const defaultPreset = "authgate"

// presets are the presets by name. Each is what the documents, or where those are silent the source, of its gateway say.
var presets = map[string]preset{
	defaultPreset: {headers: defaultHeaders},
	// "Trusted Header SSO", response headers.
	"authelia": {headers: []Header{
		{Name: "Remote-User", Value: "{username}"},
		{Name: "Remote-Groups", Value: "{roles}"},
		{Name: "Remote-Name", Value: "{name}"},
		{Name: "Remote-Email", Value: "{email}"},
	}},
	// pass_user_headers, and set_xauthrequest for those who had it beside another proxy.
	"oauth2-proxy": {
		headers: []Header{
			{Name: "X-Forwarded-User", Value: "{username}"},
			{Name: "X-Forwarded-Groups", Value: "{roles}"},
			{Name: "X-Forwarded-Email", Value: "{email}"},
			{Name: "X-Forwarded-Preferred-Username", Value: "{username}"},
			{Name: "X-Auth-Request-User", Value: "{username}"},
			{Name: "X-Auth-Request-Groups", Value: "{roles}"},
			{Name: "X-Auth-Request-Email", Value: "{email}"},
			{Name: "X-Auth-Request-Preferred-Username", Value: "{username}"},
		},
		names:    []string{"X-Forwarded-Access-Token"},
		families: []string{"X-Auth-Request-"},
	},
	// "Proxy provider", headers sent to upstream applications; those about its outposts have no meaning here.
	"authentik": {
		headers: []Header{
			{Name: "X-Authentik-Username", Value: "{username}"},
			{Name: "X-Authentik-Groups", Value: "{roles by pipes}"},
			{Name: "X-Authentik-Email", Value: "{email}"},
			{Name: "X-Authentik-Name", Value: "{name}"},
			{Name: "X-Authentik-Uid", Value: "{subject}"},
			{Name: "X-Authentik-Jwt", Value: assertionValue},
			{Name: "X-Authentik-Meta-Jwks", Value: "{jwks}"},
		},
		families: []string{"X-Authentik-"},
	},
	// "Pass Identity Headers", with jwt_claims_headers for the claims that there always are.
	"pomerium": {
		headers: []Header{
			{Name: "X-Pomerium-Jwt-Assertion", Value: assertionValue},
			{Name: "X-Pomerium-Claim-Sub", Value: "{subject}"},
			{Name: "X-Pomerium-Claim-User", Value: "{subject}"},
			{Name: "X-Pomerium-Claim-Email", Value: "{email}"},
			{Name: "X-Pomerium-Claim-Name", Value: "{name}"},
			{Name: "X-Pomerium-Claim-Groups", Value: "{roles}"},
		},
		families: []string{"X-Pomerium-"},
	},
	// "Validate JWTs".
	"cloudflare": {
		headers: []Header{
			{Name: "Cf-Access-Jwt-Assertion", Value: assertionValue},
			{Name: "Cf-Access-Authenticated-User-Email", Value: "{email}"},
		},
		families: []string{"Cf-Access-"},
	},
	// "Configure auth proxy authentication".
	"grafana": {
		headers: []Header{
			{Name: "X-Webauth-User", Value: "{username}"},
			{Name: "X-Webauth-Name", Value: "{name}"},
			{Name: "X-Webauth-Email", Value: "{email}"},
			{Name: "X-Webauth-Groups", Value: "{roles}"},
			{Name: "X-Webauth-Role", Value: "{role of grafana}"},
		},
		families: []string{"X-Webauth-"},
	},
}

// Presets answers the names that Site.Preset may have.
func Presets() []string { return slices.Sorted(maps.Keys(presets)) }

// PresetHeaders answers the names of the headers that a preset sends, the default ones where name is empty; nil where there
// is no such preset.
func PresetHeaders(name string) []string {
	if name == "" {
		name = defaultPreset
	}
	var names []string
	for _, h := range presets[name].headers {
		names = append(names, h.Name)
	}
	return names
}

// preset answers the headers that stand in the configuration by one name, or by none.
func (s Site) preset() (preset, error) {
	switch {
	case s.Preset != "" && s.NoDefaultHeaders:
		return preset{}, fmt.Errorf("gateway: headers: the preset %s, and off: write one of them", s.Preset)
	case s.NoDefaultHeaders:
		return preset{}, nil
	case s.Preset == "":
		return presets[defaultPreset], nil
	}
	p, ok := presets[s.Preset]
	if !ok {
		return p, fmt.Errorf("gateway: headers: unknown preset %q; known are: %s", s.Preset, strings.Join(Presets(), ", "))
	}
	return p, nil
}

// fields are the placeholders of presets: those for everybody, and those in a form of one gateway.
func (preset) fields(jwks string) map[string]func(*authcore.Identity) string {
	f := maps.Clone(placeholders)
	f["roles by pipes"] = func(id *authcore.Identity) string { return strings.Join(id.Roles, "|") }
	f["role of grafana"] = grafanaRole
	f["jwks"] = func(*authcore.Identity) string { return jwks }
	return f
}

// grafanaRole answers the highest of Grafana's organization roles that an identity has by name.
func grafanaRole(id *authcore.Identity) string {
	for _, known := range []string{"Admin", "Editor", "Viewer"} {
		if slices.ContainsFunc(id.Roles, func(role string) bool { return strings.EqualFold(role, known) }) {
			return known
		}
	}
	return ""
}
