-- +goose Up

-- Users who log in by their e-mail address are looked up by it. It is not unique, as
-- Django's is not.
CREATE INDEX users_email ON users (email);
