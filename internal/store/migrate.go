package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"time"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migrateAttempts is how often two processes that open a new database at the
// same moment may get in each other's way.
const migrateAttempts = 10

// migrate brings the schema up to date. Migrations only go forward.
func migrate(ctx context.Context, e engine, db *sql.DB) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	provider, err := e.provider(db, files)
	if err != nil {
		return err
	}
	for attempt := 1; ; attempt++ {
		_, err = provider.Up(ctx)
		if err == nil {
			break
		}
		// Each migration is one transaction; who lost the race finds the
		// tables made, and next time the migration recorded.
		sentinel := explain(e, err)
		if attempt == migrateAttempts || errors.Is(sentinel, ErrFull) || errors.Is(sentinel, ErrReadOnly) || errors.Is(sentinel, ErrUnavailable) ||
			errors.Is(sentinel, ErrPermission) || errors.Is(sentinel, ErrDamaged) || ctx.Err() != nil {
			return fmt.Errorf("update schema: %w", sentinel)
		}
		time.Sleep(time.Duration(attempt) * 10 * time.Millisecond)
	}
	current, target, err := provider.GetVersions(ctx)
	if err != nil {
		return err
	}
	if current > target {
		return fmt.Errorf("%w: its schema is version %d, this program knows %d: upgrade this program", ErrNewer, current, target)
	}
	return nil
}
