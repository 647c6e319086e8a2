package gateway

import (
	"cmp"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The README names every route of a site on which everything is on, and no other.
func TestReadmeNamesEveryRoute(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## Routes\n")
	section, _, _ = strings.Cut(section, "\n## ")
	var told []string
	for _, m := range regexp.MustCompile("`(GET|POST|PATCH|DELETE) ([^`?\\s]+)`").FindAllStringSubmatch(section, -1) {
		told = append(told, m[1]+" "+regexp.MustCompile(`\{\w+\}`).ReplaceAllString(m[2], "*"))
	}
	h := build(t, passwordsOn, func(c *RealmConfig, s *Site) {
		c.Passkey = &PasskeyConfig{RPID: "example.com", RelatedOrigins: []string{"https://example.net"}}
		s.Origin, s.CookieDomain = "https://example.com", "example.com"
	})
	var there []string
	for path, to := range h.gateway.routes {
		for method, do := range map[string]serve{http.MethodGet: to.get, http.MethodPost: to.post, http.MethodPatch: to.patch, http.MethodDelete: to.delete} {
			if do != nil {
				there = append(there, method+" "+cmp.Or(path, "."))
			}
		}
		if to.raw != nil {
			there = append(there, "GET "+path)
		}
	}
	slices.Sort(there)
	for _, one := range there {
		if !slices.Contains(told, one) {
			t.Errorf("README says nothing of %s", one)
		}
	}
	for _, one := range told {
		if !slices.Contains(there, one) {
			t.Errorf("README tells of %s, which is not there", one)
		}
	}
}
