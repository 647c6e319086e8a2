package command

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

// endpoint is the admin endpoint of the running Caddy, as the flags tell it.
type endpoint struct {
	address, config, adapter string
	asJSON                   bool          // how answers are shown
	timeout                  time.Duration // default timeout
}

func (e *endpoint) addFlags(c *cobra.Command) {
	flags := c.PersistentFlags()
	flags.StringVar(&e.address, "address", "", "Address of the admin endpoint, such as localhost:2019 or unix//run/caddy/admin.sock")
	flags.StringVarP(&e.config, "config", "c", "", "Configuration file that tells the address; and the store, where a command opens that itself")
	flags.StringVarP(&e.adapter, "adapter", "a", "", "Name of the adapter of that configuration")
	flags.BoolVar(&e.asJSON, "json", false, "Answer in JSON")
}

// timeout bounds a command, but for those that go through all there is: a store that is down is told long before.
const timeout = 30 * time.Second

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 16 << 20

// ask posts a question to a path of the endpoint and decodes the answer.
func (e *endpoint) ask(c *cobra.Command, path string, question, answer any) error {
	ctx, cancel := context.WithTimeout(c.Context(), cmp.Or(e.timeout, timeout))
	defer cancel()
	return e.askWithin(ctx, path, question, answer)
}

// askWithin is ask for as long as ctx allows.
func (e *endpoint) askWithin(ctx context.Context, path string, question, answer any) error {
	return e.post(ctx, path, question, func(configured string, body io.Reader) error {
		text, err := io.ReadAll(io.LimitReader(body, maxAnswer))
		if err != nil {
			return unreachable(configured, err)
		}
		if err := json.Unmarshal(text, answer); err != nil {
			return fmt.Errorf("the answer of Caddy at %s is not understood: is it of another version? %w", configured, err)
		}
		return nil
	})
}

// at is the address of the endpoint, as it was configured and as it is connected to.
func (e *endpoint) at() (string, caddy.NetworkAddress, error) {
	configured, err := caddycmd.DetermineAdminAPIAddress(e.address, nil, e.config, e.adapter)
	if err != nil {
		return "", caddy.NetworkAddress{}, fmt.Errorf("finding the admin endpoint: %w", err)
	}
	address, err := caddy.ParseNetworkAddress(configured)
	if err != nil || address.PortRangeSize() > 1 || address.IsFdNetwork() {
		err = fmt.Errorf("%q is no address of an admin endpoint to connect to; write for example --address localhost:2019", configured)
	}
	return configured, address, err
}

// post posts a question to a path of the endpoint and gives read the address and the answer, unless it is a refusal.
func (e *endpoint) post(ctx context.Context, path string, question any, read func(configured string, body io.Reader) error) error {
	body, err := json.Marshal(question)
	if err != nil {
		return err
	}
	return e.send(ctx, http.MethodPost, path, bytes.NewReader(body), read)
}

// send is post with any method, and a body in JSON that may be nil.
func (e *endpoint) send(ctx context.Context, method, path string, body io.Reader, read func(configured string, body io.Reader) error) error {
	configured, address, err := e.at()
	if err != nil {
		return err
	}
	client, origin := reach(address)
	r, err := http.NewRequestWithContext(ctx, method, origin+path, body)
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	if !address.IsUnixNetwork() {
		r.Header.Set("Origin", origin) // the endpoint may be told to insist on it
	}
	response, err := client.Do(r)
	if err != nil {
		return unreachable(configured, err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
		if err != nil {
			return unreachable(configured, err)
		}
		return refused(response, text)
	}
	return read(configured, response.Body)
}

// reach answers a client that connects to the address whatever it is asked for, and the origin to ask for.
func reach(address caddy.NetworkAddress) (*http.Client, string) {
	at := dialed(address)
	origin := "http://" + at
	if address.IsUnixNetwork() {
		origin = "http://127.0.0.1" // the one that endpoints on a socket allow
	}
	return &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, address.Network, at)
		},
	}}, origin
}

// dialed is what of an address is connected to.
func dialed(address caddy.NetworkAddress) string {
	if address.IsUnixNetwork() {
		at, _, _ := strings.Cut(address.Host, "|") // the permissions of the socket, which only who listens needs
		return at
	}
	return address.JoinHostPort(0)
}

func unreachable(address string, err error) error {
	// The request is the same for all commands; what went wrong is inside.
	if inner := errors.Unwrap(err); inner != nil {
		err = inner
	}
	return &failure{exitUnreachable, fmt.Errorf("cannot reach Caddy at its admin endpoint %s: %w\n"+
		"Is it running, and is that its address? Name another with --address, or the configuration with --config. With `admin off` there is none", address, err)}
}

// refused is what an answer other than 200 tells.
func refused(response *http.Response, text []byte) error {
	var told struct{ Error string }
	if err := json.Unmarshal(text, &told); err != nil || told.Error == "" {
		if response.StatusCode == http.StatusNotFound {
			return errors.New("the Caddy that runs has no such command: it is built without Authgate, or with another version of it")
		}
		return fmt.Errorf("refused by Caddy: %s", response.Status)
	}
	if response.StatusCode == http.StatusNotFound {
		return errNotThere
	}
	// Where in the program it happened is for logs.
	return errors.New(plain(strings.TrimPrefix(told.Error, "gateway: ")))
}

// errNotThere says that what the question names is not there.
var errNotThere = errors.New("not there")
