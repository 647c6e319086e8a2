package sqlstore

// kind is what a column holds, whatever the database calls its type.
type kind byte

const (
	text   kind = iota
	list        // text that is a JSON array
	number      // 64 bits
	blob        // bytes; without any it is the same as NULL, where that is allowed
	hash32      // 32 bytes
)

type column struct {
	name string
	kind kind
	null bool // NULL is allowed
}

type table struct {
	name string
	// since is the version of the schema that added it: a dump of an older one is without it.
	since   int64
	columns []column
}

// durable is everything that a dump holds: what was acknowledged and is not for the moment. Challenges, attempts and notices
// are. Tables stand after those they refer to.
//
// A later release that adds a table or a column adds it here too, and what its absence means in a dump from before.
var durable = []table{
	{"users", 1, []column{
		{"id", text, false},
		{"username", text, false},
		{"folded", text, false},
		{"name", text, false},
		{"email", text, false},
		{"roles", list, false},
		{"disabled", number, false},
		{"created", number, false},
		{"version", number, false},
	}},
	{"usernames", 1, []column{
		{"folded", text, false},
		{"user_id", text, true},
	}},
	{"credentials", 1, []column{
		{"id", text, false},
		{"user_id", text, false},
		{"kind", text, false},
		{"key", text, false},
		{"name", text, false},
		{"data", blob, true},
		{"created", number, false},
		{"last_used", number, false},
		{"version", number, false},
	}},
	{"sessions", 1, []column{
		{"id", text, false},
		{"user_id", text, false},
		{"origin", text, false},
		{"cookie", number, false},
		{"secret_hash", hash32, false},
		{"refresh_current", hash32, false},
		{"refresh_previous", hash32, false},
		{"refresh_salt", hash32, false},
		{"refresh_rotated", number, false},
		{"methods", list, false},
		{"created", number, false},
		{"last_seen", number, false},
		{"idle_until", number, false},
		{"absolute_until", number, false},
		{"expires", number, false},
		{"client_ip", text, false},
		{"user_agent", text, false},
		{"version", number, false},
	}},
	{"signing_keys", 1, []column{
		{"position", number, false},
		{"id", text, false},
		{"pkcs8", blob, false},
		{"created", number, false},
	}},
	{"confirmations", 2, []column{
		{"key_hash", hash32, false},
		{"purpose", text, false},
		{"subject", text, false},
		{"data", blob, true},
		{"created", number, false},
		{"expires", number, false},
	}},
	{"outbox", 2, []column{
		{"id", text, false},
		{"sealed", blob, false},
		{"created", number, false},
		{"due", number, false},
		{"tries", number, false},
	}},
	{"invites", 3, []column{
		{"id", text, false},
		{"key_hash", hash32, false},
		{"roles", list, false},
		{"note", text, false},
		{"made_by", text, false},
		{"created", number, false},
		{"expires", number, false},
		{"uses", number, false},
		{"used", number, false},
	}},
	{"personal_access_tokens", 6, []column{
		{"id", text, false},
		{"user_id", text, false},
		{"origin", text, false},
		{"name", text, false},
		{"secret_hash", hash32, false},
		{"all_roles", number, false},
		{"roles", list, false},
		{"paths", list, false},
		{"created", number, false},
		{"expires", number, true},
		{"last_used", number, true},
	}},
	{"events", 4, []column{
		{"id", text, false},
		{"number", number, true},
		{"time", number, false},
		{"kind", text, false},
		{"code", text, false},
		{"subject", text, false},
		{"actor", text, false},
		{"session_id", text, false},
		{"origin", text, false},
		{"client", text, false},
		{"user_agent", text, false},
		{"detail", text, false},
		{"salt", blob, true},
		{"personal_hash", hash32, false},
		{"hash", hash32, true},
	}},
	{"event_chain", 4, []column{
		{"name", text, false},
		{"number", number, false},
		{"hash", hash32, false},
	}},
}
