package main

import (
	"context"
	"fmt"
	"io"

	"github.com/carillon-dev/carillon/config"
	"github.com/carillon-dev/carillon/schema"
)

// runMigrate brings the database's schema up to date.
func runMigrate(ctx context.Context, cfg config.Config, out io.Writer) error {
	if _, err := schema.Parse(cfg.DatabaseURL.Reveal()); err != nil {
		return usagef("CARILLON_DATABASE_URL: %w", err)
	}
	done, err := schema.Migrate(ctx, cfg.DatabaseURL.Reveal())
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%d migrations applied; the database is up to date\n", done)
	return err
}
