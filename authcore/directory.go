package authcore

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// UserOrder is by what lists of users are sorted.
type UserOrder string

const (
	ByUsername UserOrder = "username" // compared without case
	ByCreated  UserOrder = "created"
)

// UserQuery chooses users. The zero value of a field chooses all.
type UserQuery struct {
	// Search is the beginning of a username, of a name from any of its words on, of an e-mail address or of a linked wallet's
	// address, without regard to case, or a whole id. What is found is sorted by the text that begins so, the smallest of
	// each user, and never by Order.
	Search     string
	Role       string // stored with the user; what the configuration grants is not known to stores
	Disabled   *bool
	Order      UserOrder // default ByUsername
	Descending bool      // of Order
	After      string    // the cursor that the page before answered; empty: the first page
	Limit      int       // at most so many; default 50
}

// UserPage is a part of a list of users.
type UserPage struct {
	Users []User
	// Next is the cursor of the next page; empty: there is none. Where few of many that were looked at are what is asked
	// for, a page with a next one may have fewer users than it might, and even none.
	Next string
}

// Directory finds users.
type Directory interface {
	// FindUsers answers the users that the query chooses. How much it looks at is bounded, however many users there are. Who
	// is not changed while one goes from page to page is on exactly one of them. A cursor that no page of this query
	// answered is ErrInvalidCursor.
	FindUsers(ctx context.Context, q UserQuery) (UserPage, error)
	// CountUsers answers how many users there are; beyond a few ten thousands it may be an estimate.
	CountUsers(ctx context.Context) (n int, err error)
}

// The rest is for stores, so that all of them find the same.

// UserPlace is a place in a list of users: a key by which it is sorted, and among equal ones the id.
type UserPlace struct {
	Key string // compared byte by byte; ByCreated by the number in it, microseconds since 1970
	ID  string
}

// Compare compares places as the query sorts them.
func (q UserQuery) Compare(a, b UserPlace) int {
	by := strings.Compare(a.Key, b.Key)
	if q.Text() == "" && q.Order == ByCreated {
		x, _ := strconv.ParseInt(a.Key, 10, 64)
		y, _ := strconv.ParseInt(b.Key, 10, 64)
		by = time.UnixMicro(x).Compare(time.UnixMicro(y))
	}
	if by == 0 {
		by = strings.Compare(a.ID, b.ID)
	}
	if q.Text() == "" && q.Descending {
		return -by
	}
	return by
}

// Text answers what is searched for in the form in which it is compared; empty: nothing is searched for.
func (q UserQuery) Text() string { return foldText(q.Search) }

// Place answers where in the list a user with these linked wallets (keys of credentials) stands, or false where the query
// does not choose the user.
func (q UserQuery) Place(u User, wallets []string) (UserPlace, bool) {
	if q.Disabled != nil && *q.Disabled != u.Disabled {
		return UserPlace{}, false
	}
	if q.Role != "" && !contains(u.Roles, q.Role) {
		return UserPlace{}, false
	}
	text := q.Text()
	switch {
	case text != "":
		key, found := "", u.ID == strings.TrimSpace(q.Search) // before all else
		if !found {
			key, found = smallest(u, wallets, text)
		}
		return UserPlace{key, u.ID}, found
	case q.Order == ByCreated:
		return UserPlace{strconv.FormatInt(u.Created.UnixMicro(), 10), u.ID}, true
	}
	return UserPlace{FoldUsername(u.Username), u.ID}, true
}

func contains(all []string, one string) bool {
	for _, s := range all {
		if s == one {
			return true
		}
	}
	return false
}

// smallest answers the first of the texts of a user that begin so.
func smallest(u User, wallets []string, begin string) (text string, found bool) {
	texts := append(NameTexts(u.Name), FoldUsername(u.Username), u.Email)
	for _, w := range wallets {
		texts = append(texts, WalletText(w))
	}
	for _, s := range texts {
		if strings.HasPrefix(s, begin) && (!found || s < text) {
			text, found = s, true
		}
	}
	return text, found
}

// WalletText answers by what a wallet with this credential key is found: its address, of whatever chain.
func WalletText(key string) string {
	const address = 42
	return strings.ToLower(key[max(0, len(key)-address):])
}

const (
	maxNameTexts = 16
	maxNameText  = 128 // bytes, so that any database can have it in an index
)

// NameTexts answers by what a name is found: the name from each of its words on, in the form in which it is compared.
func NameTexts(name string) []string {
	name = foldText(name)
	var all []string
	inside := false
	for i, r := range name {
		part := unicode.In(r, unicode.Letter, unicode.Number, unicode.Mark)
		if part && !inside && len(all) < maxNameTexts {
			rest := name[i:]
			if len(rest) > maxNameText {
				rest = strings.ToValidUTF8(rest[:maxNameText], "")
			}
			if !contains(all, rest) {
				all = append(all, rest)
			}
		}
		inside = part
	}
	return all
}

// foldText answers one spelling for texts that differ only in case or in space.
func foldText(s string) string {
	s = strings.Map(func(r rune) rune {
		if r == 0 {
			return unicode.ReplacementChar // as what stores keep in its place
		}
		least := r
		for other := unicode.SimpleFold(r); other != r; other = unicode.SimpleFold(other) {
			least = min(least, other)
		}
		return unicode.ToLower(least)
	}, strings.ToValidUTF8(s, "\uFFFD"))
	return strings.Join(strings.Fields(s), " ")
}

// cursor is what a cursor says. It is no secret, and trusted no more than any other text of a client.
type cursor struct {
	Query string `json:"q"` // which query it is of
	Key   string `json:"k"`
	ID    string `json:"i"`
	Sum   string `json:"s"` // tells what somebody has changed, by mistake
}

// Cursor answers the cursor of the page that begins behind a place.
func (q UserQuery) Cursor(last UserPlace) string {
	c := cursor{Query: q.digest(), Key: last.Key, ID: last.ID}
	c.Sum = c.digest()
	b, err := json.Marshal(c)
	if err != nil {
		panic(err) // texts can be written
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// Behind answers the place behind which the page begins, and false where it is the first one.
func (q UserQuery) Behind() (UserPlace, bool, error) {
	if q.After == "" {
		return UserPlace{}, false, nil
	}
	var c cursor
	b, err := base64.RawURLEncoding.Strict().DecodeString(q.After)
	if err == nil {
		err = json.Unmarshal(b, &c)
	}
	place := UserPlace{c.Key, c.ID}
	if err == nil && q.Order == ByCreated && q.Text() == "" {
		_, err = strconv.ParseInt(c.Key, 10, 64)
	}
	// Written anew it must be the same, so that there is one spelling of each.
	if err != nil || q.Cursor(place) != q.After {
		return UserPlace{}, false, fmt.Errorf("authcore: find users: %w", ErrInvalidCursor)
	}
	return place, true, nil
}

func (c cursor) digest() string { return digest("authgate user cursor 1", c.Query, c.Key, c.ID) }

func (q UserQuery) digest() string {
	disabled := "any"
	if q.Disabled != nil {
		disabled = strconv.FormatBool(*q.Disabled)
	}
	order := string(q.Order)
	if order == "" {
		order = string(ByUsername)
	}
	if q.Text() != "" {
		return digest("authgate user search 1", strings.TrimSpace(q.Search), q.Role, disabled)
	}
	return digest("authgate user list 1", q.Role, disabled, order, strconv.FormatBool(q.Descending))
}

func digest(texts ...string) string {
	h := sha256.New()
	writeAll(h.Write, texts...)
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:8])
}
