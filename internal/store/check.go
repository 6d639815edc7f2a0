package store

import (
	"context"
	"fmt"
)

// Check reads the whole database and says what is wrong with it, one sentence
// each: damaged pages and indexes, as far as the database tells, and references
// to what is not there. It takes time in proportion to the size of the data.
func (db *DB) Check(ctx context.Context) (problems []string, err error) {
	err = db.View(ctx, func(tx *Tx) error {
		problems, err = db.engine.check(tx)
		return err
	})
	if err != nil {
		return problems, fmt.Errorf("check database: %w", err)
	}
	return problems, nil
}
