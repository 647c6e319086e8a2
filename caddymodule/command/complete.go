package command

import (
	"github.com/spf13/cobra"
)

// completions is how many names a shell is offered.
const completions = 30

// completeUser offers a shell the usernames that begin with what was typed so far. Where Caddy cannot be reached it offers
// none.
func (e *endpoint) completeUser(c *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	var list UserList
	if len(args) > 0 || e.ask(c, UserListPath, UserListQuestion{Search: typed, Limit: completions}, &list) != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	names := make([]cobra.Completion, len(list.Users))
	for i, u := range list.Users {
		names[i] = plain(u.Username)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
