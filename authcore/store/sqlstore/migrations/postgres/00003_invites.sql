-- +goose Up

CREATE TABLE invites (
	id       TEXT NOT NULL PRIMARY KEY,
	key_hash BYTEA NOT NULL UNIQUE,
	roles    TEXT NOT NULL, -- JSON array
	note     TEXT NOT NULL,
	made_by  TEXT NOT NULL, -- the id of a user, who may be gone, or 'operator'
	created  BIGINT NOT NULL,
	expires  BIGINT NOT NULL,
	uses     BIGINT NOT NULL, -- how many accounts may be opened with it
	used     BIGINT NOT NULL -- how many were
);
CREATE INDEX invites_expires ON invites (expires);
CREATE INDEX invites_created ON invites (created, id);
