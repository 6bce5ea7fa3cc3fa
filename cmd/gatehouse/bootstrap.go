package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"gatehouse/cmd/gatehouse/internal/audit"
	"gatehouse/cmd/gatehouse/internal/config"
	"gatehouse/users"
)

// bootstrap makes the first user from the section bootstrap, in an empty store alone: a
// container that starts again, or a variable that was forgotten in a manifest,
// changes nobody's password.
func (s *server) bootstrap(ctx context.Context, first config.Bootstrap) error {
	store, logger := s.store, s.logger
	if first.User == "" || store == nil {
		return nil
	}
	if store.Managed() {
		logger.Warn("the first user is not made: users are those of a Django site (store.users); delete the section bootstrap")
		return nil
	}
	present, err := store.Users(ctx)
	if err != nil {
		return fmt.Errorf("looking for users: %w", err)
	}
	if len(present) > 0 {
		return nil
	}
	user, err := store.CreateUser(ctx, users.NewUser{Username: first.User, Email: first.Email(), Password: first.Password, Staff: true, Superuser: true})
	if errors.Is(err, users.ErrExists) {
		return nil // another process was quicker
	}
	if err != nil {
		return err
	}
	_ = s.audit.Write(audit.Record{Event: eventUserCreate, Outcome: audit.Success, ActorType: audit.System, UserID: user.ID, User: user.Username, Detail: map[string]any{"bootstrap": true}})
	logger.Info("created the first user", slog.String("user", user.Username))
	return nil
}
