package caddymodule

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
)

var update = flag.Bool("update", false, "write the golden files anew")

const dashes = "----------\n"

// Each file is a Caddyfile, a line of dashes, and the JSON that it becomes or the error that it gets.
func TestCaddyfileAdapt(t *testing.T) {
	files, err := filepath.Glob("testdata/caddyfile_adapt/*.caddyfiletest")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".caddyfiletest"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			in, want, ok := strings.Cut(string(data), dashes)
			if !ok {
				t.Fatal("no line of dashes")
			}
			if warning, different := caddyfile.FormattingDifference("Caddyfile", []byte(in)); different {
				t.Errorf("not as caddy fmt writes it: %v", warning)
			}
			got := adapted(in)
			if isError := !strings.HasPrefix(got, "{"); isError != strings.Contains(file, "/error_") {
				t.Errorf("got %s", got)
			}
			if *update {
				if err := os.WriteFile(file, []byte(in+dashes+got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// Where a file should be named and the name is empty, that is an error of the line, not a panic later.
func TestEmptyFileNamesAreErrors(t *testing.T) {
	for _, option := range []string{
		"brand {\n\t\tlogo \"\"\n\t}", "challenge_store redis redis://localhost {\n\t\tca \"\"\n\t}",
		"mail {\n\t\tfrom a@example.com\n\t\tsmtp localhost:25\n\t\ttemplates \"\"\n\t}", "store sqlite \"\"",
	} {
		if got := adapted("{\n\tauthgate {\n\t" + option + "\n\t}\n}\n"); !strings.Contains(got, "Caddyfile:") || strings.HasPrefix(got, "{") {
			t.Errorf("%s: %s", option, got)
		}
	}
}

// adapted is the JSON, or the error, that a Caddyfile becomes.
func adapted(in string) string {
	out, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(in), nil)
	if err != nil {
		return err.Error() + "\n"
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, out, "", "\t"); err != nil {
		return err.Error() + "\n"
	}
	return indented.String() + "\n"
}

// FuzzCaddyfile: whatever stands in a Caddyfile, adapting it ends in JSON or an error, never in a panic.
func FuzzCaddyfile(f *testing.F) {
	files, err := filepath.Glob("testdata/caddyfile_adapt/*.caddyfiletest")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		in, _, _ := strings.Cut(string(data), dashes)
		f.Add(in)
	}
	f.Fuzz(func(t *testing.T, in string) {
		// Imports would read files, and one of a device would never end.
		if strings.Contains(in, "import") {
			return
		}
		adapted(in)
	})
}
