-- +goose Up

-- All times are microseconds since 1970 in UTC.

CREATE TABLE users (
	id       TEXT NOT NULL PRIMARY KEY,
	username TEXT NOT NULL,
	folded   TEXT NOT NULL,
	name     TEXT NOT NULL,
	email    TEXT NOT NULL,
	roles    TEXT NOT NULL, -- JSON array
	disabled BIGINT NOT NULL,
	created  BIGINT NOT NULL,
	version  BIGINT NOT NULL
);

-- Every username ever used, in the form in which they are compared. One without a user was a deleted user's and is
-- never given again.
CREATE TABLE usernames (
	folded  TEXT NOT NULL PRIMARY KEY,
	user_id TEXT REFERENCES users (id) ON DELETE SET NULL
);
CREATE INDEX usernames_user ON usernames (user_id);

CREATE TABLE credentials (
	id        TEXT NOT NULL PRIMARY KEY,
	user_id   TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	kind      TEXT NOT NULL,
	key       TEXT NOT NULL,
	name      TEXT NOT NULL,
	data      BYTEA,
	created   BIGINT NOT NULL,
	last_used BIGINT NOT NULL,
	version   BIGINT NOT NULL,
	UNIQUE (kind, key)
);
CREATE INDEX credentials_user ON credentials (user_id, created, id);

CREATE TABLE sessions (
	id               TEXT NOT NULL PRIMARY KEY,
	user_id          TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	origin           TEXT NOT NULL,
	cookie           BIGINT NOT NULL,
	secret_hash      BYTEA NOT NULL,
	refresh_current  BYTEA NOT NULL,
	refresh_previous BYTEA NOT NULL,
	refresh_salt     BYTEA NOT NULL,
	refresh_rotated  BIGINT NOT NULL,
	methods          TEXT NOT NULL, -- JSON array of {method, time}
	created          BIGINT NOT NULL,
	last_seen        BIGINT NOT NULL,
	idle_until       BIGINT NOT NULL,
	absolute_until   BIGINT NOT NULL,
	expires          BIGINT NOT NULL, -- the earlier of the two above
	client_ip        TEXT NOT NULL,
	user_agent       TEXT NOT NULL,
	version          BIGINT NOT NULL
);
CREATE INDEX sessions_user ON sessions (user_id, created, id);
CREATE INDEX sessions_expires ON sessions (expires);

CREATE TABLE signing_keys (
	position BIGINT NOT NULL PRIMARY KEY, -- the order in which they were added
	id       TEXT NOT NULL UNIQUE,
	pkcs8    BYTEA NOT NULL,
	created  BIGINT NOT NULL
);

CREATE TABLE challenges (
	id      BYTEA NOT NULL PRIMARY KEY,
	purpose TEXT NOT NULL,
	origin  TEXT NOT NULL,
	subject TEXT NOT NULL,
	client  TEXT NOT NULL,
	data    BYTEA,
	expires BIGINT NOT NULL
);
CREATE INDEX challenges_expires ON challenges (expires);

CREATE TABLE attempts (
	key    TEXT NOT NULL PRIMARY KEY,
	tries  BIGINT NOT NULL,
	resets BIGINT NOT NULL
);
CREATE INDEX attempts_resets ON attempts (resets);
