package gateway

import (
	"errors"
	"slices"
	"testing"

	"github.com/caddy-authgate/authgate/authcore"
)

// What an administrator does to an account its owner is told, once, and not where nothing was changed.
func TestPeopleAreToldWhatIsDoneToTheirAccount(t *testing.T) {
	h := build(t, everyMethod)
	boss, v := h.signInTokens(newSigner(1)), h.person(alice, alicesPassword)
	h.setRoles(boss.User.ID, AdminRole)
	h.mails()
	id, ctx, by := v.User.ID, t.Context(), authcore.Trace{Actor: boss.User.ID, Origin: home, Client: "192.0.2.7"}
	token := h.newToken(v.bearer(), "").ID
	h.mails()
	grant := func() error { _, err := h.realm.GrantRole(ctx, by, id, "editor"); return err }
	for _, step := range []struct {
		kind  authcore.MailKind
		label string
		do    func() error
		again error // what the second time answers
	}{
		{authcore.MailRoleGranted, "editor", grant, nil},
		{authcore.MailRoleRevoked, "editor", func() error { return h.realm.RevokeRole(ctx, by, id, "editor", false) }, nil},
		{authcore.MailTokenDeleted, "script", func() error { return h.realm.DeleteToken(ctx, by, id, token) }, authcore.ErrPersonalAccessTokenNotFound},
		{authcore.MailDisabled, "", func() error { return h.realm.Disable(ctx, by, id, false) }, nil},
		{authcore.MailEnabled, "", func() error { return h.realm.Enable(ctx, by, id) }, nil},
		{authcore.MailDeleted, "", func() error { return h.realm.Delete(ctx, by, id, false) }, authcore.ErrUserNotFound},
	} {
		h.faults.breakDown("AddEvent")
		if err := step.do(); !errors.Is(err, authcore.ErrUnavailable) {
			t.Fatalf("%s: %v", step.kind, err)
		}
		h.faults.repair()
		if got := h.kinds(); len(got) > 0 {
			t.Fatalf("%s failed, and %q was mailed", step.kind, got)
		}
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.kind, err)
		}
		m := h.mail(step.kind, alice)
		if m.Label != step.label || m.Origin != home || !m.Time.Equal(h.now) {
			t.Errorf("%+v", m)
		}
		if err := step.do(); !errors.Is(err, step.again) {
			t.Errorf("%s again: %v", step.kind, err)
		}
		if got := h.kinds(); !slices.Equal(got, nil) {
			t.Errorf("%s again: mailed %q", step.kind, got)
		}
	}
	// Who has no address is told nothing.
	other := h.signInTokens(newSigner(2))
	if _, err := h.realm.GrantRole(ctx, by, other.User.ID, "editor"); err != nil {
		t.Fatal(err)
	}
	if got := h.kinds(); len(got) > 0 {
		t.Errorf("mailed %q", got)
	}
}
