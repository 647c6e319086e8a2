package pages

import "strings"

// area is a page of administration in the list of them.
type area struct {
	Path, Text string
	Here       bool
}

// Areas are the pages of administration.
func (v *view) Areas() []area {
	all := []area{
		{Path: "admin", Text: "users"}, {Path: "admin/invitations", Text: "invites"}, {Path: "admin/access", Text: "access"}, {Path: "admin/log", Text: "log"},
	}
	for i := range all {
		all[i].Here = strings.ReplaceAll(all[i].Path, "/", "-") == v.Name
	}
	return all
}

// Administers reports whether the page is one of administration.
func (v *view) Administers() bool { return v.Name == "admin" || strings.HasPrefix(v.Name, "admin-") }

// Lists reports whether the page has tables and forms above them.
func (v *view) Lists() bool { return v.Name != "admin-user" }

// DrawsLinks reports whether links that the page shows once come with a QR code.
func (v *view) DrawsLinks() bool { return v.Name == "admin-invitations" }

// neverOfAdministration are texts of scripts about adding and removing what oneself signs in with, and signing out, which nobody
// does there.
var neverOfAdministration = []string{
	"passkeyCreating", "passkeyExists", "passkeyUnsuitable", "credentialInUse", "chooseWallet", "emailMissing", "emailInvalid", "passwordTooShort",
	"passwordTooLong", "passwordCommon", "passwordSite", "inviteGone", "inviteExpired", "signOutFailed", "signingOut", "emailRequired", "nameRefused",
	"lastOne", "gone",
}
