-- +goose Up

-- What is left of the budgets of failed logins: of an account from a network, of an
-- account, of a network. There is a row where something was taken that is not given
-- back yet, and where an account has logged in from a network. Names and addresses are
-- in it as digests.
CREATE TABLE login_budgets (
    bucket      TEXT COLLATE "C" PRIMARY KEY,
    account     TEXT COLLATE "C" NOT NULL, -- whose it is; empty: a network's
    whole_at    BIGINT NOT NULL, -- when everything is given back
    strikes     BIGINT NOT NULL, -- how often it was used up since it was whole
    known_until BIGINT NOT NULL, -- the account has logged in from the network; 0: it has not
    until       BIGINT NOT NULL  -- the later of both, after which the row says nothing
);

CREATE INDEX login_budgets_until ON login_budgets (until);
CREATE INDEX login_budgets_account ON login_budgets (account) WHERE account <> '';

-- What the digests are made with, the same for all that share the store.
CREATE TABLE secrets (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
);

INSERT INTO secrets (name, value) VALUES ('digests', replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''));
