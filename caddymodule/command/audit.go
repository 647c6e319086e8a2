package command

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// Where the endpoint tells events, an AuditQuestion answered by AuditLog, and proves their chain, an AuditProof answered by
// AuditReport.
const (
	AuditPath       = "/authgate/audit"
	AuditVerifyPath = "/authgate/audit/verify"
)

// AuditQuestion chooses events. An empty field chooses all.
type AuditQuestion struct {
	User   string    `json:"user,omitempty"` // of or by this user, as in UserQuestion
	Kinds  []string  `json:"kinds,omitempty"`
	Client string    `json:"client,omitempty"` // an IP address
	Since  time.Time `json:"since,omitzero"`
	Until  time.Time `json:"until,omitzero"`
	Before int64     `json:"before,omitempty"` // with a smaller number
	Limit  int       `json:"limit,omitempty"`  // default 100
}

// AuditLog is events, the newest first.
type AuditLog struct {
	Events []AuditEvent `json:"events"`
	Next   int64        `json:"next,omitempty"` // the Before of the next page; absent: there is none
}

// AuditEvent is an entry of the audit log.
type AuditEvent struct {
	Number    int64     `json:"number"`
	Time      time.Time `json:"time"`
	Kind      string    `json:"kind"`
	Code      string    `json:"code,omitempty"`
	Subject   string    `json:"subject,omitempty"` // the id of the user it is about
	Actor     string    `json:"actor,omitempty"`   // the id of who did it, or "operator"
	SessionID string    `json:"session_id,omitempty"`
	Origin    string    `json:"origin,omitempty"`
	Client    string    `json:"client,omitempty"`
	UserAgent string    `json:"user_agent,omitempty"`
	Detail    string    `json:"detail,omitempty"`
	Erased    bool      `json:"erased,omitempty"` // what is personal was erased with its user
	Hash      string    `json:"hash"`
}

// AuditProof asks whether the chain holds, and still has the event that was its head once.
type AuditProof struct {
	Number int64  `json:"number,omitempty"`
	Hash   string `json:"hash,omitempty"`
}

// AuditReport says what a look through the whole log found.
type AuditReport struct {
	Holds   bool   `json:"holds"`
	Broken  int64  `json:"broken,omitempty"` // the number of the first event with which something is wrong
	Why     string `json:"why,omitempty"`
	Events  int64  `json:"events"`
	Erased  int64  `json:"erased,omitempty"`  // of them, without what was personal
	Waiting int    `json:"waiting,omitempty"` // written within the last second, and not in the chain yet
	Deleted int64  `json:"deleted,omitempty"` // the number of the last event that retention deleted
	Head    string `json:"head,omitempty"`    // <number>:<hash>, to note elsewhere and expect next time
}

func audit(to *endpoint) *cobra.Command {
	var (
		q            AuditQuestion
		since, until string
	)
	c := &cobra.Command{
		Use:   "audit",
		Short: "Shows what happened: sign-ins, changes of accounts, work of operators",
		Long: `
Shows the audit log, the newest events first. --since and --until take a time
(2026-05-04T12:00:00Z), a day (2026-05-04) or how long ago (90m, 24h, 7d).`,
		Example: `  caddy authgate audit --user alice@example.com --since 7d
  caddy authgate audit --kind sign_in_refused --client 203.0.113.7
  caddy authgate audit verify`,
		Args: cobra.NoArgs,
		RunE: run(func(c *cobra.Command, _ []string) (err error) {
			now := time.Now()
			if q.Since, err = when(since, now); err != nil {
				return err
			}
			if q.Until, err = when(until, now); err != nil {
				return err
			}
			var log AuditLog
			if err := to.askOf(c, AuditPath, q.User, q, &log); err != nil {
				return err
			}
			return to.show(c, log, func(out io.Writer) { writeEvents(out, log) })
		}),
	}
	flags := c.Flags()
	flags.StringVar(&q.User, "user", "", "Only what is about this user, or was done by them")
	flags.StringSliceVar(&q.Kinds, "kind", nil, "Only these kinds of events, such as sign_in_refused; may be repeated")
	flags.StringVar(&q.Client, "client", "", "Only from this address")
	flags.StringVar(&since, "since", "", "Only from then on")
	flags.StringVar(&until, "until", "", "Only from before then")
	flags.Int64Var(&q.Before, "before", 0, "Go on before the event of this number")
	flags.IntVar(&q.Limit, "limit", 100, "How many at most")
	c.AddCommand(auditVerify(to))
	return c
}

