-- +goose Up

-- One row: the oldest schema that a program may know and still work here. A program
-- that knows an older schema than there is looks, when it starts, whether it may.
CREATE TABLE schema_support (
    oldest INTEGER NOT NULL
) STRICT;

INSERT INTO schema_support (oldest) VALUES (3);
