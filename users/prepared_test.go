package users

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"testing"
	"time"
)

// The connection of the writer is another one now and then, and statements that were
// read on the old one are read anew; there are not more of them for that.
func TestPreparedStatementsOutliveTheirConnection(t *testing.T) {
	onEach(t, func(t *testing.T, in Config) {
		s := openBare(t, in, Parts{})
		known := len(s.prepared)
		if (known > 0) != s.dialect.forgets {
			t.Fatalf("%d statements are prepared", known)
		}
		family := NewFamily()
		old := Token{ID: family.NewTokenID(), Expires: time.Now().Add(time.Hour)}
		for i := range 5 {
			next := Token{ID: family.NewTokenID(), Expires: old.Expires}
			_, err := s.RenewSession(t.Context(), Renewal{Old: old, AccessID: family.NewTokenID(), AccessUntil: old.Expires, Next: &next, RevokeOld: true})
			if err != nil {
				t.Fatalf("on connection %d: %v", i+1, err)
			}
			old = next
			breakConnection(t, s.writer)
		}
		if len(s.prepared) != known {
			t.Errorf("%d statements are prepared, and %d were", len(s.prepared), known)
		}
	})
}

func breakConnection(t *testing.T, db *sql.DB) {
	t.Helper()
	conn, err := db.Conn(context.WithoutCancel(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Raw(func(any) error { return driver.ErrBadConn })
	_ = conn.Close()
}
