package gateway

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
	"github.com/caddy-authgate/authgate/authcore/passkey/passkeytest"
)

// An administrator who is to be removed has made an invite and a recovery link before.
type remover struct {
	*office
	makerID         string
	invite, recover string // the keys
	// What was begun with them while they were good.
	invited, recovering        begunView
	device, otherDevice        passkeytest.Authenticator
	registered, recoverMessage string
}

const victim = "victim@example.com"

func newRemover(t *testing.T) *remover {
	t.Helper()
	o := openOffice(t, everyMethod)
	r := &remover{office: o, makerID: o.otherID}
	o.setRoles(o.otherID, AdminRole)
	lost := o.person(victim, bobsPassword)
	var invite, recovery struct{ Link string }
	o.do("POST", "admin/invites", `{"roles":["admin"],"uses":100}`, o.asOther...).ok(&invite)
	o.do("POST", "admin/users/"+lost.User.ID+"/recover", "", o.asOther...).ok(&recovery)
	_, r.invite, _ = strings.Cut(invite.Link, "#")
	_, r.recover, _ = strings.Cut(recovery.Link, "#")
	o.mails()
	r.invited = o.begin("registration/request", fmt.Sprintf(`{"invite":%q}`, r.invite))
	o.do("POST", "password/register", fmt.Sprintf(`{"email":%q,"password":%q,"invite":%q}`, alice, alicesPassword, r.invite)).accepted()
	r.registered = keyOf(o.mail(authcore.MailConfirm, alice))
	r.recovering = o.begin("recover/registration/request", fmt.Sprintf(`{"key":%q}`, r.recover))
	var asked struct{ ChallengeMessage string }
	o.do("POST", "recover/challenge/create", fmt.Sprintf(`{"key":%q,"address":%q}`, r.recover, newSigner(8).address())).ok(&asked)
	r.recoverMessage = asked.ChallengeMessage
	return r
}

// finish are the requests by which somebody comes in at last, with what was begun before.
func (r *remover) finish() map[string]func() answer {
	return map[string]func() answer{
		"invite, wallet": func() answer { return r.come(newSigner(7), r.invite) },
		"invite, passkey": func() answer {
			return r.do("POST", "registration/response", r.created(&r.device, r.invited, ""))
		},
		"invite, password": func() answer {
			return r.do("POST", "password/activate", fmt.Sprintf(`{"key":%q}`, r.registered))
		},
		"recovery, wallet": func() answer {
			return r.do("POST", "recover/challenge/sign", fmt.Sprintf(`{"key":%q,"challenge":%q,"signature":%q}`, r.recover, r.recoverMessage, newSigner(8).sign(r.recoverMessage)))
		},
		"recovery, passkey": func() answer {
			return r.do("POST", "recover/registration/response", r.created(&r.otherDevice, r.recovering, fmt.Sprintf(`,"key":%q`, r.recover)))
		},
		"recovery, password": func() answer {
			return r.do("POST", "recover/password", fmt.Sprintf(`{"key":%q,"password":%q}`, r.recover, newPassword))
		},
	}
}

func (a answer) refusedKey(what string) {
	a.t.Helper()
	code := "invite_not_found"
	if strings.HasPrefix(what, "recovery") {
		code = "key_not_found"
	}
	a.refused(http.StatusNotFound, code)
}

// removals are the ways to make somebody administer no more.
func (r *remover) removals() map[string]func() error {
	ctx := r.t.Context()
	return map[string]func() error{
		"revoke":  func() error { return r.realm.RevokeRole(ctx, operator, r.makerID, AdminRole, false) },
		"disable": func() error { return r.realm.Disable(ctx, operator, r.makerID, false) },
		"delete":  func() error { return r.realm.Delete(ctx, operator, r.makerID, false) },
	}
}

// Attack: an administrator makes himself invites with the role, and links to the accounts of others, before he is removed,
// and comes back with them.
func TestRemovedAdministratorsKeepNoKeys(t *testing.T) {
	for _, way := range []string{"revoke", "disable", "delete"} {
		t.Run(way, func(t *testing.T) {
			r := newRemover(t)
			if err := r.removals()[way](); err != nil {
				t.Fatal(err)
			}
			r.do("POST", "invite/check", fmt.Sprintf(`{"invite":%q}`, r.invite)).refusedKey("invite")
			r.do("POST", "registration/request", fmt.Sprintf(`{"invite":%q}`, r.invite)).refusedKey("invite")
			r.do("POST", "password/register", fmt.Sprintf(`{"email":%q,"password":%q,"invite":%q}`, bob, bobsPassword, r.invite)).refusedKey("invite")
			r.do("POST", "recover/check", fmt.Sprintf(`{"key":%q}`, r.recover)).refusedKey("recovery")
			r.do("POST", "recover/registration/request", fmt.Sprintf(`{"key":%q}`, r.recover)).refusedKey("recovery")
			for what, finish := range r.finish() {
				t.Log(what)
				finish().refusedKey(what)
			}
			if n := r.used(r.invite); n != 0 {
				t.Errorf("the invite was used %d times", n)
			}
			var list struct{ Invites []inviteView }
			r.do("GET", "admin/invites", "", r.asBoss...).ok(&list)
			if len(list.Invites) != 1 || list.Invites[0].Live {
				t.Errorf("the list says %+v", list.Invites)
			}
			var v signedInView
			r.knock(victim, bobsPassword, "").ok(&v)
		})
	}
}

