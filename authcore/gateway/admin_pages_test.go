package gateway

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"rsc.io/qr"
)

var adminPages = []string{"admin", "admin/user", "admin/invitations", "admin/access", "admin/log"}

// Who is signed out is sent to sign in and comes back; who is no administrator gets no page of it, by whatever the access
// token still says.
func TestPagesOfAdministrationAreForAdministrators(t *testing.T) {
	o := openOffice(t)
	for _, page := range adminPages {
		a := o.do("GET", page+"?id=x", "", "Accept", "text/html")
		if want := "/auth/sign-in?return_to=%2Fauth%2F" + strings.ReplaceAll(page, "/", "%2F") + "%3Fid%3Dx"; a.Code != http.StatusFound || a.Header().Get("Location") != want {
			t.Errorf("%s signed out: %d, to %q, want %q", page, a.Code, a.Header().Get("Location"), want)
		}
		o.do("GET", page, "", o.asOther...).refused(403, "forbidden")
		a = o.do("GET", page, "", o.asBoss...)
		if name := "page=" + strings.ReplaceAll(page, "/", "-") + " "; a.Code != 200 || !strings.Contains(a.Body.String(), name) {
			t.Errorf("%s: %d %s", page, a.Code, a.Body)
		}
	}
	o.realm.grants = nil
	for _, page := range adminPages {
		o.do("GET", page, "", o.asBoss...).refused(403, "forbidden")
	}
}

func TestInviteComesWithItsQRCode(t *testing.T) {
	o := openOffice(t)
	a := o.do("POST", "admin/invites", `{"note":"<b>"}`, o.asBoss...)
	var v struct{ Link, QR string }
	if err := json.Unmarshal(a.Body.Bytes(), &v); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(v.QR, v.Link) || strings.Contains(v.QR, "<b>") {
		t.Errorf("text in %s", v.QR)
	}
	want, err := qr.Encode(v.Link, qr.M)
	if err != nil {
		t.Fatal(err)
	}
	black := map[[2]int]bool{}
	for _, m := range regexp.MustCompile(`M(\d+) (\d+)h(\d+)v1h-(\d+)z`).FindAllStringSubmatch(v.QR, -1) {
		x, _ := strconv.Atoi(m[1])
		y, _ := strconv.Atoi(m[2])
		n, _ := strconv.Atoi(m[3])
		for i := range n {
			black[[2]int{x + i - quiet, y - quiet}] = true
		}
	}
	if len(black) < 100 {
		t.Fatalf("only %d modules are black", len(black))
	}
	for y := range want.Size {
		for x := range want.Size {
			if black[[2]int{x, y}] != want.Black(x, y) {
				t.Fatalf("module %d, %d", x, y)
			}
		}
	}
}

// Whoever looks at an account must be able to see why it may what it may.
func TestShownUserTellsRolesFromChains(t *testing.T) {
	l := newLedger(t)
	o := openOffice(t, grantedBy(t, l, false))
	l.set(o.other, true)
	o.now = o.now.Add(10 * time.Minute)
	as := o.signInTokens(o.boss).bearer()
	var v struct{ User shownUserView }
	o.do("GET", "admin/users/"+o.otherID, "", as...).ok(&v)
	if all := v.User.ChainRoles; len(all) != 1 || all[0].Role != "member" || all[0].Holding == "" {
		t.Errorf("%+v", all)
	}
	o.do("GET", "admin/users/"+o.bossID, "", as...).ok(&v)
	if len(v.User.ChainRoles) != 0 {
		t.Errorf("%+v", v.User.ChainRoles)
	}
}
