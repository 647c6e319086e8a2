-- +goose Up

-- How old a program may be that works on this schema: it must know at least this version. A step that adds leaves the
-- number alone; one that takes away or changes what older programs use sets it to its own.
CREATE TABLE compatibility (
	usable_from BIGINT NOT NULL PRIMARY KEY
);
INSERT INTO compatibility (usable_from) VALUES (2);

CREATE UNIQUE INDEX users_email ON users (email) WHERE email <> '';

CREATE TABLE confirmations (
	key_hash BYTEA NOT NULL PRIMARY KEY,
	purpose  TEXT NOT NULL,
	subject  TEXT NOT NULL,
	data     BYTEA,
	created  BIGINT NOT NULL,
	expires  BIGINT NOT NULL,
	UNIQUE (purpose, subject)
);
CREATE INDEX confirmations_expires ON confirmations (expires);

CREATE TABLE outbox (
	id      TEXT NOT NULL PRIMARY KEY,
	sealed  BYTEA NOT NULL,
	created BIGINT NOT NULL,
	due     BIGINT NOT NULL,
	tries   BIGINT NOT NULL
);
CREATE INDEX outbox_due ON outbox (due, id);
CREATE INDEX outbox_created ON outbox (created);

-- Ids are given in the order of commits and never twice. The newest row always stays, so that who reads on from a row
-- that is not there any more knows to have missed some; the first is for nobody.
CREATE TABLE notices (
	id      BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	kind    TEXT NOT NULL,
	subject TEXT NOT NULL,
	created BIGINT NOT NULL
);
CREATE INDEX notices_created ON notices (created);
INSERT INTO notices (kind, subject, created) VALUES ('', '', 0);
