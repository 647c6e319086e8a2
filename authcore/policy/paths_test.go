package policy

import (
	"strings"
	"testing"

	"github.com/caddy-authgate/authgate/authcore"
)

func TestPathsReach(t *testing.T) {
	p, err := CompilePaths([]string{"/dav/*", "/exact", "/dir/", "/straße/*"})
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{
		"/dav": true, "/dav/": true, "/dav/a/b": true, "/DAV/x": true, "/exact": true, "/exact/": false, "/exact/x": false,
		"/dir": true, "/dir/": true, "/dir/x": false, "/": false, "/davx": false, "/other": false,
		"/stra%C3%9Fe/x": true, "/STRA%C3%9FE/x": true,
		// What some backend would read as another path is out of reach.
		"/dav/../admin": false, "/dav/%2e%2e/admin": false, "/dav/..%2fadmin": false, "/dav/..%5cadmin": false,
		"/dav/x;/../../admin": false, "/dav/%252e%252e/admin": false, "//admin": false,
		// and what nobody can read, too.
		"": false, "dav": false, "/dav/%00": false, "/dav/%zz": false,
	} {
		if got := p.Reaches(path); got != want {
			t.Errorf("%s: %v", path, got)
		}
	}
}

func TestPathsAreWrittenAsThoseOfRules(t *testing.T) {
	for _, paths := range [][]string{
		nil, {""}, {"dav"}, {"/a", "/a"}, {"/a", "/A"}, {"/a*"}, {"/*/x"}, {"/a/../b"}, {"/a%20b"}, {"/a;x"}, {`/a\b`}, {"/a?b"}, {"/a\x00"}, {"*"},
	} {
		if _, err := CompilePaths(paths); err == nil {
			t.Errorf("%q is taken", paths)
		} else if !strings.HasPrefix(err.Error(), "policy: ") {
			t.Errorf("%q: %v", paths, err)
		}
	}
	if _, err := CompilePaths([]string{"/*"}); err != nil {
		t.Error(err)
	}
}

// A token for one folder is stolen, and tried on others; or on what asks for a passkey, which no token is.
func TestTokenIsForbiddenWhatIsOutOfReach(t *testing.T) {
	reach, err := CompilePaths([]string{"/dav/*", "/pay/*"})
	if err != nil {
		t.Fatal(err)
	}
	p, err := Compile([]Rule{
		{Source: "1", Anyone: true, Paths: []string{"/public/*", "/dav/open/*"}},
		{Source: "2", Deny: true, Paths: []string{"/dav/closed/*"}},
		{Source: "3", SignedIn: true, Paths: []string{"/pay/*"}, With: []authcore.Method{authcore.Passkey}},
		{Source: "4", SignedIn: true, Paths: []string{"/pays/*"}, Within: 1},
		{Source: "5", Roles: []string{"admin"}, Paths: []string{"/dav/admin/*"}},
	}, "")
	if err != nil {
		t.Fatal(err)
	}
	narrow := &authcore.Identity{Subject: "alice", Token: true, Reach: reach}
	wide := &authcore.Identity{Subject: "alice", Token: true}
	for path, want := range map[string][2]Verdict{
		"/dav/x":            {Allow, Allow},
		"/dav/open/x":       {Allow, Allow},
		"/dav/closed/x":     {Forbidden, Forbidden},
		"/dav/admin/x":      {Forbidden, Forbidden},
		"/public/x":         {Forbidden, Allow},
		"/other":            {Forbidden, Allow},
		"/":                 {Forbidden, Allow},
		"/dav/..%2fother":   {Forbidden, Allow},
		"/dav/%2e%2e/other": {Forbidden, Allow},
		"/pay/x":            {Forbidden, Forbidden},
		"/pays/x":           {Forbidden, Forbidden},
		"/dav/%00":          {BadPath, BadPath},
	} {
		for i, id := range []*authcore.Identity{narrow, wide} {
			if got := p.Judge(Request{Method: "GET", Path: path, Identity: id}); got.Verdict != want[i] {
				t.Errorf("%s, narrow %v: %v, want %v", path, i == 0, got.Verdict, want[i])
			}
		}
	}
}
