package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strings"

	_ "github.com/lib/pq" // PostgreSQL
)

// database are three databases of a PostgreSQL server, of one stack: Carillon's
// and, as Temporal has two, its history and its visibility.
type database struct {
	server *url.URL
	prefix string
}

// newDatabase makes them.
func newDatabase(ctx context.Context, server string) (*database, error) {
	u, err := url.Parse(server)
	if err != nil {
		// Without the error, which repeats the URL with its password.
		return nil, errors.New("-postgres: not a URL of the form postgres://USER:PASSWORD@HOST/DATABASE")
	}
	d := &database{
		server: u, prefix: "carillon_bench_" + strings.ToLower(rand.Text()[:10]),
	}
	if err := d.each(ctx, "CREATE DATABASE "); err != nil {
		d.drop(ctx)
		return nil, err
	}
	return d, nil
}

// names of the three.
func (d *database) names() []string {
	return []string{d.prefix, d.prefix + "_temporal", d.prefix + "_temporal_visibility"}
}

func (d *database) carillon() string { return d.url(d.prefix) }

// temporal is the URL of the history; the server finds its visibility beside it.
func (d *database) temporal() string { return d.url(d.prefix + "_temporal") }

func (d *database) url(name string) string {
	u := *d.server
	u.Path = "/" + name
	return u.String()
}

func (d *database) each(ctx context.Context, statement string) error {
	db, err := sql.Open("postgres", d.server.String())
	if err != nil {
		return fmt.Errorf("-postgres: %w", err)
	}
	defer func() { _ = db.Close() }()
	for _, name := range d.names() {
		if _, err := db.ExecContext(ctx, statement+name); err != nil {
			return fmt.Errorf("-postgres: %s%s: %w", statement, name, err)
		}
	}
	return nil
}

// drop removes them, also when ctx has ended; what is left over has a name that says whose it was.
func (d *database) drop(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), startTimeout)
	defer cancel()
	names := d.names()
	db, err := sql.Open("postgres", d.server.String())
	if err != nil {
		return
	}
	defer func() { _ = db.Close() }()
	for _, name := range names {
		_, _ = db.ExecContext(ctx, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)")
	}
}
