-- All times are microseconds since 1970, UTC. All booleans are 0 or 1.

-- +goose Up

CREATE TABLE users (
    -- Never given twice: the token of a deleted user must not become another's.
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    username     TEXT    NOT NULL UNIQUE, -- NFKC; compared byte by byte
    password     TEXT    NOT NULL,        -- one of Django's encoded forms
    first_name   TEXT    NOT NULL,
    last_name    TEXT    NOT NULL,
    email        TEXT    NOT NULL,
    is_active    INTEGER NOT NULL,
    is_staff     INTEGER NOT NULL,
    is_superuser INTEGER NOT NULL,
    date_joined  INTEGER NOT NULL,
    last_login   INTEGER                  -- null: never
) STRICT;

CREATE TABLE user_groups (
    user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name    TEXT    NOT NULL,
    PRIMARY KEY (user_id, name)
) STRICT, WITHOUT ROWID;

-- What other processes read to learn that an account is not what it was. Filled
-- by triggers, so that no way of writing can forget it.
CREATE TABLE user_changes (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id    INTEGER NOT NULL, -- no reference: the user may be gone
    changed_at INTEGER NOT NULL
) STRICT;

CREATE INDEX user_changes_changed_at ON user_changes (changed_at);

-- Refresh tokens that were handed out, and those that were revoked.
CREATE TABLE tokens (
    jti        TEXT    PRIMARY KEY,
    user_id    INTEGER REFERENCES users (id) ON DELETE SET NULL,
    issued_at  INTEGER,          -- null: not known
    expires_at INTEGER NOT NULL,
    revoked_at INTEGER           -- null: not revoked
) STRICT, WITHOUT ROWID;

CREATE INDEX tokens_expires_at ON tokens (expires_at);
CREATE INDEX tokens_user_id ON tokens (user_id);

-- +goose StatementBegin
CREATE TRIGGER users_insert AFTER INSERT ON users BEGIN
    INSERT INTO user_changes (user_id, changed_at) VALUES (NEW.id, unixepoch() * 1000000);
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER users_update AFTER UPDATE ON users BEGIN
    INSERT INTO user_changes (user_id, changed_at) VALUES (NEW.id, unixepoch() * 1000000);
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER users_delete AFTER DELETE ON users BEGIN
    INSERT INTO user_changes (user_id, changed_at) VALUES (OLD.id, unixepoch() * 1000000);
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER user_groups_insert AFTER INSERT ON user_groups BEGIN
    INSERT INTO user_changes (user_id, changed_at) VALUES (NEW.user_id, unixepoch() * 1000000);
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER user_groups_update AFTER UPDATE ON user_groups BEGIN
    INSERT INTO user_changes (user_id, changed_at) VALUES (NEW.user_id, unixepoch() * 1000000);
    INSERT INTO user_changes (user_id, changed_at) VALUES (OLD.user_id, unixepoch() * 1000000);
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER user_groups_delete AFTER DELETE ON user_groups BEGIN
    INSERT INTO user_changes (user_id, changed_at) VALUES (OLD.user_id, unixepoch() * 1000000);
END;
-- +goose StatementEnd
