-- +goose Up

-- The audit log. An event is written without number and hash, and gets both when it is sealed; nothing else of it is ever
-- changed but what is personal, which can be erased.
CREATE TABLE events (
	id            TEXT NOT NULL PRIMARY KEY,
	number        BIGINT, -- place in the chain, from 1 on, without gaps
	time          BIGINT NOT NULL,
	kind          TEXT NOT NULL,
	code          TEXT NOT NULL,
	subject       TEXT NOT NULL, -- no reference: events outlive users
	actor         TEXT NOT NULL,
	session_id    TEXT NOT NULL,
	origin        TEXT NOT NULL,
	client        TEXT NOT NULL,
	user_agent    TEXT NOT NULL,
	detail        TEXT NOT NULL,
	salt          BYTEA, -- of personal_hash; NULL once client, user_agent and detail are erased
	personal_hash BYTEA NOT NULL,
	hash          BYTEA
);
-- Those of sealed events cost nothing while somebody waits to be signed in.
CREATE INDEX events_waiting ON events (time, id) WHERE number IS NULL;
CREATE UNIQUE INDEX events_number ON events (number) WHERE number IS NOT NULL;
CREATE INDEX events_subject ON events (subject, number) WHERE number IS NOT NULL;
CREATE INDEX events_actor ON events (actor, number) WHERE number IS NOT NULL;
CREATE INDEX events_kind ON events (kind, number) WHERE number IS NOT NULL;
CREATE INDEX events_client ON events (client, number) WHERE number IS NOT NULL;

-- Its ends: head is the last event that was sealed, anchor the last that was deleted.
CREATE TABLE event_chain (
	name   TEXT NOT NULL PRIMARY KEY,
	number BIGINT NOT NULL,
	hash   BYTEA NOT NULL
);