// when reads a time, a day, or how long ago; nothing is the zero time.
func when(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.ParseInLocation(layout, text, now.Location()); err == nil {
			return t, nil
		}
	}
	ago, days := text, time.Duration(0)
	if n, rest, found := strings.Cut(text, "d"); found {
		if whole, err := strconv.ParseUint(n, 10, 16); err == nil {
			days, ago = time.Duration(whole)*24*time.Hour, rest
		}
	}
	if ago == "" {
		ago = "0"
	}
	d, err := time.ParseDuration(ago)
	if err != nil || d < 0 {
		return time.Time{}, fmt.Errorf("%q is no time; write for example 2026-05-04, 2026-05-04T12:00:00Z, 24h or 7d", text)
	}
	return now.Add(-days - d), nil
}

func writeEvents(out io.Writer, log AuditLog) {
	if len(log.Events) == 0 {
		fmt.Fprintln(out, "Nothing.")
		return
	}
	rows := make([][]string, len(log.Events))
	for i, e := range log.Events {
		by := e.Actor
		if by == e.Subject {
			by = ""
		}
		rows[i] = []string{strconv.FormatInt(e.Number, 10), moment(e.Time), plain(e.Kind), short(plain(e.Code)), plain(e.Subject), plain(by), plain(e.Client), plain(e.Detail)}
	}
	table(out, []string{"", "time", "event", "code", "user", "by", "client", "detail"}, rows)
	if log.Next != 0 {
		fmt.Fprintf(out, "\nMore: --before %d\n", log.Next)
	}
}

// short is a hash by its beginning, as with a configuration: the whole of it would push what follows off the screen, and
// --json tells it.
func short(code string) string {
	if _, err := hex.DecodeString(code); err != nil || len(code) != 64 {
		return code
	}
	return code[:12] + "…"
}

func auditVerify(to *endpoint) *cobra.Command {
	var expect string
	c := &cobra.Command{
		Use:   "verify [--expect <number>:<hash>]",
		Short: "Proves that nothing in the audit log was changed, deleted or inserted",
		Long: `
Goes through the whole audit log and proves the chain of its events: that none
was changed, deleted, inserted or put elsewhere since it was written. It ends with
4 where the chain does not hold, and with 1 where it could not be looked at. There
is no limit to how long it may take.

Whoever can write to the store could write the whole chain anew. Note the head
that this prints in another place, and give it to --expect the next time: then the
chain must still contain it.`,
		Example: `  caddy authgate audit verify
  caddy authgate audit verify --expect 4711:9f2c…`,
		Args: cobra.NoArgs,
		RunE: run(func(c *cobra.Command, _ []string) error {
			var q AuditProof
			if expect != "" {
				number, hash, _ := strings.Cut(expect, ":")
				n, err := strconv.ParseInt(number, 10, 64)
				if b, notHex := hex.DecodeString(hash); err != nil || n < 1 || notHex != nil || len(b) != 32 {
					return errors.New("--expect takes <number>:<hash>, as an earlier verify printed it")
				}
				q = AuditProof{n, hash}
			}
			var r AuditReport
			if err := to.askWithin(c.Context(), AuditVerifyPath, q, &r); err != nil {
				return err
			}
			if err := to.show(c, r, func(out io.Writer) { writeProof(out, r) }); err != nil || r.Holds {
				return err
			}
			return &failure{exitBroken, errors.New("the audit log is not as it was written")}
		}),
	}
	c.Flags().StringVar(&expect, "expect", "", "The head that an earlier verify printed")
	return c
}

func writeProof(out io.Writer, r AuditReport) {
	if !r.Holds {
		fmt.Fprintf(out, "Broken at event %d: %s.\n", r.Broken, plain(r.Why))
		return
	}
	fmt.Fprintf(out, "The chain of %d events holds.\n", r.Events)
	deleted, erased, waiting := "", "", ""
	if r.Deleted > 0 {
		deleted = "up to number " + strconv.FormatInt(r.Deleted, 10)
	}
	if r.Erased > 0 {
		erased = strconv.FormatInt(r.Erased, 10) + " events, of users who were deleted"
	}
	if r.Waiting > 0 {
		waiting = strconv.Itoa(r.Waiting) + " events of this moment"
	}
	fields(out, "head", r.Head, "deleted for their age", deleted, "without what is personal", erased, "not in the chain yet", waiting)
}
