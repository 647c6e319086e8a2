package command

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"
)

const explained = `{"answers":[{"origin":"https://app.example.com","method":"DELETE","path":"/posts/..;/admin","verdict":"forbidden","status":403,"code":"forbidden",
"rule":2,"source":"Caddyfile:14","text":"allow role admin /admin/* {\n\twithin 5m\n}","reading":"/admin","readings":[{"text":"/admin","verdict":"forbidden","rule":2},{"text":"/posts","verdict":"allow"}],
"sign_in":"https://app.example.com/auth/sign-in","preflight":"sign_in","token_refused":true,"user":{"id":"u1","username":"alice","roles":["editor"]},"words":["Rule 2 at Caddyfile:14 decides.","\u001b[2JIt gets 403."]}]}`

func TestExplain(t *testing.T) {
	a := &admin{status: 200, body: explained}
	server := httptest.NewServer(a)
	defer server.Close()
	address := strings.TrimPrefix(server.URL, "http://")
	args := []string{"explain", "--user", "alice", "-m", "DELETE", "--client", "10.0.0.7", "--with", "passkey", "https://app.example.com/posts/..;/admin"}
	out, errs, err := told(t, address, args...)
	if err != nil || errs != "" {
		t.Fatal(err, errs)
	}
	if a.path != "POST /authgate/explain" || a.asked != `{"url":"https://app.example.com/posts/..;/admin","method":"DELETE","client":"10.0.0.7","user":"alice","with":["passkey"]}` {
		t.Errorf("asked %s %s", a.path, a.asked)
	}
	want := `request    DELETE /posts/..;/admin
site       https://app.example.com
user       alice (editor)
verdict    forbidden (403 forbidden)
rule       2 at Caddyfile:14
reading    /admin
readings   2
sign-in    https://app.example.com/auth/sign-in
by token   forbidden (403)
preflight  sign in

	allow role admin /admin/* {
		within 5m
	}

Rule 2 at Caddyfile:14 decides.
"\x1b[2JIt gets 403."
`
	if out != want {
		t.Errorf("got\n%s\nwant\n%s", out, want)
	}
	out, _, err = told(t, address, append([]string{"--json"}, args...)...)
	var did Explained
	if err != nil || json.Unmarshal([]byte(out), &did) != nil || len(did.Answers) != 1 || did.Answers[0].Rule != 2 {
		t.Errorf("%v %s", err, out)
	}
}

func TestExplainForNobodyKnown(t *testing.T) {
	server := httptest.NewServer(&admin{status: 404, body: `{"error":"gateway: operator: user not found"}`})
	defer server.Close()
	_, errs, err := told(t, strings.TrimPrefix(server.URL, "http://"), "explain", "--user", "bob", "/x")
	if code(err) != 2 || !strings.Contains(errs, `"bob"`) {
		t.Errorf("%v %s", err, errs)
	}
}
