-- +goose Up

-- What a site wants to know of a user beside the columns of Django: texts by name, as
-- one JSON object, whose names are sorted. They are read with the account, and so are
-- of the same moment.
ALTER TABLE users ADD COLUMN attributes TEXT NOT NULL DEFAULT '{}';

-- A change of them is one of the user.
DROP TRIGGER users_changed ON users;

CREATE CONSTRAINT TRIGGER users_changed AFTER INSERT OR DELETE
    OR UPDATE OF username, password, first_name, last_name, email, is_active, is_staff, is_superuser, sessions_ended_at, attributes ON users
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION users_changed();
