package command

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
)

// ExplainPath is where the endpoint says what becomes of a request: an ExplainQuestion, answered by an Explained.
const ExplainPath = "/authgate/explain"

// ExplainQuestion asks what becomes of a request.
type ExplainQuestion struct {
	URL    string   `json:"url"`
	Method string   `json:"method,omitempty"` // default GET
	Client string   `json:"client,omitempty"` // an IP address
	User   string   `json:"user,omitempty"`   // as in UserQuestion; empty: nobody who is signed in
	With   []string `json:"with,omitempty"`   // sign-in methods that were used just now
}

// Explained says what becomes of a request at each gateway of its origin.
type Explained struct {
	Answers []Explanation `json:"answers"`
}

// Explanation says what becomes of a request at one gateway.
type Explanation struct {
	Origin  string `json:"origin"`
	Method  string `json:"method"`
	Path    string `json:"path"`             // as it is judged
	Verdict string `json:"verdict"`          // "allow", "sign_in", "step_up", "forbidden", "bad_path" or "own_route"
	Route   string `json:"route,omitempty"`  // of the gateway's own that answers
	Status  int    `json:"status,omitempty"` // of the refusal, as programs get it
	Code    string `json:"code,omitempty"`   // of the refusal
	// Rule is the place of the rule that decided, from 1 on; absent: none did.
	Rule            int           `json:"rule,omitempty"`
	Source          string        `json:"source,omitempty"`  // where it is written
	Text            string        `json:"text,omitempty"`    // what it says
	Reading         string        `json:"reading,omitempty"` // of the path, which decided
	Readings        []Reading     `json:"readings,omitempty"`
	FurtherReadings int           `json:"further_readings,omitempty"`
	With            []string      `json:"with,omitempty"`          // what step_up asks for
	Within          string        `json:"within,omitempty"`        // and how new it must be
	SignIn          string        `json:"sign_in,omitempty"`       // where a person is sent to sign in
	Preflight       string        `json:"preflight,omitempty"`     // the verdict on a CORS preflight that asks for the request
	TokenRefused    bool          `json:"token_refused,omitempty"` // a personal access token of who may, or may once that is confirmed, is refused
	User            *ExplainedFor `json:"user,omitempty"`
	Words           []string      `json:"words"` // all that in sentences
}

// Reading is how a backend might read a path.
type Reading struct {
	Text    string `json:"text"`
	Verdict string `json:"verdict"`
	Rule    int    `json:"rule,omitempty"` // from 1 on
}

// ExplainedFor is the user that the request would be of.
type ExplainedFor struct {
	ID       string   `json:"id"`
	Username string   `json:"username"`
	Roles    []string `json:"roles"`
}

func explain(to *endpoint) *cobra.Command {
	var q ExplainQuestion
	c := &cobra.Command{
		Use:   "explain [--user u] [--method m] [--client ip] [--with method] <url>",
		Short: "Says what becomes of a request: which rule decides, under which reading, and why",
		Long: `
Says what becomes of a request under the rules of the running configuration:
which rule decides, where it is written, under which reading of the path, and
why; where a person is sent to sign in, and what a personal access token and a
CORS preflight get. Nothing is requested.

Where there is one site only, a path is enough for a URL. Without --user, nobody
is signed in. --with says that the user has just signed in by that method, for
rules that ask for evidence.`,
		Example: `  caddy authgate explain https://app.example.com/admin/
  caddy authgate explain --user alice --method DELETE https://app.example.com/posts/7
  caddy authgate explain --user alice --with passkey --client 10.0.0.7 /vault`,
		Args: cobra.ExactArgs(1),
		RunE: run(func(c *cobra.Command, args []string) error {
			q.URL = args[0]
			var did Explained
			err := to.ask(c, ExplainPath, q, &did)
			if errors.Is(err, errNotThere) {
				return noSuchUser(q.User)
			}
			if err != nil {
				return err
			}
			return to.show(c, did, func(out io.Writer) {
				for i, e := range did.Answers {
					if i > 0 {
						fmt.Fprintln(out)
					}
					writeExplanation(out, e)
				}
			})
		}),
	}
	flags := c.Flags()
	flags.StringVarP(&q.User, "user", "u", "", "Who asks: an id, a username, a confirmed e-mail address or a linked wallet")
	flags.StringVarP(&q.Method, "method", "m", "", "HTTP method (default GET)")
	flags.StringVar(&q.Client, "client", "", "IP address of the client")
	flags.StringSliceVar(&q.With, "with", nil, "Sign-in method that was used just now: passkey, wallet, password or key")
	return c
}

func writeExplanation(out io.Writer, e Explanation) {
	verdict := strings.ReplaceAll(e.Verdict, "_", " ")
	if e.Status != 0 {
		verdict += fmt.Sprintf(" (%d %s)", e.Status, e.Code)
	}
	user, rule, readings, token := "nobody who is signed in", "", "", ""
	if e.TokenRefused {
		token = "forbidden (403)"
	}
	if e.User != nil {
		user = plain(e.User.Username)
		if len(e.User.Roles) > 0 {
			user += " (" + plainList(e.User.Roles) + ")"
		}
	}
	if e.Rule > 0 {
		rule = strconv.Itoa(e.Rule)
		if e.Source != "" {
			rule += " at " + plain(e.Source)
		}
	}
	if n := len(e.Readings) + e.FurtherReadings; n > 1 {
		readings = strconv.Itoa(n)
	}
	fields(
		out,
		"request", plain(e.Method)+" "+plain(e.Path),
		"site", plain(e.Origin),
		"user", user,
		"verdict", verdict,
		"own route", plain(e.Route),
		"rule", rule,
		"reading", plain(e.Reading),
		"readings", readings,
		"sign-in", plain(e.SignIn),
		"by token", token,
		"preflight", plain(strings.ReplaceAll(e.Preflight, "_", " ")),
	)
	if e.Text != "" {
		fmt.Fprintf(out, "\n\t%s\n", strings.ReplaceAll(plainLines(e.Text), "\n", "\n\t"))
	}
	fmt.Fprintln(out)
	for _, words := range e.Words {
		fmt.Fprintln(out, plain(words))
	}
}

// plainLines is plain line by line, indents aside.
func plainLines(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		inner := strings.TrimLeft(line, "\t")
		lines[i] = line[:len(line)-len(inner)] + plain(inner)
	}
	return strings.Join(lines, "\n")
}
