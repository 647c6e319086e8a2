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
	// ChainRoles are those that depend on what is on a chain, also those that the account has not at this moment.
	ChainRoles []ChainRole `json:"chain_roles,omitempty"`
	Disabled   bool        `json:"disabled"`
	// SuspendedUntil is when password sign-in is possible again after too many failures; absent where it is now.
	SuspendedUntil time.Time `json:"suspended_until,omitzero"`
	Created        time.Time `json:"created"`
}

// ChainRole is a role that depends on what is on a chain.
type ChainRole struct {
	Role    string `json:"role"`
	Holding string `json:"holding"` // what a wallet must have, as in the configuration
	Has     bool   `json:"has"`     // false also where the chain could not be asked
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
	return e.askOf(c, path, name, UserQuestion{User: name}, answer)
}

// askOf asks a question in which that user stands.
func (e *endpoint) askOf(c *cobra.Command, path, name string, question, answer any) error {
	err := e.ask(c, path, question, answer)
	if errors.Is(err, errNotThere) {
		return noSuchUser(name)
	}
	return err
}

func noSuchUser(name string) error {
	return &failure{exitNoSuchUser, fmt.Errorf("no account has the id, username, confirmed e-mail address or wallet %q", name)}
}

func userGroup(to *endpoint) *cobra.Command {
	return group(
		&cobra.Command{Use: "user", Short: "Shows and changes accounts"},
		userList(to), userShow(to), userDisable(to), userEnable(to), userDelete(to), userUnlock(to),
	)
}