// The role is taken away while somebody comes in: after the check, and before the transaction.
func TestAdministratorsRemovedMeanwhileKeepNoKeys(t *testing.T) {
	for what := range newRemover(t).finish() {
		t.Run(what, func(t *testing.T) {
			r := newRemover(t)
			finish := r.finish()[what]
			r.faults.before("Transact", func() error {
				r.faults.repair()
				r.setRoles(r.makerID)
				return nil
			})
			finish().refusedKey(what)
			if n := r.used(r.invite); n != 0 {
				t.Errorf("the invite was used %d times", n)
			}
			r.setRoles(r.makerID, AdminRole)
			r.do("POST", "invite/check", fmt.Sprintf(`{"invite":%q}`, r.invite)).ok(new(struct{}))
			r.do("POST", "recover/check", fmt.Sprintf(`{"key":%q}`, r.recover)).ok(new(struct{}))
		})
	}
}

// With an administrator who stays, all of it is good.
func TestKeysOfAdministratorsAreGood(t *testing.T) {
	for what := range newRemover(t).finish() {
		t.Run(what, func(t *testing.T) {
			newRemover(t).finish()[what]().ok(new(signedInView))
		})
	}
}

// Who administers by what is on a chain invites for as long as they have it.
func TestKeysOfAdministratorsByChain(t *testing.T) {
	l := newLedger(t)
	boss := newSigner(1)
	l.set(boss, true)
	h := build(t, grantedBy(t, l, true), func(c *RealmConfig, _ *Site) { c.Grants[len(c.Grants)-1].Role = AdminRole })
	v := h.signInTokens(boss)
	var made struct{ Link string }
	h.do("POST", "admin/invites", `{"uses":9}`, v.bearer()...).ok(&made)
	_, key, _ := strings.Cut(made.Link, "#")
	h.come(newSigner(2), key).ok(new(signedInView))
	l.set(boss, false)
	h.now = h.now.Add(11 * time.Minute)
	h.come(newSigner(3), key).refusedKey("invite")
}

// A link of which is not known who made it is good for nothing.
func TestRecoveryOfNobodyKnowsWhom(t *testing.T) {
	o := openOffice(t, everyMethod)
	for _, data := range []string{`{}`, ``, `{"by":""}`, `{"by":"nobody"}`} {
		c := authcore.Confirmation{
			KeyHash: authcore.HashSecret("key" + data), Purpose: authcore.ConfirmRecovery, Subject: o.otherID, Data: []byte(data), Created: o.now, Expires: o.now.Add(recoveryTTL),
		}
		if err := o.store.Stores().Confirmations.ReplaceConfirmation(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		for _, route := range []string{"recover/check", "recover/password"} {
			if a := o.do("POST", route, fmt.Sprintf(`{"key":%q,"password":%q}`, "key"+data, newPassword)); a.Code != 404 {
				t.Errorf("%s of %q: %d %s", route, data, a.Code, a.Body)
			}
		}
	}
}

// An administrator is deleted: what he did to others is evidence still, in the audit log, without where he did it from.
func TestWhatADeletedAdministratorDidStays(t *testing.T) {
	o := openOffice(t)
	o.setRoles(o.otherID, AdminRole)
	guest := o.signInTokens(newSigner(5))
	o.do("POST", "admin/invites", `{"roles":["admin"]}`, o.asOther...).ok(new(struct{}))
	o.do("DELETE", "admin/users/"+guest.User.ID+"/sessions", "", o.asOther...).done()
	told := func() (all []string) {
		for _, e := range o.house.events(authcore.EventQuery{Kinds: []authcore.EventKind{authcore.EventInviteCreated, authcore.EventSessionEnded}}) {
			all = append(all, e.Detail)
		}
		return all
	}
	before := told()
	if len(before) != 2 || !strings.Contains(before[0]+before[1], "roles [admin]") || !strings.Contains(before[0]+before[1], "session ") {
		t.Fatalf("%q", before)
	}
	if err := o.realm.Delete(t.Context(), operator, o.otherID, false); err != nil {
		t.Fatal(err)
	}
	if after := told(); !slices.Equal(after, before) {
		t.Errorf("%q is left of %q", after, before)
	}
	for _, e := range o.house.events(authcore.EventQuery{Kinds: []authcore.EventKind{authcore.EventInviteCreated, authcore.EventSessionEnded}}) {
		if e.Client+e.UserAgent != "" {
			t.Errorf("where he did it from is told: %+v", e)
		}
	}
	if r, err := o.realm.VerifyEvents(t.Context(), nil); err != nil || r.Broken != 0 {
		t.Errorf("%+v, %v", r, err)
	}
}
