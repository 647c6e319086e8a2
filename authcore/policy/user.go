package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/caddy-authgate/authgate/authcore"
)

// addUser enters one of the rule's users. Its form says what it is, and it counts as that only: an e-mail address is
// never looked for among usernames, where it may have stayed after the account's address changed.
func (c *compiled) addUser(user string) error {
	name := lowerASCII(user)
	list := &c.usernames
	if isKey(user) {
		name, list = user, &c.keys
	}
	switch {
	case list == &c.keys:
	case user == "":
		return fmt.Errorf("a user is empty; write a username, an e-mail address or a wallet address")
	case strings.Contains(user, "@"):
		local, domain, _ := strings.Cut(user, "@")
		if local == "" || domain == "" || strings.ContainsAny(user, " \t\r\n") || strings.Contains(domain, "@") {
			return fmt.Errorf("user %q is not an e-mail address; write one such as alice@example.com", user)
		}
		list = &c.emails
	case strings.HasPrefix(name, "eip155:"):
		chain, address, _ := strings.Cut(name[len("eip155:"):], ":")
		if !isChain(chain) || !isAddress(address) {
			return fmt.Errorf("user %q is not a contract wallet; write eip155:<chain id>:0x and 40 hex digits", user)
		}
		list = &c.wallets
	case isAddress(name):
		list = &c.wallets
	case strings.HasPrefix(name, "0x") && len(name) >= 20:
		// It would be a username, which anybody could choose.
		return fmt.Errorf("user %q looks like a wallet address and is none; write 0x and 40 hex digits", user)
	case !authcore.ValidUsername(name):
		return fmt.Errorf("user %q is neither a username (a–z 0–9 . _ -), an e-mail address nor a wallet address (0x and 40 hex digits)", user)
	}
	if slices.Contains(*list, name) {
		return fmt.Errorf("user %q is named twice; name them once", user)
	}
	*list = append(*list, name)
	return nil
}

// admits reports whether the rule is for this user.
func (c *compiled) admits(id *authcore.Identity) bool {
	if c.signedIn {
		return true
	}
	for _, role := range id.Roles {
		if slices.Contains(c.roles, role) {
			return true
		}
	}
	if containsFold(c.usernames, id.Username) || containsFold(c.emails, id.Email) {
		return true
	}
	// A contract wallet has its chain in the key: its address alone is another account, of whoever has the key of that
	// address, or deployed a contract to it on another chain.
	for _, wallet := range id.Wallets {
		if containsFold(c.wallets, wallet) || slices.Contains(c.keys, wallet) {
			return true
		}
	}
	for _, key := range id.Keys {
		if slices.Contains(c.keys, key) {
			return true
		}
	}
	return false
}

// isKey reports whether a user is named by the key of a Solana wallet or of a program, whose case counts.
func isKey(user string) bool {
	for _, kind := range []string{"solana:", "ed25519:", "ml-dsa-65:"} {
		if name, ok := strings.CutPrefix(user, kind); ok && name != "" {
			return !strings.ContainsFunc(name, func(r rune) bool {
				return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
			})
		}
	}
	return false
}

// containsFold reports whether the list, in lower case, has s. Only ASCII letters are folded: in Unicode folding the
// address "ſam@example.com" would be that of sam.
func containsFold(list []string, s string) bool {
	for _, entry := range list {
		if equalFoldASCII(entry, s) {
			return true
		}
	}
	return false
}

func equalFoldASCII(lower, s string) bool {
	if len(lower) != len(s) {
		return false
	}
	for i := range len(s) {
		if lower[i] != lowerByte(s[i]) {
			return false
		}
	}
	return true
}

func lowerASCII(s string) string {
	b := []byte(s)
	for i, c := range b {
		b[i] = lowerByte(c)
	}
	return string(b)
}

func lowerByte(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// isChain reports whether s is a chain id as it stands in a credential key: decimal, without leading zeros.
func isChain(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != "" && s[0] != '0'
}

func isAddress(lower string) bool {
	if len(lower) != 42 || lower[:2] != "0x" {
		return false
	}
	for i := 2; i < len(lower); i++ {
		if !isHex(lower[i]) {
			return false
		}
	}
	return true
}
