-- +goose Up

-- What all replicas together have taken from budgets of requests, such as those of the
-- refresh endpoint. Each of them counts by itself, and adds to a row now and then. What
-- is lost with the server need not be kept: replicas know what they have counted.
CREATE UNLOGGED TABLE request_budgets (
    bucket   TEXT COLLATE "C" PRIMARY KEY, -- a digest of its kind and of whose it is
    whole_at BIGINT NOT NULL               -- when everything is given back, after which the row says nothing
);
