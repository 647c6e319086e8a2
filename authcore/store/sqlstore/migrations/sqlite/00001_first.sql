-- +goose Up

-- All times are microseconds since 1970 in UTC.

CREATE TABLE users (
	id       TEXT NOT NULL PRIMARY KEY,
	username TEXT NOT NULL,
	folded   TEXT NOT NULL,
	name     TEXT NOT NULL,
	email    TEXT NOT NULL,
	roles    TEXT NOT NULL, -- JSON array
	disabled INTEGER NOT NULL,
	created  INTEGER NOT NULL,
	version  INTEGER NOT NULL
) STRICT;

-- Every username ever used, in the form in which they are compared. One without a user was a deleted user's and is
-- never given again.
CREATE TABLE usernames (
	folded  TEXT NOT NULL PRIMARY KEY,
	user_id TEXT REFERENCES users (id) ON DELETE SET NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX usernames_user ON usernames (user_id);

CREATE TABLE credentials (
	id        TEXT NOT NULL PRIMARY KEY,
	user_id   TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	kind      TEXT NOT NULL,
	key       TEXT NOT NULL,
	name      TEXT NOT NULL,
	data      BLOB,
	created   INTEGER NOT NULL,
	last_used INTEGER NOT NULL,
	version   INTEGER NOT NULL,
	UNIQUE (kind, key)
) STRICT;
CREATE INDEX credentials_user ON credentials (user_id, created, id);

CREATE TABLE sessions (
	id               TEXT NOT NULL PRIMARY KEY,
	user_id          TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	origin           TEXT NOT NULL,
	cookie           INTEGER NOT NULL,
	secret_hash      BLOB NOT NULL,
	refresh_current  BLOB NOT NULL,
	refresh_previous BLOB NOT NULL,
	refresh_salt     BLOB NOT NULL,
	refresh_rotated  INTEGER NOT NULL,
	methods          TEXT NOT NULL, -- JSON array of {method, time}
	created          INTEGER NOT NULL,
	last_seen        INTEGER NOT NULL,
	idle_until       INTEGER NOT NULL,
	absolute_until   INTEGER NOT NULL,
	expires          INTEGER NOT NULL, -- the earlier of the two above
	client_ip        TEXT NOT NULL,
	user_agent       TEXT NOT NULL,
	version          INTEGER NOT NULL
) STRICT;
CREATE INDEX sessions_user ON sessions (user_id, created, id);
CREATE INDEX sessions_expires ON sessions (expires);

CREATE TABLE signing_keys (
	position INTEGER NOT NULL PRIMARY KEY, -- the order in which they were added
	id       TEXT NOT NULL UNIQUE,
	pkcs8    BLOB NOT NULL,
	created  INTEGER NOT NULL
) STRICT;

CREATE TABLE challenges (
	id      BLOB NOT NULL PRIMARY KEY,
	purpose TEXT NOT NULL,
	origin  TEXT NOT NULL,
	subject TEXT NOT NULL,
	client  TEXT NOT NULL,
	data    BLOB,
	expires INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX challenges_expires ON challenges (expires);

CREATE TABLE attempts (
	key    TEXT NOT NULL PRIMARY KEY,
	tries  INTEGER NOT NULL,
	resets INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX attempts_resets ON attempts (resets);
