package sqlstore

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/caddy-authgate/authgate/authcore"
)

const (
	// maxLooked is how many users one page looks at, at most: what is asked for may be rare among what an index finds.
	maxLooked = 5000
	// fewOfRole is how many users of a role are looked at one by one rather than all who are found by a text.
	fewOfRole = 1000
	// mostAtOnce is how many users are read at once.
	mostAtOnce = 500
)

// FindUsers implements authcore.Directory. In a transaction it finds users whom an older program wrote as they were before.
func (s *Store) FindUsers(ctx context.Context, q authcore.UserQuery) (page authcore.UserPage, err error) {
	last, later, err := q.Behind()
	if err != nil {
		return page, explain(ctx, "find users", verdict{err})
	}
	if s.tx == nil {
		if err := s.searchable(ctx, indexedBySearch); err != nil {
			return page, err
		}
	}
	q.Limit = cmp.Or(max(q.Limit, 0), 50)
	err = s.read(ctx, "find users", func(ctx context.Context, r run) error {
		page = authcore.UserPage{}
		w, err := r.way(ctx, q)
		if err != nil {
			return err
		}
		page, err = r.page(ctx, q, w, last, later)
		return err
	})
	return page, err
}

// CountUsers implements authcore.Directory.
func (s *Store) CountUsers(ctx context.Context) (n int, err error) {
	const exact = 50_000
	err = s.read(ctx, "count users", func(ctx context.Context, r run) error {
		if r.dialect.CountUsers == "" {
			_, err := r.row(ctx, `SELECT count(*) FROM users`, nil, &n)
			return err
		}
		_, err := r.row(ctx, `SELECT count(*) FROM (SELECT 1 FROM users LIMIT ?) u`, []any{exact + 1}, &n)
		if err != nil || n <= exact {
			return err
		}
		var guess int
		_, err = r.row(ctx, r.dialect.CountUsers, nil, &guess)
		n = max(n, guess)
		return err
	})
	return n, err
}

// source is an index that knows places in a list of users, sorted.
type source struct {
	from  string // table and what else is said of it
	where string // with arguments args; may be empty
	args  []any
	key   string // the column or expression by which it is sorted
	id    string
}

// way is how the users of a query are come by: through one or several sources, merged, or else all of few.
type way struct {
	sources []source
	number  bool // keys are numbers
	upto    string
	down    bool
	few     []string // ids of all who may be chosen, in no order
	all     bool     // few holds them
}

// way chooses what to go through: what is likely to find few whom the query does not choose.
func (r run) way(ctx context.Context, q authcore.UserQuery) (way, error) {
	c := r.dialect.Bytewise
	text := q.Text()
	if text == "" {
		w := way{number: q.Order == authcore.ByCreated, down: q.Descending}
		one := source{from: "users", key: "folded" + c, id: "id" + c}
		switch {
		case q.Role != "":
			one = source{from: "user_roles", where: "role = ?", args: []any{q.Role}, key: "folded", id: "user_id"}
		case q.Disabled != nil && *q.Disabled:
			one.where = "disabled = 1"
		}
		if w.number {
			one.key = "created"
		}
		w.sources = []source{one}
		return w, nil
	}
	if q.Role != "" {
		ids, err := r.texts(ctx, `SELECT user_id FROM user_roles WHERE role = ? LIMIT ?`, q.Role, fewOfRole+1)
		if err != nil || len(ids) <= fewOfRole {
			return way{few: ids, all: true}, err
		}
	}
	return way{upto: following(text), sources: []source{
		{from: "users", key: "folded" + c, id: "id" + c},
		{from: "users", where: "email <> ''", key: "email" + c, id: "id" + c},
		{from: "user_names", key: "text", id: "user_id"},
		// As the index has it.
		{from: "credentials", where: "kind = 'wallet'", key: "lower(substr(key, length(key) - 41)" + c + ")", id: "user_id" + c},
	}}, nil
}

