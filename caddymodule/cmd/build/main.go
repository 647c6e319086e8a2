// Command build makes the Caddy that xcaddy.json describes. In the folder of that file:
//
//	go run ./caddymodule/cmd/build
//
// It runs xcaddy where that is installed. Where it is not, it does the same build from this checkout with the go command
// alone; other plugins can be added by xcaddy only, so then they are an error.
//
// xcaddy itself reads no file. The format is the JSON of its type xcaddy.Builder (the options below) and "output".
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

// config is xcaddy.json.
type config struct {
	CaddyVersion string        `json:"caddy_version"`
	Plugins      []plugin      `json:"plugins"`
	Replacements []replacement `json:"replacements,omitempty"`
	Cgo          bool          `json:"cgo,omitempty"`
	Output       string        `json:"output"` // the file to write
}

type plugin struct {
	ModulePath string `json:"module_path"`
	Version    string `json:"version,omitempty"` // none: the latest, or what is replaced
}

type replacement struct {
	Old string `json:"old"`
	New string `json:"new"`
}

const (
	self      = "github.com/caddy-authgate/authgate"
	caddyPath = "github.com/caddyserver/caddy/v2"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "build:", err)
		os.Exit(1)
	}
}

func run() error {
	file, err := os.ReadFile("xcaddy.json")
	if err != nil {
		return err
	}
	c, err := parse(file)
	if err != nil {
		return err
	}
	var command []string
	if _, err := exec.LookPath("xcaddy"); err == nil {
		command = c.xcaddy()
	} else {
		version, err := exec.Command("go", "list", "-m", "-f", "{{.Version}}", caddyPath).Output()
		if err != nil {
			return fmt.Errorf("asking go.mod for Caddy's version: %w", err)
		}
		if command, err = c.goBuild(strings.TrimSpace(string(version))); err != nil {
			return err
		}
	}
	fmt.Println(strings.Join(command, " "))
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if c.Cgo {
		cmd.Env = append(os.Environ(), "CGO_ENABLED=1")
	}
	return cmd.Run()
}

// parse reads xcaddy.json. An option that is not known would be built without, so it is an error.
func parse(file []byte) (config, error) {
	var c config
	d := json.NewDecoder(bytes.NewReader(file))
	d.DisallowUnknownFields()
	if err := d.Decode(&c); err != nil {
		return c, fmt.Errorf("xcaddy.json: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return c, errors.New("xcaddy.json: something follows the object")
	}
	if c.CaddyVersion == "" || len(c.Plugins) == 0 || c.Output == "" {
		return c, errors.New("xcaddy.json: caddy_version, plugins and output are needed")
	}
	return c, nil
}

// xcaddy is the command that makes the build with xcaddy.
func (c config) xcaddy() []string {
	command := []string{"xcaddy", "build", c.CaddyVersion, "--output", c.Output}
	for _, p := range c.Plugins {
		with := p.ModulePath
		if p.Version != "" {
			with += "@" + p.Version
		}
		command = append(command, "--with", with)
	}
	for _, r := range c.Replacements {
		command = append(command, "--replace", r.Old+"="+r.New)
	}
	return command
}

// goBuild is the command that makes the same build from this checkout, with the flags of xcaddy. caddyVersion is that of
// go.mod.
func (c config) goBuild(caddyVersion string) ([]string, error) {
	const get = "install it: go install github.com/caddyserver/xcaddy/cmd/xcaddy@latest"
	if len(c.Plugins) != 1 || c.Plugins[0] != (plugin{ModulePath: self + "/caddymodule"}) {
		return nil, errors.New("other plugins, and other versions than this checkout, need xcaddy; " + get)
	}
	if len(c.Replacements) != 1 || c.Replacements[0] != (replacement{Old: self, New: "."}) {
		return nil, errors.New("other replacements than of this module by this checkout need xcaddy; " + get)
	}
	if c.CaddyVersion != caddyVersion {
		return nil, fmt.Errorf("version %s of Caddy needs xcaddy, go.mod has %s; %s", c.CaddyVersion, caddyVersion, get)
	}
	return []string{
		"go", "build", "-o", c.Output, "-trimpath", "-ldflags=-w -s", "-tags=nobadger,nomysql,nopgx", "./caddymodule/cmd/caddy",
	}, nil
}
