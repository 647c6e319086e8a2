package command

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
)

// Where the endpoint lists sessions, a UserQuestion answered by SessionList, and ends them, a SessionEnd answered by
// SessionsEnded.
const (
	SessionListPath = "/authgate/session/list"
	SessionEndPath  = "/authgate/session/end"
)

// SessionList is where a user is signed in.
type SessionList struct {
	User     User      `json:"user"`
	Sessions []Session `json:"sessions"`
}

// Session is one sign-in on one device.
type Session struct {
	ID        string    `json:"id"`
	Origin    string    `json:"origin"`
	Created   time.Time `json:"created"`
	LastSeen  time.Time `json:"last_seen"`
	Expires   time.Time `json:"expires"`
	ClientIP  string    `json:"client_ip"`
	UserAgent string    `json:"user_agent"`
	Methods   []string  `json:"methods"`
}

// SessionEnd names sessions of a user: one, or all.
type SessionEnd struct {
	UserQuestion
	Session string `json:"session,omitempty"` // empty: all
}

// SessionsEnded says how many were ended.
type SessionsEnded struct {
	User  User `json:"user"`
	Ended int  `json:"ended"`
}

func sessionGroup(to *endpoint) *cobra.Command {
	return group(&cobra.Command{Use: "session", Short: "Lists and ends the sessions of a user"}, sessionList(to), sessionEnd(to))
}

func sessionList(to *endpoint) *cobra.Command {
	return &cobra.Command{
		Use: "list <user>", Short: "Lists where a user is signed in", Example: `  caddy authgate session list alice@example.com`,
		Args: cobra.ExactArgs(1), ValidArgsFunction: to.completeUser,
		RunE: run(func(c *cobra.Command, args []string) error {
			var list SessionList
			if err := to.askAboutUser(c, SessionListPath, args[0], &list); err != nil {
				return err
			}
			return to.show(c, list, func(out io.Writer) {
				if len(list.Sessions) == 0 {
					fmt.Fprintf(out, "%s is not signed in anywhere.\n", plain(list.User.Username))
					return
				}
				rows := make([][]string, len(list.Sessions))
				for i, s := range list.Sessions {
					rows[i] = []string{plain(s.ID), plain(s.Origin), moment(s.LastSeen), moment(s.Expires), plain(s.ClientIP), plainList(s.Methods), clip(plain(s.UserAgent))}
				}
				table(out, []string{"id", "site", "last seen", "expires", "client", "signed in with", "browser or program"}, rows)
			})
		}),
	}
}

func sessionEnd(to *endpoint) *cobra.Command {
	var all bool
	c := &cobra.Command{
		Use:   "end <user> (<session-id> | --all)",
		Short: "Signs a user out on one device or on all",
		Example: `  caddy authgate session end alice@example.com --all
  caddy authgate session end alice@example.com nZ9Rg4jgeGhgGYXbzlq1Mw`,
		Args: cobra.RangeArgs(1, 2), ValidArgsFunction: to.completeUser,
		RunE: run(func(c *cobra.Command, args []string) error {
			if all == (len(args) == 2) {
				return errors.New("write the id of one session, as session list tells it, or --all")
			}
			end := SessionEnd{UserQuestion: UserQuestion{args[0]}}
			if !all {
				end.Session = args[1]
			}
			var did SessionsEnded
			if err := to.askOf(c, SessionEndPath, args[0], end, &did); err != nil {
				return err
			}
			return to.show(c, did, func(out io.Writer) {
				if did.Ended == 1 {
					fmt.Fprintf(out, "One session of %s has ended.\n", plain(did.User.Username))
					return
				}
				fmt.Fprintf(out, "%d sessions of %s have ended.\n", did.Ended, plain(did.User.Username))
			})
		}),
	}
	c.Flags().BoolVar(&all, "all", false, "All sessions of the user")
	return c
}
