-- +goose Up

CREATE TABLE invites (
	id       TEXT NOT NULL PRIMARY KEY,
	key_hash BLOB NOT NULL UNIQUE,
	roles    TEXT NOT NULL, -- JSON array
	note     TEXT NOT NULL,
	made_by  TEXT NOT NULL, -- the id of a user, who may be gone, or 'operator'
	created  INTEGER NOT NULL,
	expires  INTEGER NOT NULL,
	uses     INTEGER NOT NULL, -- how many accounts may be opened with it
	used     INTEGER NOT NULL -- how many were
) STRICT, WITHOUT ROWID;
CREATE INDEX invites_expires ON invites (expires);
CREATE INDEX invites_created ON invites (created, id);