// following answers a text behind all that begin with this one, and before all others that are behind it.
func following(s string) string {
	for s != "" {
		last, size := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-size]
		switch {
		case last == 0xD7FF: // what follows are no characters but halves of some
			return s + string(rune(0xE000))
		case last < utf8.MaxRune:
			return s + string(last+1)
		}
	}
	return strings.Repeat(string(utf8.MaxRune), 64)
}

// page answers the users behind a place.
func (r run) page(ctx context.Context, q authcore.UserQuery, w way, last authcore.UserPlace, later bool) (authcore.UserPage, error) {
	if w.all {
		return r.pageOfFew(ctx, q, w.few, last, later)
	}
	var page authcore.UserPage
	var at authcore.UserPlace // of the last one on the page
	text := q.Text()
	if text != "" && !later {
		// Whole ids come before all else.
		if err := r.whole(ctx, q, &page); err != nil {
			return page, err
		} else if len(page.Users) == 1 {
			at = authcore.UserPlace{ID: page.Users[0].ID}
		}
	}
	if text != "" && last.Key < text {
		last, later = authcore.UserPlace{Key: text}, true // behind nobody: ids are not empty
	}
	for looked, n := 0, q.Limit+1; ; n = min(4*n, mostAtOnce) {
		places, err := r.places(ctx, w, last, later, min(n, mostAtOnce))
		if err != nil {
			return page, err
		}
		found, err := r.chosen(ctx, q, places)
		if err != nil {
			return page, err
		}
		for _, one := range found {
			if len(page.Users) == q.Limit {
				page.Next = q.Cursor(at)
				return page, nil
			}
			page.Users, at = append(page.Users, one.user), one.UserPlace
		}
		if len(places) < min(n, mostAtOnce) {
			return page, nil
		}
		last, later = places[len(places)-1], true
		if looked += len(places); looked >= maxLooked {
			page.Next = q.Cursor(last)
			return page, nil
		}
	}
}

// pageOfFew answers the same from a list that holds all users who may be chosen.
func (r run) pageOfFew(ctx context.Context, q authcore.UserQuery, ids []string, last authcore.UserPlace, later bool) (page authcore.UserPage, err error) {
	var all []placed
	for part := range slices.Chunk(ids, mostAtOnce) {
		found, err := r.users(ctx, q, part)
		if err != nil {
			return page, err
		}
		for _, one := range found {
			if !later || q.Compare(one.UserPlace, last) > 0 {
				all = append(all, one)
			}
		}
	}
	slices.SortFunc(all, func(a, b placed) int { return q.Compare(a.UserPlace, b.UserPlace) })
	if len(all) > q.Limit {
		all = all[:q.Limit]
		page.Next = q.Cursor(all[q.Limit-1].UserPlace)
	}
	for _, one := range all {
		page.Users = append(page.Users, one.user)
	}
	return page, nil
}

// whole adds the user whose id is searched for, where the query chooses the user.
func (r run) whole(ctx context.Context, q authcore.UserQuery, page *authcore.UserPage) error {
	found, err := r.users(ctx, q, []string{strings.TrimSpace(q.Search)})
	if err == nil && len(found) == 1 && found[0].Key == "" {
		page.Users = append(page.Users, found[0].user)
	}
	return err
}

