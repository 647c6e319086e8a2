package command

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// UserListPath is where the endpoint lists users: a UserListQuestion, answered by UserList.
const UserListPath = "/authgate/user/list"

// UserListQuestion chooses users. An empty field chooses all.
type UserListQuestion struct {
	// Search is the beginning of a username, a word of a name, an e-mail address or a wallet's address, or an id.
	Search   string `json:"search,omitempty"`
	Role     string `json:"role,omitempty"`
	Disabled *bool  `json:"disabled,omitempty"`
	Order    string `json:"order,omitempty"` // "username" or "created"
	Reverse  bool   `json:"reverse,omitempty"`
	After    string `json:"after,omitempty"` // Next of the page before
	Limit    int    `json:"limit,omitempty"` // default 50
}

// UserList is a part of the list of users.
type UserList struct {
	Users []ListedUser `json:"users"`
	Next  string       `json:"next,omitempty"` // what to ask for further ones; absent: there are none
	Total int          `json:"total"`          // how many users there are at all; many may be an estimate
}

// ListedUser is a user in a list.
type ListedUser struct {
	ID       string    `json:"id"`
	Username string    `json:"username"`
	Name     string    `json:"name"`
	Email    string    `json:"email"`
	Roles    []string  `json:"roles"`
	Methods  []string  `json:"methods"`
	Disabled bool      `json:"disabled"`
	Created  time.Time `json:"created"`
	LastSeen time.Time `json:"last_seen,omitzero"`
}

func userList(to *endpoint) *cobra.Command {
	var (
		q                 UserListQuestion
		disabled, enabled bool
	)
	c := &cobra.Command{
		Use:   "list [<search>]",
		Short: "Lists users: those whose name, address or wallet begins so, or all",
		Long: `
Lists users, or those of whom the username, a word of the name, the e-mail
address or a wallet's address begins with <search>. Where there are more than
--limit, the last line tells how to go on.`,
		Example: `  caddy authgate user list
  caddy authgate user list ali --role editor
  caddy authgate user list --disabled --order created --reverse --json`,
		Args: cobra.MaximumNArgs(1),
		RunE: run(func(c *cobra.Command, args []string) error {
			q.Search = strings.Join(args, "")
			if disabled || enabled {
				q.Disabled = &disabled
			}
			var list UserList
			if err := to.ask(c, UserListPath, q, &list); err != nil {
				return err
			}
			return to.show(c, list, func(out io.Writer) { writeUsers(out, list) })
		}),
	}
	flags := c.Flags()
	flags.StringVar(&q.Role, "role", "", "Only who has this role")
	flags.BoolVar(&disabled, "disabled", false, "Only who is disabled")
	flags.BoolVar(&enabled, "enabled", false, "Only who is not disabled")
	flags.StringVar(&q.Order, "order", "", "By what the list is sorted: username (default) or created")
	flags.BoolVar(&q.Reverse, "reverse", false, "The last ones first")
	flags.StringVar(&q.After, "after", "", "Go on where an earlier list ended")
	flags.IntVar(&q.Limit, "limit", 50, "How many at most")
	c.MarkFlagsMutuallyExclusive("disabled", "enabled")
	return c
}

func writeUsers(out io.Writer, list UserList) {
	if len(list.Users) == 0 {
		fmt.Fprintln(out, "Nobody.")
		return
	}
	rows := make([][]string, len(list.Users))
	for i, u := range list.Users {
		state := ""
		if u.Disabled {
			state = "disabled"
		}
		rows[i] = []string{plain(u.Username), plain(u.Name), plain(u.Email), plainList(u.Roles), plainList(u.Methods), moment(u.LastSeen), state}
	}
	table(out, []string{"username", "name", "e-mail", "roles", "signs in with", "last seen", ""}, rows)
	fmt.Fprintln(out)
	fmt.Fprintln(out, strconv.Itoa(len(list.Users))+" of "+strconv.Itoa(list.Total)+" users")
	if list.Next != "" {
		fmt.Fprintln(out, "More: --after "+plain(list.Next))
	}
}
