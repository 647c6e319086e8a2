package command

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// Where the endpoint lists personal access tokens, a UserQuestion answered by TokenList, and deletes them, a TokenEnd answered
// by TokensEnded.
const (
	TokenListPath   = "/authgate/token/list"
	TokenRevokePath = "/authgate/token/revoke"
)

// TokenList is the personal access tokens of a user.
type TokenList struct {
	User   User    `json:"user"`
	Tokens []Token `json:"tokens"`
}

// Token is a personal access token. What is zero is never.
type Token struct {
	ID       string    `json:"id"`
	Name     string    `json:"name"`
	Origin   string    `json:"origin"`
	Created  time.Time `json:"created"`
	Expires  time.Time `json:"expires,omitzero"`
	LastUsed time.Time `json:"last_used,omitzero"`
	Roles    []string  `json:"roles,omitzero"` // absent: all that its owner has
	Paths    []string  `json:"paths,omitempty"`
}

// TokenEnd names personal access tokens of a user: one, or all.
type TokenEnd struct {
	UserQuestion
	Token string `json:"token,omitempty"` // empty: all
}

// TokensEnded says how many were deleted.
type TokensEnded struct {
	User  User `json:"user"`
	Ended int  `json:"ended"`
}

func tokenGroup(to *endpoint) *cobra.Command {
	return group(&cobra.Command{Use: "token", Short: "Lists and revokes the personal access tokens of a user"}, tokenList(to), tokenRevoke(to))
}

func tokenList(to *endpoint) *cobra.Command {
	return &cobra.Command{
		Use: "list <user>", Short: "Lists the personal access tokens of a user", Example: `  caddy authgate token list alice@example.com`,
		Args: cobra.ExactArgs(1), ValidArgsFunction: to.completeUser,
		RunE: run(func(c *cobra.Command, args []string) error {
			var list TokenList
			if err := to.askAboutUser(c, TokenListPath, args[0], &list); err != nil {
				return err
			}
			return to.show(c, list, func(out io.Writer) {
				if len(list.Tokens) == 0 {
					fmt.Fprintf(out, "%s has no personal access tokens.\n", plain(list.User.Username))
					return
				}
				rows := make([][]string, len(list.Tokens))
				for i, t := range list.Tokens {
					roles := "all"
					if t.Roles != nil {
						roles = plainList(t.Roles)
					}
					rows[i] = []string{plain(t.ID), clip(plain(t.Name)), plain(t.Origin), orNever(t.LastUsed), orNever(t.Expires), roles, clip(plain(strings.Join(t.Paths, " ")))}
				}
				table(out, []string{"id", "name", "site", "last used", "expires", "roles", "paths"}, rows)
			})
		}),
	}
}

func orNever(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return moment(t)
}

func tokenRevoke(to *endpoint) *cobra.Command {
	var all bool
	c := &cobra.Command{
		Use:   "revoke <user> (<token-id> | --all)",
		Short: "Deletes one personal access token of a user or all",
		Example: `  caddy authgate token revoke alice@example.com --all
  caddy authgate token revoke alice@example.com 5f1c9a0e7d3b42f8a6c1e09b7d5f3a21`,
		Args: cobra.RangeArgs(1, 2), ValidArgsFunction: to.completeUser,
		RunE: run(func(c *cobra.Command, args []string) error {
			if all == (len(args) == 2) {
				return errors.New("write the id of one token, as token list tells it, or --all")
			}
			end := TokenEnd{UserQuestion: UserQuestion{args[0]}}
			if !all {
				end.Token = args[1]
			}
			var did TokensEnded
			if err := to.askOf(c, TokenRevokePath, args[0], end, &did); err != nil {
				return err
			}
			return to.show(c, did, func(out io.Writer) {
				if did.Ended == 1 {
					fmt.Fprintf(out, "One personal access token of %s is deleted.\n", plain(did.User.Username))
					return
				}
				fmt.Fprintf(out, "%d personal access tokens of %s are deleted.\n", did.Ended, plain(did.User.Username))
			})
		}),
	}
	c.Flags().BoolVar(&all, "all", false, "All tokens of the user")
	return c
}
