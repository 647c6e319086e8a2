package command

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
)

// User is an account.
type User struct {
	ID       string   `json:"id"`
	Username string   `json:"username"`
	Name     string   `json:"name"`
	Email    string   `json:"email"` // confirmed, or empty
	Roles    []string `json:"roles"` // those given and those granted in the configuration
	Methods  []Method `json:"methods"`
	Disabled bool     `json:"disabled"`
	// SuspendedUntil is when password sign-in is possible again after too many failures; absent where it is now.
	SuspendedUntil time.Time `json:"suspended_until,omitzero"`
	Created        time.Time `json:"created"`
}

// Method is one way in which a user can sign in.
type Method struct {
	Kind     string    `json:"kind"`           // "passkey", "wallet", "password" or "key"
	Name     string    `json:"name,omitempty"` // given by the user, or the address of a wallet, or a key
	Created  time.Time `json:"created"`
	LastUsed time.Time `json:"last_used,omitzero"`
}

// UserQuestion names an account.
type UserQuestion struct {
	// User is an id, a username, a confirmed e-mail address or a linked wallet.
	User string `json:"user"`
}

// askAboutUser asks a question about the user that an argument names.
func (e *endpoint) askAboutUser(c *cobra.Command, path, name string, answer any) error {
	err := e.ask(c, path, UserQuestion{User: name}, answer)
	if errors.Is(err, errNotThere) {
		return noSuchUser(name)
	}
	return err
}

func noSuchUser(name string) error {
	return &failure{exitNoSuchUser, fmt.Errorf("no account has the id, username, confirmed e-mail address or wallet %q", name)}
}

func userGroup(to *endpoint) *cobra.Command {
	return group(&cobra.Command{Use: "user", Short: "Shows and changes one account"}, userShow(to), userUnlock(to))
}
