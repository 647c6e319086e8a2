package main

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// The file must build what go.mod says and the tests tested.
func TestXcaddyJSONAgreesWithGoMod(t *testing.T) {
	file, err := os.ReadFile("../../../xcaddy.json")
	if err != nil {
		t.Fatal(err)
	}
	c, err := parse(file)
	if err != nil {
		t.Fatal(err)
	}
	list := func(args ...string) string {
		out, err := exec.Command("go", append([]string{"list", "-m"}, args...)...).Output()
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(out))
	}
	if module := list(); module != self {
		t.Errorf("the module is %s, the command builds %s", module, self)
	}
	if version := list("-f", "{{.Version}}", caddyPath); c.CaddyVersion != version {
		t.Errorf("caddy_version %s, go.mod has %s", c.CaddyVersion, version)
	}
	if _, err := c.goBuild(c.CaddyVersion); err != nil {
		t.Errorf("without xcaddy: %v", err)
	}
	want := strings.Fields("xcaddy build " + c.CaddyVersion + " --output caddy --with " + self + "/caddymodule --replace " + self + "=.")
	if got := c.xcaddy(); !slices.Equal(got, want) {
		t.Errorf("with xcaddy:\n%s\nwant\n%s", got, want)
	}
}

func TestParse(t *testing.T) {
	const good = `{"caddy_version":"v2.11.9","plugins":[{"module_path":"example.com/a","version":"v1.0.0"}],"output":"caddy"}`
	for _, test := range []struct{ name, in, err string }{
		{"good", good, ""},
		{"unknown option", strings.Replace(good, `"output"`, `"outputs":"x","output"`, 1), "unknown field"},
		{"unknown option of a plugin", strings.Replace(good, `"version"`, `"replace":"x","version"`, 1), "unknown field"},
		{"trailing data", good + "{}", "something follows"},
		{"no version", strings.Replace(good, "v2.11.9", "", 1), "needed"},
		{"no output", strings.Replace(good, `:"caddy"}`, `:""}`, 1), "needed"},
	} {
		_, err := parse([]byte(test.in))
		if (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
			t.Errorf("%s: got %v, want %q", test.name, err, test.err)
		}
	}
}

func TestWhatNeedsXcaddy(t *testing.T) {
	ours := func() config {
		return config{
			CaddyVersion: "v2.11.9", Plugins: []plugin{{ModulePath: self + "/caddymodule"}},
			Replacements: []replacement{{Old: self, New: "."}}, Output: "caddy",
		}
	}
	for name, change := range map[string]func(*config){
		"another plugin":      func(c *config) { c.Plugins = append(c.Plugins, plugin{ModulePath: "example.com/a"}) },
		"a published version": func(c *config) { c.Plugins[0].Version = "v1.0.0" },
		"another Caddy":       func(c *config) { c.CaddyVersion = "v2.11.8" },
		"another replacement": func(c *config) { c.Replacements[0].New = "../other" },
		"no replacement":      func(c *config) { c.Replacements = nil },
	} {
		c := ours()
		change(&c)
		if _, err := c.goBuild("v2.11.9"); err == nil || !strings.Contains(err.Error(), "xcaddy") {
			t.Errorf("%s: got %v, want an error that names xcaddy", name, err)
		}
	}
	c := ours()
	if _, err := c.goBuild("v2.11.9"); err != nil {
		t.Errorf("ours: %v", err)
	}
}
