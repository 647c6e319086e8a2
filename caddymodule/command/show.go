package command

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/spf13/cobra"
)

// show writes an answer: as JSON where that is asked for, else as the function does.
func (e *endpoint) show(c *cobra.Command, answer any, people func(io.Writer)) error {
	out := c.OutOrStdout()
	if !e.asJSON {
		people(out)
		return nil
	}
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(answer)
}

// fields writes pairs of a name and a value below each other; those without a value are left out.
func fields(out io.Writer, pairs ...string) {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			fmt.Fprintf(table, "%s\t%s\n", pairs[i], pairs[i+1])
		}
	}
	table.Flush()
}

// table writes rows under their headings, without the columns in which nothing stands: screens are narrow.
func table(out io.Writer, headings []string, rows [][]string) {
	filled := func(cells []string) (kept []string) {
		for i, cell := range cells {
			if slices.ContainsFunc(rows, func(row []string) bool { return row[i] != "" }) {
				kept = append(kept, cell)
			}
		}
		return kept
	}
	var text strings.Builder
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	for _, row := range append([][]string{headings}, rows...) {
		// Also the last cell ends with a tab: what does not, and all cells that a row lacks, make no column.
		fmt.Fprintln(table, strings.Join(filled(row), "\t")+"\t")
	}
	table.Flush()
	for line := range strings.Lines(text.String()) {
		fmt.Fprintln(out, strings.TrimRight(line, " \n"))
	}
}

// plain is a text that steers no terminal: names are chosen by whoever signs up, and an escape sequence in one could hide
// or forge lines on the operator's screen.
func plain(s string) string {
	if strings.ContainsFunc(s, func(c rune) bool { return !unicode.IsPrint(c) }) {
		return strconv.QuoteToGraphic(s)
	}
	return s
}

// clip is the beginning of a text that may be long, where a line has room for that only; --json tells all of it.
func clip(s string) string {
	const room = 40
	if runes := []rune(s); len(runes) > room {
		return string(runes[:room-1]) + "…"
	}
	return s
}

func plainList(list []string) string {
	shown := make([]string, len(list))
	for i, s := range list {
		shown[i] = plain(s)
	}
	return strings.Join(shown, ", ")
}

// moment shows a time in the zone of the machine; the zero one as nothing.
func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format("2006-01-02 15:04:05 MST")
}
