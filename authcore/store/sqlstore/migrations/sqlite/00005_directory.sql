-- +goose Up

-- What users are found by beside what their own rows tell. It follows from those rows, and programs that are older than
-- this step write them without it: searchable is the version of a user for which it was written, and where that is
-- another one it is written anew before somebody searches.
ALTER TABLE users ADD COLUMN searchable INTEGER NOT NULL DEFAULT -1;
CREATE INDEX users_unsearchable ON users (id) WHERE searchable <> version;

-- The names of users, from each of their words on, without case.
CREATE TABLE user_names (
	text    TEXT NOT NULL,
	user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	PRIMARY KEY (text, user_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX user_names_user ON user_names (user_id);

-- The roles of users, each with all by which users are sorted.
CREATE TABLE user_roles (
	role    TEXT NOT NULL,
	folded  TEXT NOT NULL,
	created INTEGER NOT NULL,
	user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
	PRIMARY KEY (role, folded, user_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX user_roles_created ON user_roles (role, created, user_id);
CREATE INDEX user_roles_user ON user_roles (user_id);

CREATE INDEX users_folded ON users (folded, id);
CREATE INDEX users_created ON users (created, id);
CREATE INDEX users_disabled_folded ON users (folded, id) WHERE disabled = 1;
CREATE INDEX users_disabled_created ON users (created, id) WHERE disabled = 1;
CREATE INDEX users_email_sorted ON users (email, id) WHERE email <> '';
CREATE INDEX credentials_wallet ON credentials (kind, lower(substr(key, length(key) - 41)), user_id) WHERE kind = 'wallet';
