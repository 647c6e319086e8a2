package endtoend

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"
)

// Logs are read by more people, and kept longer, than what they tell about: no challenge, token or cookie gets there, not
// even at debug level, with access logs, and when something fails.
func TestNoSecretInTheLogs(t *testing.T) {
	t.Parallel()
	g := start(t, setup{global: "session {\n access_token 1s\n }"})
	secrets := map[string]string{}
	alice, eve := walletOf("alice"), walletOf("eve")

	message, nonce := g.challenge(t, alice)
	signature := alice.sign(message)
	secrets["nonce"], secrets["signature"] = nonce, signature
	g.post(t, "challenge/sign", map[string]any{"challenge": message, "signature": signature}).want(t, 200)
	g.post(t, "challenge/sign", map[string]any{"challenge": message, "signature": signature}).want(t, 404)
	message, secrets["nonce of a failed try"] = g.challenge(t, alice)
	secrets["wrong signature"] = eve.sign(message)
	g.post(t, "challenge/sign", map[string]any{"challenge": message, "signature": secrets["wrong signature"]}).want(t, 400)
	g.send(t, requestBody("POST", "/auth/challenge/sign", `{"challenge":"`+nonce+`","signature":"`+signature, "Content-Type: application/json")).want(t, 400)

	program, browser := g.signIn(t, alice), g.signInBrowser(t, alice)
	keep := func(name, value string) {
		for i, part := range strings.Split(value, ".") {
			if i == 1 {
				continue // of a JWT, claims; public
			}
			secrets[name+" part "+string(rune('0'+i))] = part
		}
	}
	keep("access token", program.AccessToken)
	keep("refresh token", program.RefreshToken)
	_, value, _ := strings.Cut(browser.cookie, "=")
	secrets["cookie secret"], _, _ = strings.Cut(value, ".")
	secrets["cookie token"] = value[strings.LastIndexByte(value, '.')+1:]

	for _, line := range []string{program.bearer(), browser.cookieLine(), browser.cookieLine() + "; " + browser.cookie} {
		for _, target := range []string{"/reports/x", "/admin/x", "/internal/x", "/public/x", "/auth/session", "/auth/sign-in", "/auth/nothing", "/admin%00"} {
			g.get(t, target, line, "Accept: text/html")
		}
	}
	var next signedIn
	g.post(t, "token/refresh", map[string]any{"refresh_token": program.RefreshToken}).into(t, 200, &next)
	keep("second access token", next.AccessToken)
	keep("second refresh token", next.RefreshToken)
	g.post(t, "token/refresh", map[string]any{"refresh_token": next.RefreshToken + "x"}).want(t, 401)
	if !eventually(time.Minute, func() bool {
		c := g.get(t, "/reports/x", browser.cookieLine()).cookie()
		if c != nil {
			secrets["renewed cookie token"] = c.Value[strings.LastIndexByte(c.Value, '.')+1:]
		}
		return c != nil
	}) {
		t.Fatal("the cookie was not renewed")
	}
	g.signOut(t, browser.cookieLine())
	g.signOut(t, next.bearer())
	g.kill()

	written := g.output.String()
	if !strings.Contains(written, "/reports/x") {
		t.Fatal("the process wrote no access log: this test sees nothing")
	}
	jwtHeader := strings.Split(program.AccessToken, ".")[0]
	for name, secret := range secrets {
		if secret == jwtHeader || secret == "" {
			continue // the header of a JWT is the same for all
		}
		for _, form := range []string{secret, base64.StdEncoding.EncodeToString([]byte(secret))} {
			if i := strings.Index(written, form); i >= 0 {
				t.Errorf("%s is in the log: %s", name, written[max(0, i-300):min(len(written), i+50)])
			}
		}
	}
}
