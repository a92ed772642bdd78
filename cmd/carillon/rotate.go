package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/carillon-dev/carillon/config"
	"github.com/carillon-dev/carillon/internal/seal"
	"github.com/carillon-dev/carillon/store"
)

// rotator is who rotates keys, in audit entries.
const rotator = "rotate-keys"

// rotation is what rotate-keys prints in the end.
type rotation struct {
	store.Resealed
	// Removable are the ids of the configured keys that nothing is sealed with any
	// more.
	Removable []string `json:"removable"`
}

// runRotateKeys seals with the newest key all that is sealed with another,
// beside whatever runs. It fails when something is not, in the end.
func runRotateKeys(ctx context.Context, cfg config.Config, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("rotate-keys", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	asJSON := flags.Bool("json", false, "")
	if err := flags.Parse(args); err != nil || flags.NArg() > 0 {
		return usagef("rotate-keys takes --json, to print a JSON object a line, and nothing else; keys are in CARILLON_SECRET_KEY")
	}
	ring, err := check(cfg)
	if err != nil {
		return err
	}
	if err := missingSQLite(cfg); err != nil {
		return usagef("there is no SQLite database to rotate the keys of: %w", err)
	}
	s, err := store.Open(ctx, cfg.DatabaseURL.Reveal(), ring)
	if err != nil {
		return usagef("CARILLON_DATABASE_URL: %w", err)
	}
	defer func() { _ = s.Close() }() // everything is committed
	if err := s.Ping(ctx); err != nil {
		return err
	}
	r := rotating{store: s, ring: ring, out: out, json: *asJSON}
	return r.run(ctx)
}

// missingSQLite returns why there is no SQLite file where one is configured.
func missingSQLite(cfg config.Config) error {
	path, ok := strings.CutPrefix(cfg.DatabaseURL.Reveal(), "sqlite:")
	if !ok {
		return nil
	}
	_, err := os.Stat(path)
	return err
}

// rotating is a rotation under way.
type rotating struct {
	store *store.Store
	ring  *seal.Ring
	out   io.Writer
	json  bool
}

func (r rotating) run(ctx context.Context) error {
	resealed, err := r.store.Reseal(ctx, rotator, time.Now(), r.progress)
	if err != nil {
		return err
	}
	counts, err := r.store.SealedKeys(ctx)
	if err != nil {
		return err
	}
	result := rotation{Resealed: resealed, Removable: removable(r.ring, counts)}
	if err := r.summary(result); err != nil {
		return err
	}
	switch {
	case len(result.Unreadable) > 0:
		return fmt.Errorf("%d of %d secrets cannot be opened: add the key that they were sealed with to CARILLON_SECRET_KEY, "+
			"behind the first; where it is lost, enter them anew", len(result.Unreadable), result.Rows)
	case len(result.Left) > 0 || counts[result.Key] < result.Rows:
		return errors.New("a process still seals with an older key: restart all with the newest key in front, and rotate again")
	}
	return nil
}

// removable are the keys of the ring, but the newest, that seal nothing.
func removable(ring *seal.Ring, counts map[string]int) []string {
	return slices.DeleteFunc(ring.Keys(), func(id string) bool { return id == ring.Newest() || counts[id] > 0 })
}

func (r rotating) progress(column string, resealed, seen int) {
	if r.json {
		_ = r.print(map[string]any{"column": column, "seen": seen, "resealed": resealed})
		return
	}
	_, _ = fmt.Fprintf(r.out, "%s: %d looked at, %d sealed anew\n", column, seen, resealed)
}

func (r rotating) summary(result rotation) error {
	if r.json {
		return r.print(result)
	}
	text := fmt.Sprintf("%d secrets, %d of them sealed anew with the key %s\n", result.Rows, result.Resealed.Resealed, result.Key)
	for _, id := range result.Unreadable {
		text += "cannot be opened: " + id + "\n"
	}
	for _, id := range result.Left {
		text += "changed meanwhile: " + id + "\n"
	}
	if len(result.Removable) > 0 && result.Done() {
		text += "nothing is sealed any more with " + strings.Join(result.Removable, ", ") +
			": once no process seals with it, take it out of CARILLON_SECRET_KEY\n"
	}
	_, err := io.WriteString(r.out, text)
	return err
}

func (r rotating) print(v any) error { return json.NewEncoder(r.out).Encode(v) }
