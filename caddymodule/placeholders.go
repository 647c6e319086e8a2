package caddymodule

import (
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-authgate/authgate/authcore"
)

// identified puts who a request is where the rest of Caddy looks for it.
func identified(r *http.Request, id *authcore.Identity) {
	repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	if !ok {
		return
	}
	// What another handler said before would win over the function below.
	repl.DeleteByPrefix(userPlaceholder)
	repl.Map(func(key string) (any, bool) {
		field, ok := strings.CutPrefix(key, userPlaceholder)
		if !ok {
			return nil, false
		}
		// A field that is not known is empty too: left as it stands, the placeholder itself would pass for a user.
		return userField(id, field), true
	})
}

const userPlaceholder = "http.auth.user."

func userField(id *authcore.Identity, field string) string {
	if id == nil {
		return ""
	}
	switch field {
	case "id", "username":
		return id.Username
	case "subject":
		return id.Subject
	case "name":
		return id.Name
	case "email":
		return id.Email
	case "roles":
		return strings.Join(id.Roles, ",")
	case "wallet":
		if len(id.Wallets) > 0 {
			return id.Wallets[0]
		}
	case "methods":
		names := make([]string, len(id.Methods))
		for i, use := range id.Methods {
			names[i] = string(use.Method)
		}
		return strings.Join(names, ",")
	}
	return ""
}
