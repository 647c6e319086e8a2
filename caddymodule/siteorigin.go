package caddymodule

import (
	"errors"
	"fmt"
	"net"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// siteOrigin is the origin of the site that a directive stands in, where the site's address leaves no doubt of it.
func siteOrigin(h httpcaddyfile.Helper) (string, error) {
	if h.IsNamedRoute() {
		return "", errors.New("a named route has no address of its own")
	}
	addresses := siteAddresses(h)
	if len(addresses) != 1 {
		return "", fmt.Errorf("the site has %d addresses", len(addresses))
	}
	address, err := httpcaddyfile.ParseAddress(addresses[0])
	if err != nil {
		return "", err
	}
	address = address.Normalize()
	if address.Host == "" || address.Path != "" || strings.ContainsAny(address.Host, "*{}") {
		return "", fmt.Errorf("the site's address %q does not name one host", addresses[0])
	}
	scheme := address.Scheme
	if scheme == "" {
		if modes, _ := h.Option("auto_https").([]string); slices.Contains(modes, "off") {
			return "", fmt.Errorf("with auto_https off the site's address %q does not tell http from https", addresses[0])
		}
		// Caddy serves plain HTTP on this port whatever the host. http_port and https_port are about where Caddy listens, not
		// about what browsers show, so they never add a port.
		httpPort, set := h.Option("http_port").(int)
		if !set {
			httpPort = caddyhttp.DefaultHTTPPort
		}
		scheme = "https"
		if address.Port == strconv.Itoa(httpPort) {
			scheme = "http"
		}
	}
	host := address.Host
	switch {
	case address.Port != "":
		host = net.JoinHostPort(host, address.Port)
	case strings.Contains(host, ":"):
		host = "[" + host + "]"
	}
	return scheme + "://" + host, nil
}

// siteAddresses are the addresses of the site block that a directive stands in. The helper does not export them, so they
// are read by reflection; where a later Caddy keeps them elsewhere, there are none and the user is asked for the origin.
func siteAddresses(h httpcaddyfile.Helper) []string {
	block := reflect.ValueOf(h).FieldByName("parentBlock")
	if block.Kind() != reflect.Struct {
		return nil
	}
	keys := block.FieldByName("Keys")
	if keys.Kind() != reflect.Slice {
		return nil
	}
	var addresses []string
	for i := range keys.Len() {
		if keys.Index(i).Kind() != reflect.Struct {
			return nil
		}
		text := keys.Index(i).FieldByName("Text")
		if text.Kind() != reflect.String {
			return nil
		}
		addresses = append(addresses, text.String())
	}
	return addresses
}
