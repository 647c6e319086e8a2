package endtoend

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// invite runs the command and answers the key of the link that it prints.
func (g *gate) invite(t *testing.T, args ...string) string {
	t.Helper()
	out, errs, code := g.caddy(t, append([]string{"authgate", "invite", "--json"}, args...)...)
	var made struct{ Link string }
	if err := json.Unmarshal([]byte(out), &made); code != 0 || err != nil {
		t.Fatalf("exit code %d, %v: %s%s", code, err, out, errs)
	}
	base, key, _ := strings.Cut(made.Link, "#")
	if !strings.HasSuffix(base, "/auth/invite") || len(key) != 32 {
		t.Fatalf("link %q", made.Link)
	}
	return key
}

// come answers what to send to sign in with a wallet and an invite.
func (g *gate) come(t *testing.T, w wallet, invite string) map[string]any {
	t.Helper()
	message, _ := g.challenge(t, w)
	return map[string]any{"challenge": message, "signature": w.sign(message), "invite": invite}
}

// A store without users: the log says how the first administrator comes in. Of two who use the link at the same moment,
// each over a socket of its own, one comes in; and that stays so when the machine loses power.
func TestFirstAdministrator(t *testing.T) {
	t.Parallel()
	g := start(t, setup{grantless: true, global: "registration invite"})
	at := fmt.Sprintf("127.0.0.1:%d", g.admin)
	if !eventually(10*time.Second, func() bool { return strings.Contains(g.output.String(), "caddy authgate invite --role admin") }) {
		t.Fatal("the log does not tell how the first administrator comes in")
	}
	key := g.invite(t, "--address", at, "--role", "admin")
	const many = 2
	var bodies [many]map[string]any
	for i := range many {
		bodies[i] = g.come(t, walletOf(fmt.Sprint("first", i)), key)
	}
	var answers [many]answer
	var all sync.WaitGroup
	for i := range many {
		all.Go(func() { answers[i] = g.post(t, "challenge/sign", bodies[i]) })
	}
	all.Wait()
	won := slices.IndexFunc(answers[:], func(a answer) bool { return a.status == 200 })
	if won < 0 {
		t.Fatalf("nobody came in: %+v", answers)
	}
	answers[1-won].wantProblem(t, 412, "invite_expired")
	g.kill()
	// While Caddy is down the store is written directly.
	second := g.invite(t, "--config", g.config(), "--role", "editor")
	g.boot()
	g.post(t, "challenge/sign", g.come(t, walletOf("late"), key)).wantProblem(t, 412, "invite_expired")
	admin := g.signIn(t, walletOf(fmt.Sprint("first", won)))
	if !slices.Equal(admin.User.Roles, []string{"admin"}) {
		t.Errorf("roles %q", admin.User.Roles)
	}
	var editor signedIn
	g.post(t, "challenge/sign", g.come(t, walletOf("second"), second)).into(t, 200, &editor)
	if !slices.Equal(editor.User.Roles, []string{"editor"}) {
		t.Errorf("roles %q", editor.User.Roles)
	}
	// An administrator lets somebody back in.
	var made struct{ Link string }
	g.post(t, "admin/users/"+editor.User.ID+"/recover", map[string]any{}, admin.bearer()).into(t, 200, &made)
	_, key, _ = strings.Cut(made.Link, "#")
	found := walletOf("found")
	var asked struct{ ChallengeMessage string }
	g.post(t, "recover/challenge/create", map[string]any{"key": key, "address": found.address}).into(t, 200, &asked)
	body := map[string]any{"key": key, "challenge": asked.ChallengeMessage, "signature": found.sign(asked.ChallengeMessage)}
	var back signedIn
	g.post(t, "recover/challenge/sign", body).into(t, 200, &back)
	g.kill()
	g.boot()
	g.post(t, "recover/challenge/sign", body).wantProblem(t, 404, "key_not_found")
	g.post(t, "token/refresh", map[string]any{"refresh_token": editor.RefreshToken}).wantProblem(t, 401, "invalid_grant")
	if again := g.signIn(t, found); again.User.ID != editor.User.ID {
		t.Errorf("%+v", again.User)
	}
	g.wantCaddy(t, 0, "/auth/recover#", "authgate", "recover", "--address", at, editor.User.ID)
	g.wantCaddy(t, 2, "nobody", "authgate", "recover", "--address", at, "nobody")
}
