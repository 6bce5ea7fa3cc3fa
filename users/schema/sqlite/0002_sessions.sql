-- All times are microseconds since 1970, UTC.

-- +goose Up

-- A session is what begins with a login and goes on from refresh token to refresh
-- token. The ids of all its tokens share 60 bits, its family.
CREATE TABLE sessions (
    family       INTEGER PRIMARY KEY,
    -- null: its tokens name nobody who is known
    user_id      INTEGER REFERENCES users (id) ON DELETE CASCADE,
    created_at   INTEGER NOT NULL,
    used_at      INTEGER NOT NULL, -- by its latest refresh
    expires_at   INTEGER NOT NULL, -- of the refresh token that lives longest
    access_until INTEGER NOT NULL, -- of the access token that lives longest
    ended_at     INTEGER,          -- null: it goes on
    address      TEXT    NOT NULL, -- of who began it; empty: not known
    user_agent   TEXT    NOT NULL
) STRICT;

CREATE INDEX sessions_user_id ON sessions (user_id);
CREATE INDEX sessions_expires_at ON sessions (expires_at);
CREATE INDEX sessions_ended ON sessions (access_until) WHERE ended_at IS NOT NULL;

-- What a refresh token was exchanged for, so that it can be answered again: the
-- ids of both new tokens and their moment.
ALTER TABLE tokens ADD COLUMN family INTEGER; -- null: recorded before there were sessions
ALTER TABLE tokens ADD COLUMN next_jti TEXT;  -- null: not exchanged
ALTER TABLE tokens ADD COLUMN access_jti TEXT;
ALTER TABLE tokens ADD COLUMN rotated_at INTEGER;

CREATE INDEX tokens_family ON tokens (family);

-- All sessions of the user that began before were ended then; null: never.
ALTER TABLE users ADD COLUMN sessions_ended_at INTEGER;

-- The family that ended; null: something else about the user changed.
ALTER TABLE user_changes ADD COLUMN family INTEGER;

-- +goose StatementBegin
CREATE TRIGGER sessions_end AFTER UPDATE OF ended_at ON sessions WHEN NEW.ended_at IS NOT NULL BEGIN
    INSERT INTO user_changes (user_id, changed_at, family) VALUES (COALESCE(NEW.user_id, 0), unixepoch() * 1000000, NEW.family);
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER sessions_insert_ended AFTER INSERT ON sessions WHEN NEW.ended_at IS NOT NULL BEGIN
    INSERT INTO user_changes (user_id, changed_at, family) VALUES (COALESCE(NEW.user_id, 0), unixepoch() * 1000000, NEW.family);
END;
-- +goose StatementEnd
