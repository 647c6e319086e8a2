-- +goose Up

-- What programs present in place of a session. Of a token only the hash is stored.
CREATE TABLE personal_access_tokens (
	id          TEXT NOT NULL PRIMARY KEY,
	user_id     TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	origin      TEXT NOT NULL,
	name        TEXT NOT NULL,
	secret_hash BLOB NOT NULL,
	all_roles   INTEGER NOT NULL, -- 1: all that its owner has; 0: those in roles
	roles       TEXT NOT NULL, -- JSON array
	paths       TEXT NOT NULL, -- JSON array; empty: any
	created     INTEGER NOT NULL,
	expires     INTEGER, -- NULL: never
	last_used   INTEGER -- NULL: never
) STRICT, WITHOUT ROWID;
CREATE INDEX personal_access_tokens_user ON personal_access_tokens (user_id, created, id);
CREATE INDEX personal_access_tokens_expires ON personal_access_tokens (expires) WHERE expires IS NOT NULL;
