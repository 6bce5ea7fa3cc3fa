-- +goose Up

-- What is left of the budgets of failed logins: of an account from a network, of an
-- account, of a network. There is a row where something was taken that is not given
-- back yet, and where an account has logged in from a network. Names and addresses are
-- in it as digests.
CREATE TABLE login_budgets (
    bucket      TEXT PRIMARY KEY,
    account     TEXT NOT NULL, -- whose it is; empty: a network's
    whole_at    INTEGER NOT NULL, -- when everything is given back
    strikes     INTEGER NOT NULL, -- how often it was used up since it was whole
    known_until INTEGER NOT NULL, -- the account has logged in from the network; 0: it has not
    until       INTEGER NOT NULL  -- the later of both, after which the row says nothing
) STRICT, WITHOUT ROWID;

CREATE INDEX login_budgets_until ON login_budgets (until);
CREATE INDEX login_budgets_account ON login_budgets (account) WHERE account <> '';

-- What the digests are made with, the same for all that share the store.
CREATE TABLE secrets (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;

INSERT INTO secrets (name, value) VALUES ('digests', lower(hex(randomblob(32))));
