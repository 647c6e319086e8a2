//go:build unix

package endtoend

import (
	"testing"
)

// An administrator works on one instance and users go through both, with sessions and with tokens: what is decided about
// them holds for the next request on either, within a second.
func TestAdministrationHoldsOnAllInstances(t *testing.T) {
	t.Parallel()
	for name, p := range map[string]plan{
		"PostgreSQL and Redis": {},
		"PostgreSQL alone":     {short: "sql"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			boss, mallory := walletOf("boss"), walletOf("mallory")
			p.setup.global = "registration open\n\t\tgrant admin " + boss.address
			f := startFleet(t, p)
			f.settle()
			one, two := f.gates[0], f.gates[1]
			asBoss := one.signIn(t, boss).bearer()
			browser, program := two.signInBrowser(t, mallory), one.signIn(t, mallory)
			id := program.User.ID
			everywhere := func(what, target string, status int, lines ...string) {
				t.Helper()
				for _, g := range f.gates {
					for _, line := range lines {
						soon(t, what, func() bool { return g.get(t, target, line).status == status })
					}
				}
			}
			change := func(method, sub, body string) {
				t.Helper()
				lines := []string{asBoss}
				if body != "" {
					lines = append(lines, "Content-Type: application/json")
				}
				if a := one.send(t, requestBody(method, "/auth/admin/users/"+id+sub, body, lines...)); a.status != 200 && a.status != 204 {
					t.Fatalf("%s %s: answered %d: %s", method, sub, a.status, a.body)
				}
			}
			everywhere("signed in", "/reports/x", 200, browser.cookieLine(), program.bearer())
			everywhere("no role yet", "/desk/x", 403, browser.cookieLine(), program.bearer())
			two.get(t, "/auth/admin/users", program.bearer()).wantProblem(t, 403, "forbidden")

			change("POST", "/roles", `{"role":"admin"}`)
			everywhere("the role is granted", "/desk/x", 200, browser.cookieLine())
			change("DELETE", "/roles/admin", "")
			everywhere("the role is revoked", "/desk/x", 403, browser.cookieLine())

			// The list knows who is there.
			var list struct {
				Users []struct{ ID string }
				Total int
			}
			two.get(t, "/auth/admin/users?search="+mallory.address[:10], asBoss).into(t, 200, &list)
			if len(list.Users) != 1 || list.Users[0].ID != id || list.Total != 2 {
				t.Errorf("%+v", list)
			}

			change("POST", "/disable", "")
			everywhere("disabled", "/reports/x", 401, browser.cookieLine(), program.bearer())
			message, _ := two.challenge(t, mallory)
			two.post(t, "challenge/sign", signed(message, mallory)).wantProblem(t, 403, "account_disabled")
			change("POST", "/enable", "")
			again := two.signIn(t, mallory)
			everywhere("enabled", "/reports/x", 200, again.bearer())
			change("DELETE", "/sessions", "")
			everywhere("sessions ended", "/reports/x", 401, again.bearer())
			last := two.signIn(t, mallory)
			change("DELETE", "", "")
			everywhere("deleted", "/reports/x", 401, last.bearer())
		})
	}
}
