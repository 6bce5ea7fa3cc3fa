package users

import (
	"context"
	"errors"
	"strings"
	"sync"
	"unicode"

	"golang.org/x/text/cases"
)

// spelled is a name that was typed in the one spelling in which it has budgets, the same
// for a name that somebody has and one that nobody has: where the first come in many
// spellings and the second do not, counting tells who exists.
func (s *Store) spelled(ctx context.Context, by Column, name string) (string, error) {
	if s.site == nil {
		return name, nil // the store holds no two spellings for one
	}
	u, err := s.AccountBy(ctx, by, name)
	switch {
	case err != nil && !errors.Is(err, ErrNotFound):
		return "", err
	case err == nil && by == ByEmail:
		name = u.Email
	case err == nil:
		name = u.Username
	}
	folds, err := s.site.folds(ctx, by)
	if err != nil || !folds {
		return name, err
	}
	return cases.Fold().String(name), nil
}

// AccountBy is [Store.UserBy] for who wants no more than whose a name is: it asks as
// much for a name that somebody has as for one that nobody has, and notes nothing of
// whom it finds.
func (s *Store) AccountBy(ctx context.Context, by Column, value string) (User, error) {
	if s.site == nil {
		return s.UserBy(ctx, by, value)
	}
	if !findable(value) {
		return User{}, ErrNotFound
	}
	return s.site.user(ctx, by, value)
}

// folding remembers of which columns a site takes Ada for ada, because of their
// collation or their type (NOCASE, citext).
type folding struct {
	mu      sync.Mutex
	columns map[Column]bool
}

// folds tells whether a column of the site is such a one. That is found out once, by
// asking for a name that somebody has in another spelling; where nobody has a name there
// is nothing to tell either.
func (s *site) folds(ctx context.Context, by Column) (bool, error) {
	s.folding.mu.Lock()
	defer s.folding.mu.Unlock()
	if folds, known := s.folding.columns[by]; known {
		return folds, nil
	}
	name := s.how.column(string(by))
	if name == "" {
		return false, nil
	}
	known, folds := false, false
	err := s.read(ctx, func(ctx context.Context, d *djangoTables) error {
		known, folds = false, false
		column := quoted(name)
		from := "SELECT " + column + " FROM " + s.engine.table(s.table()) + " WHERE " + column
		some, err := d.texts(ctx, from+" <> '' LIMIT 100")
		for i := 0; i < len(some) && err == nil && !known; i++ {
			other := strings.Map(otherCase, some[i])
			if other == some[i] {
				continue
			}
			var found []string
			found, err = d.texts(ctx, from+" = $1 LIMIT 10", other)
			known = true
			for _, one := range found {
				folds = folds || one == some[i]
			}
		}
		return err
	})
	if err != nil {
		return false, errors.Join(errSite, err)
	}
	if known {
		if s.folding.columns == nil {
			s.folding.columns = map[Column]bool{}
		}
		s.folding.columns[by] = folds
	}
	return folds, nil
}

// otherCase changes letters of ASCII alone, which all that fold agree about.
func otherCase(r rune) rune {
	switch {
	case r > unicode.MaxASCII:
		return r
	case unicode.IsUpper(r):
		return unicode.ToLower(r)
	}
	return unicode.ToUpper(r)
}
