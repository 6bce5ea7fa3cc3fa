package users

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/pressly/goose/v3"
)

// The rule of the schema: a step only adds what programs of before can do without
// (tables, columns that may be null or have a default, indexes), and what is no
// longer used is removed one release later at the earliest. So replicas of two
// releases work on one database, and an old one may start while a newer schema is
// there. A step that breaks the rule raises schema_support.oldest; then an older
// program that is running must be ended first, and none starts.

// migrate applies what is missing of the schema.
func (s *Store) migrate(ctx context.Context) error {
	folder, err := fs.Sub(schemas, s.dialect.schema)
	if err != nil {
		return err
	}
	options := []goose.ProviderOption{goose.WithDisableGlobalRegistry(true)}
	if s.dialect.options != nil {
		more, err := s.dialect.options()
		if err != nil {
			return err
		}
		options = append(options, more...)
	}
	db := s.writer
	if s.dialect.migrator != nil {
		if db, err = s.dialect.migrator(); err != nil {
			return err
		}
		defer func() { _ = db.Close() }()
	}
	provider, err := goose.NewProvider(s.dialect.goose, db, folder, options...)
	if err != nil {
		return err
	}
	// Several processes may start at once. PostgreSQL has a lock for that. SQLite has
	// none that outlives a transaction, but each step is one, so whoever comes second
	// fails at the step, whole, and finds it done when looking again.
	again := func(err error) bool { _, fault := errors.AsType[*Fault](err); return !fault }
	first := true
	return patiently(ctx, again, func() error {
		have, want, err := provider.GetVersions(ctx)
		if err == nil {
			if first {
				s.schema[0], first = have, false
			}
			s.schema[1] = max(have, want)
		}
		if err == nil && have > want {
			return s.acceptNewer(ctx, have, want)
		}
		if err == nil && have < want {
			_, err = provider.Up(ctx)
		}
		if err != nil {
			return fmt.Errorf("bring the schema up to date: %w", err)
		}
		return nil
	})
}

// acceptNewer tells whether a schema that is newer than what is known here may be
// worked on.
func (s *Store) acceptNewer(ctx context.Context, have, want int64) error {
	var oldest int64
	err := s.writer.QueryRowContext(ctx, `SELECT oldest FROM schema_support`).Scan(&oldest)
	if err == nil && oldest <= want {
		s.logger.WarnContext(ctx, "the database was written by a newer gatehouse, and this one may work on it; run the newer version everywhere",
			slog.Int64("schema", have), slog.Int64("known", want))
		return nil
	}
	return &Fault{
		At:      "dsn",
		Problem: fmt.Sprintf("the database %s has schema %d and was written by a newer gatehouse; this one knows schema %d", s.dialect.place, have, want),
		Fix:     "run the newer version, or restore the backup that was made before it",
		Err:     err,
	}
}