// places answers the next n places behind one, in order, each once.
func (r run) places(ctx context.Context, w way, last authcore.UserPlace, later bool, n int) ([]authcore.UserPlace, error) {
	var all []authcore.UserPlace
	for _, one := range w.sources {
		statement, args := one.statement(w, last, later, n)
		err := r.each(ctx, statement, args, func(scan func(...any) error) error {
			var p authcore.UserPlace
			if err := scan(&p.Key, &p.ID); err != nil {
				return err
			}
			all = append(all, p)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	if len(w.sources) > 1 {
		slices.SortFunc(all, func(a, b authcore.UserPlace) int { return cmp.Or(cmp.Compare(a.Key, b.Key), cmp.Compare(a.ID, b.ID)) })
		all = slices.Compact(all)
		all = all[:min(n, len(all))]
	}
	return all, nil
}

// statement asks a source for the next n places behind one.
func (one source) statement(w way, last authcore.UserPlace, later bool, n int) (string, []any) {
	var where []string
	args := slices.Clone(one.args)
	if one.where != "" {
		where = append(where, one.where)
	}
	than, direction := ">", ""
	if w.down {
		than, direction = "<", " DESC"
	}
	if later {
		where = append(where, "("+one.key+", "+one.id+") "+than+" (?, ?)")
		var key any = last.Key
		if w.number {
			key, _ = strconv.ParseInt(last.Key, 10, 64)
		}
		args = append(args, key, last.ID)
	}
	if w.upto != "" {
		where = append(where, one.key+" < ?")
		args = append(args, w.upto)
	}
	statement := "SELECT " + one.key + ", " + one.id + " FROM " + one.from
	if len(where) > 0 {
		statement += " WHERE " + strings.Join(where, " AND ")
	}
	return statement + " ORDER BY " + one.key + direction + ", " + one.id + direction + " LIMIT ?", append(args, n)
}

// placed is a user and where in the list of a query.
type placed struct {
	authcore.UserPlace
	user authcore.User
}

// chosen answers the users at places whom the query chooses, in the same order. Who is found by several texts is so at the
// smallest only, and who was changed since the index was read perhaps at none.
func (r run) chosen(ctx context.Context, q authcore.UserQuery, places []authcore.UserPlace) ([]placed, error) {
	if len(places) == 0 {
		return nil, nil
	}
	ids := make([]string, len(places))
	for i, p := range places {
		ids[i] = p.ID
	}
	slices.Sort(ids)
	found, err := r.users(ctx, q, slices.Compact(ids))
	if err != nil {
		return nil, err
	}
	at := make(map[authcore.UserPlace]authcore.User, len(found))
	for _, one := range found {
		at[one.UserPlace] = one.user
	}
	var all []placed
	for _, p := range places {
		if u, ok := at[p]; ok {
			all = append(all, placed{p, u})
		}
	}
	return all, nil
}

// users answers those users whom the query chooses, and where, in no order.
func (r run) users(ctx context.Context, q authcore.UserQuery, ids []string) ([]placed, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	in, args := placeholders(ids)
	wallets := map[string][]string{}
	if q.Text() != "" {
		err := r.each(ctx, `SELECT user_id, key FROM credentials WHERE kind = 'wallet' AND user_id IN (`+in+`)`, slices.Clone(args),
			func(scan func(...any) error) error {
				var id, key string
				err := scan(&id, &key)
				wallets[id] = append(wallets[id], key)
				return err
			})
		if err != nil {
			return nil, err
		}
	}
	var all []placed
	err := r.each(ctx, `SELECT `+userColumns+` FROM users u WHERE u.id IN (`+in+`)`, args, func(scan func(...any) error) error {
		u, err := scanUser(scan)
		if err != nil {
			return err
		}
		if place, chosen := q.Place(u, wallets[u.ID]); chosen {
			all = append(all, placed{place, u})
		}
		return nil
	})
	return all, err
}

// texts answers the one column of a statement.
func (r run) texts(ctx context.Context, statement string, args ...any) (all []string, err error) {
	err = r.each(ctx, statement, args, func(scan func(...any) error) error {
		var s string
		err := scan(&s)
		all = append(all, s)
		return err
	})
	return all, err
}

// placeholders answers as many placeholders as there are texts, and them as arguments.
func placeholders(texts []string) (marks string, args []any) {
	args = make([]any, len(texts))
	for i, s := range texts {
		args[i] = s
	}
	return strings.TrimSuffix(strings.Repeat("?, ", len(texts)), ", "), args
}

func scanUser(scan func(...any) error) (u authcore.User, err error) {
	var roles []byte
	var disabled int
	var created int64
	if err := scan(&u.ID, &u.Username, &u.Name, &u.Email, &roles, &disabled, &created, &u.Version); err != nil {
		return authcore.User{}, err
	}
	u.Disabled, u.Created = disabled != 0, instant(created)
	return u, json.Unmarshal(roles, &u.Roles)
}
