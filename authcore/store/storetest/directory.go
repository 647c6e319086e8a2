package storetest

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddy-authgate/authgate/authcore"
)

var directoryTests = []test{
	{"all are found in pages, by username", func(t *T) {
		names := []string{"delta", "alpha", "echo", "charlie", "bravo"}
		t.with(names...)
		slices.Sort(names)
		for limit := range 7 {
			t.finds(authcore.UserQuery{Limit: limit}, names...)
		}
		slices.Reverse(names)
		t.finds(authcore.UserQuery{Limit: 2, Descending: true}, names...)
		n, err := t.Stores.Directory.CountUsers(t.ctx)
		t.is(err, nil)
		if n != len(names) {
			t.Fatalf("%d users", n)
		}
	}},
	{"nobody is found where there is nobody", func(t *T) {
		for _, q := range []authcore.UserQuery{{}, {Search: "a"}, {Role: "admin"}, {Order: authcore.ByCreated}, {Disabled: new(bool)}} {
			t.finds(q)
		}
		n, err := t.Stores.Directory.CountUsers(t.ctx)
		t.is(err, nil)
		if n != 0 {
			t.Fatalf("%d users", n)
		}
	}},
	{"who comes back is whole", func(t *T) {
		t.with("alice")
		want, _ := alice()
		for _, q := range []authcore.UserQuery{{}, {Search: "alice"}, {Role: "admin"}, {Search: "alice", Role: "admin"}} {
			page, err := t.Stores.Directory.FindUsers(t.ctx, q)
			t.is(err, nil)
			same(t, page, authcore.UserPage{Users: []authcore.User{want}})
			page.Users[0].Roles[0] = "intruder"
		}
	}},
	{"order of creation, and of ids where that is equal", func(t *T) {
		var old []string
		for i, name := range []string{"e", "d", "c", "b", "a"} {
			u, c := account(name)
			u.Created = noon.Add(time.Duration(i/2) * time.Hour).Add(time.Duration(i/2) * time.Microsecond)
			t.is(t.Stores.Users.CreateUser(t.ctx, u, c), nil)
		}
		old = []string{"d", "e", "b", "c", "a"}
		for limit := range 6 {
			t.finds(authcore.UserQuery{Order: authcore.ByCreated, Limit: limit}, old...)
			t.finds(authcore.UserQuery{Order: authcore.ByCreated, Limit: limit, Role: "admin"}, old...)
		}
		slices.Reverse(old)
		t.finds(authcore.UserQuery{Order: authcore.ByCreated, Descending: true, Limit: 1}, old...)
		// From before 1970 on.
		u, c := account("f")
		u.Created = time.Time{}
		t.is(t.Stores.Users.CreateUser(t.ctx, u, c), nil)
		t.finds(authcore.UserQuery{Order: authcore.ByCreated, Descending: true, Limit: 1}, append(old, "f")...)
		t.finds(authcore.UserQuery{Order: authcore.ByCreated, Descending: true, Limit: 1, Role: "admin"}, append(old, "f")...)
	}},
	{"usernames are sorted without case", func(t *T) {
		for _, name := range []string{"Bob", "alice", "CAROL"} {
			t.with(name)
		}
		t.finds(authcore.UserQuery{Limit: 1}, "alice", "Bob", "CAROL")
	}},
	{"who has no username stands with the others who have none", func(t *T) {
		for _, id := range []string{"y", "x"} {
			u, c := account(id)
			u.Username = ""
			t.is(t.Stores.Users.CreateUser(t.ctx, u, c), nil)
		}
		t.with("a")
		t.finds(authcore.UserQuery{Limit: 1}, "x", "y", "a")
		t.finds(authcore.UserQuery{Limit: 1, Descending: true}, "a", "y", "x")
	}},
	{"by the beginning of what a user is known by", func(t *T) {
		t.know("ann", "Anna-Maria  van der Berg", "am@example.com", "0x52908400098527886E0F7030069857D2E4169EE7")
		t.know("bob", "Bob O'Brien", "bob.o@example.org", "eip155:10:0xdE709F2102306220921060314715629080e2fB77")
		t.know("carol", "", "", "0x27b1FDB04752bBc536007A920D24ACB045561c26")
		for search, want := range map[string][]string{
			"ann": {"ann"}, "ANN": {"ann"}, "anna-maria": {"ann"}, "maria": {"ann"}, "van der": {"ann"}, " van  DER b ": {"ann"}, "berg": {"ann"},
			"erg": nil, "der van": nil, "ber": {"ann"}, "am@": {"ann"}, "@example.com": nil, "o'b": {"bob"}, "brien": {"bob"},
			"b": {"ann", "bob"}, "bob.o@EXAMPLE.org": {"bob"}, "0x52908400098527886e0f7030069857d2e4169ee7": {"ann"},
			"0x5290840009852788": {"ann"}, "0X52": {"ann"}, "0xDE70": {"bob"}, "eip155": nil, "0x": {"carol", "ann", "bob"},
			"id-carol": {"carol"}, " id-carol ": {"carol"}, "ID-carol": nil, "id-caro": nil, "car": {"carol"}, "nobody": nil, "example": nil,
		} {
			t.findsNamed(search, authcore.UserQuery{Search: search}, want...)
			t.findsNamed(search+" one by one", authcore.UserQuery{Search: search, Limit: 1}, want...)
		}
	}},
	{"what is searched for sorts what is found", func(t *T) {
		t.know("zoe", "Ab Zz", "aa@example.com", "0xzoe")
		t.know("abe", "Zz Ac", "zz@example.com", "0xabe")
		t.know("ad", "Ad", "ad@example.com", "0xad")
		for limit := range 5 {
			for _, q := range []authcore.UserQuery{
				{Search: "a"},
				{Search: "a", Order: authcore.ByCreated},
				{Search: "a", Descending: true},
				{Search: "a", Role: "editor"},
				{Search: "a", Disabled: new(bool)},
			} {
				q.Limit = limit
				t.finds(q, "zoe", "abe", "ad")
			}
			t.finds(authcore.UserQuery{Search: "z", Limit: limit}, "zoe", "abe")
		}
	}},
	{"an id goes before all else", func(t *T) {
		t.know("id-zoe", "", "", "0xa")
		t.know("zoe", "", "", "0xb")
		t.finds(authcore.UserQuery{Search: "id-zoe"}, "zoe", "id-zoe")
		t.finds(authcore.UserQuery{Search: "id-zoe", Limit: 1}, "zoe", "id-zoe")
		t.finds(authcore.UserQuery{Search: "id-zoe", Role: "admin", Limit: 1}, "zoe", "id-zoe")
	}},
	{"names of the world are compared without case", func(t *T) {
		for username, name := range map[string]string{
			"a": "Ωμέγα ΣΊΣΥΦΟΣ", "b": "Łukasz Żak", "c": "山田 太郎", "d": "Юлия", "e": "نور الهدى", "f": "Ⅷ 👩‍🚀 x", "g": "\u212Aelvin", // the Kelvin sign
		} {
			t.know(username, name, "", "0x"+username)
		}
		for search, want := range map[string][]string{
			"σίσυφος": {"a"}, "ΩΜΈ": {"a"}, "łUK": {"b"}, "żak": {"b"}, "山": {"c"}, "太郎": {"c"}, "田": nil, "юЛ": {"d"}, "نور": {"e"}, "الهدى": {"e"}, "x": {"f"}, "kelv": {"g"}, "KELV": {"g"},
		} {
			t.findsNamed(search, authcore.UserQuery{Search: search}, want...)
		}
	}},
	// A search is text and nothing else, whatever it means to a database.
	{"wildcards and quotes stand for themselves", func(t *T) {
		t.know("plain", "Plain", "plain@example.com", "0xplain")
		t.know("under_score", "100% wool", "a%b@example.com", `0x\`)
		t.know("quote", `O'Neill "x"; DROP TABLE users; --`, "", "0xquote")
		for search, want := range map[string][]string{
			"%": nil, "_": nil, "p%": nil, "p_ain": nil, "under_": {"under_score"}, "underx": nil, "100%": {"under_score"}, "a%": {"under_score"}, `0x\`: {"under_score"},
			`\`: nil, "'": nil, "' OR '1'='1": nil, "o'n": {"quote"}, `x"; drop table users; --`: {"quote"}, "*": nil, "plain*": nil, "p[l]ain": nil, "plain\x00": nil,
			"\xff": nil, "$1": nil, "?": nil, "\U0010FFFF": nil, "\uD7FF": nil,
		} {
			t.findsNamed(search, authcore.UserQuery{Search: search}, want...)
		}
		t.finds(authcore.UserQuery{Role: "' OR '1'='1"})
		t.finds(authcore.UserQuery{Role: "admi_"})
		t.finds(authcore.UserQuery{}, "plain", "quote", "under_score")
	}},
	{"texts at the edge of what can be searched for", func(t *T) {
		t.know("a", strings.Repeat("ab ", 2000), "", "0xa")
		t.know("b", strings.Repeat("字", 3000), "", "0xb")
		t.know("c", "x\x00y\xffz", "", "0xc")
		t.know("d", "\U0010FFFF\U0010FFFF \uD7FFx \u3099", "", "0xd")
		t.finds(authcore.UserQuery{Search: "ab ab ab"}, "a")
		t.finds(authcore.UserQuery{Search: "字字字"}, "b")
		t.finds(authcore.UserQuery{Search: "x"}, "d", "c")
		t.finds(authcore.UserQuery{Search: strings.Repeat("a", 1<<16)})
		t.finds(authcore.UserQuery{}, "a", "b", "c", "d")
	}},
	{"by role", func(t *T) {
		t.role("a", "admin")
		t.role("b", "editor", "admin")
		t.role("c", "Admin")
		t.role("d")
		t.role("e", "administrator", "editor", "editor")
		t.finds(authcore.UserQuery{Role: "admin", Limit: 1}, "a", "b")
		t.finds(authcore.UserQuery{Role: "admin", Limit: 1, Descending: true}, "b", "a")
		t.finds(authcore.UserQuery{Role: "editor", Order: authcore.ByCreated}, "b", "e")
		t.finds(authcore.UserQuery{Role: "Admin"}, "c")
		t.finds(authcore.UserQuery{Role: "none"})
		t.finds(authcore.UserQuery{Role: "editor", Search: "e"}, "e")
	}},
	{"by whether they are disabled", func(t *T) {
		yes, no := true, false
		for i, name := range []string{"a", "b", "c", "d"} {
			u, c := account(name)
			u.Disabled = i%2 == 1
			t.is(t.Stores.Users.CreateUser(t.ctx, u, c), nil)
		}
		for limit := range 3 {
			t.finds(authcore.UserQuery{Disabled: &yes, Limit: limit}, "b", "d")
			t.finds(authcore.UserQuery{Disabled: &no, Limit: limit}, "a", "c")
			t.finds(authcore.UserQuery{Disabled: &yes, Limit: limit, Order: authcore.ByCreated, Descending: true}, "d", "b")
			t.finds(authcore.UserQuery{Disabled: &yes, Limit: limit, Role: "admin"}, "b", "d")
			t.finds(authcore.UserQuery{Disabled: &yes, Limit: limit, Search: "name of"}, "b", "d")
		}
	}},
	{"what was changed is found as it is now", func(t *T) {
		t.with("alice", "bob")
		u, _ := alice()
		u.Username, u.Name, u.Email, u.Roles, u.Disabled = "queen", "Red Queen", "q@example.com", []string{"royal"}, true
		t.is(t.Stores.Users.UpdateUser(t.ctx, u), nil)
		for _, gone := range []authcore.UserQuery{{Search: "alice@"}, {Search: "name of alice"}, {Search: "ali"}, {Role: "editor", Search: "queen"}} {
			t.finds(gone)
		}
		t.finds(authcore.UserQuery{Role: "admin"}, "bob")
		for _, there := range []authcore.UserQuery{{Search: "red"}, {Search: "quee"}, {Search: "q@"}, {Role: "royal"}, {Search: "0xalice"}} {
			t.finds(there, "queen")
		}
		_, wallet := alice()
		other := wallet
		other.ID, other.Key = "other", "0xother"
		t.is(t.Stores.Credentials.AddCredential(t.ctx, other), nil)
		t.is(t.Stores.Credentials.DeleteCredential(t.ctx, u.ID, wallet.ID), nil)
		t.finds(authcore.UserQuery{Search: "0xalice"})
		t.finds(authcore.UserQuery{Search: "0xother"}, "queen")
		t.is(t.Stores.Users.DeleteUser(t.ctx, u.ID), nil)
		for _, gone := range []authcore.UserQuery{{Search: "red"}, {Search: "quee"}, {Search: "q@"}, {Role: "royal"}, {Search: "0xother"}, {Search: u.ID}} {
			t.finds(gone)
		}
		t.finds(authcore.UserQuery{}, "bob")
	}},
	// Somebody reads the list while others come, go and change: who stays as they are is seen once.
	{"others change between pages", func(t *T) {
		t.with("b", "d", "f", "h", "j")
		var seen []string
		q := authcore.UserQuery{Limit: 1}
		for page := 0; ; page++ {
			got, err := t.Stores.Directory.FindUsers(t.ctx, q)
			t.is(err, nil)
			for _, u := range got.Users {
				seen = append(seen, u.Username)
			}
			switch page {
			case 0: // behind b now
				t.with("a", "c")
				t.is(t.Stores.Users.DeleteUser(t.ctx, "id-b"), nil) // on which the cursor stands
			case 1:
				u, _ := account("j")
				u.Username = "aa"
				t.is(t.Stores.Users.UpdateUser(t.ctx, u), nil)
				t.with("k")
			}
			if q.After = got.Next; q.After == "" {
				break
			}
		}
		if got := strings.Join(seen, " "); got != "b c d f h k" {
			t.Fatal(got)
		}
	}},
	{"many with one name are told apart by their ids", func(t *T) {
		var want []string
		for i := range 12 {
			name := fmt.Sprintf("user%02d", 11-i)
			t.know(name, "Same Name", "", "0x"+name)
			want = append(want, name)
		}
		slices.Sort(want)
		for _, limit := range []int{1, 5, 12, 13} {
			t.finds(authcore.UserQuery{Search: "same", Limit: limit}, want...)
			t.finds(authcore.UserQuery{Search: "same", Role: "admin", Limit: limit}, want...)
			t.finds(authcore.UserQuery{Order: authcore.ByCreated, Limit: limit}, want...)
		}
	}},
	{"a cursor of something else is refused", func(t *T) {
		t.with("a", "b", "c")
		yes := true
		queries := []authcore.UserQuery{
			{},
			{Descending: true},
			{Order: authcore.ByCreated},
			{Order: authcore.ByCreated, Descending: true},
			{Role: "admin"},
			{Role: "editor"},
			{Search: "name"},
			{Search: "name of"},
			{Search: "name", Role: "admin"},
			{Disabled: new(bool)},
			{Disabled: &yes},
		}
		for i, q := range queries {
			q.Limit = 1
			page, err := t.Stores.Directory.FindUsers(t.ctx, q)
			t.is(err, nil)
			if i == len(queries)-1 {
				break // nobody is disabled
			}
			if page.Next == "" {
				t.Fatalf("%+v: no next page", q)
			}
			for j, other := range queries {
				other.After = page.Next
				_, err := t.Stores.Directory.FindUsers(t.ctx, other)
				t.is(err, map[bool]error{false: authcore.ErrInvalidCursor}[i == j])
			}
			// Changed by a character, anywhere.
			for k := range page.Next {
				b := []byte(page.Next)
				b[k] = map[bool]byte{true: 'B', false: 'A'}[b[k] == 'A']
				q.After = string(b)
				_, err := t.Stores.Directory.FindUsers(t.ctx, q)
				t.is(err, authcore.ErrInvalidCursor)
			}
		}
		for _, bad := range []string{
			"x", "=", "null", "%00", "' OR 1=1 --", "\x00", "\xff", strings.Repeat("A", 1<<16),
			base64.RawURLEncoding.EncodeToString([]byte(`{}`)), base64.RawURLEncoding.EncodeToString([]byte(`null`)),
		} {
			_, err := t.Stores.Directory.FindUsers(t.ctx, authcore.UserQuery{After: bad})
			t.is(err, authcore.ErrInvalidCursor)
		}
		// One that was made with knowledge of how they are made, and has no place in its list.
		q := authcore.UserQuery{Order: authcore.ByCreated}
		for _, place := range []authcore.UserPlace{{Key: "yesterday"}, {Key: "99999999999999999999"}, {Key: "1 OR 1=1", ID: "x"}, {}} {
			q.After = q.Cursor(place)
			_, err := t.Stores.Directory.FindUsers(t.ctx, q)
			t.is(err, authcore.ErrInvalidCursor)
		}
	}},
	{"in a transaction too", func(t *T) {
		t.with("alice")
		err := t.Stores.Transactions.Transact(t.ctx, func(s authcore.Stores) error {
			u, c := account("bob")
			if err := s.Users.CreateUser(t.ctx, u, c); err != nil {
				return err
			}
			page, err := s.Directory.FindUsers(t.ctx, authcore.UserQuery{Role: "admin"})
			if err != nil || len(page.Users) != 2 {
				return fmt.Errorf("%d users, %w", len(page.Users), err)
			}
			return nil
		})
		t.is(err, nil)
		t.finds(authcore.UserQuery{Role: "admin"}, "alice", "bob")
	}},
}

// know stores somebody who is known by these.
func (t *T) know(username, name, email, wallet string) {
	t.Helper()
	u, c := account(username)
	u.Name, u.Email, c.Key = name, email, wallet
	t.is(t.Stores.Users.CreateUser(t.ctx, u, c), nil)
}

// role stores somebody who has these roles.
func (t *T) role(username string, roles ...string) {
	t.Helper()
	u, c := account(username)
	u.Roles = roles
	t.is(t.Stores.Users.CreateUser(t.ctx, u, c), nil)
}

// finds demands that a query finds users with these usernames, or ids where they have none, in this order, over all pages.
func (t *T) finds(q authcore.UserQuery, want ...string) {
	t.Helper()
	t.findsNamed(fmt.Sprintf("%+v", q), q, want...)
}

func (t *T) findsNamed(what string, q authcore.UserQuery, want ...string) {
	t.Helper()
	var got []string
	for range 100 {
		page, err := t.Stores.Directory.FindUsers(t.ctx, q)
		t.is(err, nil)
		if q.Limit > 0 && len(page.Users) > q.Limit {
			t.Fatalf("%s: a page of %d", what, len(page.Users))
		}
		for _, u := range page.Users {
			if u.Username == "" {
				u.Username = strings.TrimPrefix(u.ID, "id-")
			}
			got = append(got, u.Username)
		}
		if q.After = page.Next; q.After == "" {
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Fatalf("%s: found %v, want %v", what, got, want)
			}
			return
		}
	}
	t.Fatalf("%s: pages without end", what)
}
