-- +goose Up

-- What a site wants to know of a user beside the columns of Django: texts by name, as
-- one JSON object, whose names are sorted. They are read with the account, and so are
-- of the same moment.
ALTER TABLE users ADD COLUMN attributes TEXT NOT NULL DEFAULT '{}';
