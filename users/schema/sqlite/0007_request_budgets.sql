-- +goose Up

-- As with PostgreSQL, where replicas share budgets of requests. A file has one process,
-- which counts in memory: the table stays empty.
CREATE TABLE request_budgets (
    bucket   TEXT PRIMARY KEY,
    whole_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
