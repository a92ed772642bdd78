package store_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/internal/dbtest"
	"github.com/carillon-dev/carillon/internal/seal"
	"github.com/carillon-dev/carillon/schema"
	"github.com/carillon-dev/carillon/store"
)

// keyed opens a store with keys of its own, the newest first.
func keyed(t *testing.T, databaseURL string, keys ...string) (*store.Store, *seal.Ring) {
	t.Helper()
	ring, err := seal.NewRing(strings.Join(keys, ","))
	require.NoError(t, err)
	s, err := store.Open(t.Context(), databaseURL, ring)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s, ring
}

// sealedTexts returns every sealed text of the database, by table, column and
// row. It knows of no column: it looks at all of them.
func sealedTexts(t *testing.T, databaseURL string) map[string]string {
	t.Helper()
	database, err := schema.Parse(databaseURL)
	require.NoError(t, err)
	db, err := database.Open()
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	sealed := regexp.MustCompile(`^[0-9a-f]{8}\.[A-Za-z0-9+/]{32,}=*$`)
	texts := map[string]string{}
	tables := `SELECT name FROM sqlite_master WHERE type = 'table'`
	if database.Driver() == schema.Postgres {
		tables = `SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema()`
	}
	names, err := db.QueryContext(t.Context(), tables)
	if err == nil {
		defer func() { _ = names.Close() }()
	}
	require.NoError(t, err)
	var all []string
	for names.Next() {
		var name string
		require.NoError(t, names.Scan(&name))
		all = append(all, name)
	}
	require.NoError(t, names.Err())
	require.Contains(t, all, "subscriptions")
	for _, name := range all {
		rows, err := db.QueryContext(t.Context(), `SELECT * FROM `+name)
		require.NoError(t, err)
		defer func() { require.NoError(t, rows.Close()) }()
		columns, err := rows.Columns()
		require.NoError(t, err)
		for n := 0; rows.Next(); n++ {
			values := make([]any, len(columns))
			for i := range values {
				values[i] = new(any)
			}
			require.NoError(t, rows.Scan(values...))
			for i, v := range values {
				if text := fmt.Sprintf("%s", *v.(*any)); sealed.MatchString(text) {
					texts[fmt.Sprintf("%s.%s %d", name, columns[i], n)] = text
				}
			}
		}
		require.NoError(t, rows.Err())
	}
	return texts
}

// secrets keeps n subscriptions and as many sources with an authentication.
func secrets(t *testing.T, s *store.Store, n int) {
	t.Helper()
	for i := range n {
		sub := newSubscription(fmt.Sprintf("sub_%03d", i))
		sub.Endpoint = carillon.Endpoint(fmt.Sprintf(`{"url":"https://h.example/%d"}`, i))
		_, err := s.CreateSubscription(t.Context(), sub, "admin")
		require.NoError(t, err)
		src := newSource(fmt.Sprintf("src_%03d", i), fmt.Sprintf("registry-%d", i))
		src.Authentication = carillon.SourceAuthentication{Scheme: "bearer", Secret: fmt.Sprintf("s3cret-%d", i)}
		_, err = s.CreateSource(t.Context(), src, "admin")
		require.NoError(t, err)
	}
}

func TestEverySealedColumnIsSealedAnew(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, databaseURL string) {
		ctx := t.Context()
		const rows = 120 // more than two pages
		older, newer := seal.NewKey(), seal.NewKey()
		old, oldRing := keyed(t, databaseURL, older)
		secrets(t, old, rows)
		before := sealedTexts(t, databaseURL)
		require.Len(t, before, 2*rows)

		both, ring := keyed(t, databaseURL, newer, older)
		counts, err := both.SealedKeys(ctx)
		require.NoError(t, err)
		require.Equal(t, map[string]int{oldRing.Newest(): 2 * rows}, counts)
		version, err := both.ConfigVersion(ctx)
		require.NoError(t, err)
		var pages []string
		result, err := both.Reseal(ctx, "rotate-keys", noon, func(column string, resealed, seen int) {
			pages = append(pages, fmt.Sprintf("%s %d/%d", column, resealed, seen))
		})
		require.NoError(t, err)
		require.True(t, result.Done())
		require.Equal(t, store.Resealed{
			Key: ring.Newest(), Rows: 2 * rows, Resealed: 2 * rows, Unreadable: []string{}, Left: []string{},
		}, result)
		require.Equal(t, []string{
			"subscriptions.endpoint 50/50", "subscriptions.endpoint 100/100", "subscriptions.endpoint 120/120",
			"sources.authentication 50/50", "sources.authentication 100/100", "sources.authentication 120/120",
		}, pages)
		for place, text := range sealedTexts(t, databaseURL) {
			require.Equal(t, ring.Newest(), ring.KeyOf(text), place)
		}
		entries, err := both.Audit(ctx, carillon.AuditFilter{Action: "keys.rotated", Limit: 10})
		require.NoError(t, err)
		require.Len(t, entries, 1)
		require.Equal(t, "rotate-keys", entries[0].Actor)

		again, err := both.Reseal(ctx, "rotate-keys", noon, nil)
		require.NoError(t, err)
		require.Zero(t, again.Resealed, "once is enough")
		require.True(t, again.Done())
		after, err := both.ConfigVersion(ctx)
		require.NoError(t, err)
		require.Equal(t, version, after, "nothing changed for anybody")

		alone, _ := keyed(t, databaseURL, newer)
		_, subs, err := alone.Subscriptions(ctx)
		require.NoError(t, err)
		for i, sub := range subs {
			require.False(t, sub.Unreadable)
			require.JSONEq(t, fmt.Sprintf(`{"url":"https://h.example/%d"}`, i), string(sub.Endpoint))
			require.Equal(t, int64(1), sub.Version)
		}
		src, err := alone.Source(ctx, "registry-7")
		require.NoError(t, err)
		require.Equal(t, "s3cret-7", src.Authentication.Secret)
	})
}

func TestASealedTextOpensInItsOwnRowAndColumnOnly(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, databaseURL string) {
		ctx := t.Context()
		s, _ := keyed(t, databaseURL, seal.NewKey())
		secrets(t, s, 2)
		database, err := schema.Parse(databaseURL)
		require.NoError(t, err)
		db, err := database.Open()
		require.NoError(t, err)
		defer func() { require.NoError(t, db.Close()) }()
		for _, moved := range []string{
			`UPDATE subscriptions SET endpoint = (SELECT endpoint FROM subscriptions WHERE id = 'sub_000') WHERE id = 'sub_001'`,
			`UPDATE sources SET authentication = (SELECT authentication FROM sources WHERE id = 'src_000') WHERE id = 'src_001'`,
			`UPDATE sources SET authentication = (SELECT endpoint FROM subscriptions WHERE id = 'sub_000') WHERE id = 'src_000'`,
		} {
			_, err := db.ExecContext(ctx, moved)
			require.NoError(t, err)
		}
		sub, err := s.Subscription(ctx, "sub_001")
		require.NoError(t, err)
		require.True(t, sub.Unreadable, "another row's")
		for _, name := range []string{"registry-0", "registry-1"} {
			src, err := s.Source(ctx, name)
			require.NoError(t, err)
			require.True(t, src.Unreadable, "another row's or column's")
		}
	})
}

func TestWhatChangesWhileKeysAreRotatedIsNotLost(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, databaseURL string) {
		ctx := t.Context()
		older, newer := seal.NewKey(), seal.NewKey()
		old, _ := keyed(t, databaseURL, older)
		secrets(t, old, 60)
		// One that has not been restarted yet seals with the older key, another
		// with the newer; both change what is being rotated.
		behind, _ := keyed(t, databaseURL, older, newer)
		both, ring := keyed(t, databaseURL, newer, older)
		changed := func(s *store.Store, from, to int, by string) func() error {
			return func() error {
				for i := from; i < to; i++ {
					sub, err := s.Subscription(ctx, fmt.Sprintf("sub_%03d", i))
					if err != nil {
						return err
					}
					sub.Endpoint = carillon.Endpoint(fmt.Sprintf(`{"url":"https://h.example/%s/%d"}`, by, i))
					if _, err := s.UpdateSubscription(ctx, sub, 0, "admin"); err != nil {
						return err
					}
				}
				return nil
			}
		}
		var group errgroup.Group
		group.Go(changed(behind, 0, 30, "behind"))
		group.Go(changed(both, 30, 60, "both"))
		group.Go(func() error {
			_, err := both.Reseal(ctx, "rotate-keys", noon, nil)
			return err
		})
		require.NoError(t, group.Wait())

		result, err := both.Reseal(ctx, "rotate-keys", noon, nil)
		require.NoError(t, err)
		require.True(t, result.Done(), "the one that was behind has stopped")
		alone, _ := keyed(t, databaseURL, newer)
		_, subs, err := alone.Subscriptions(ctx)
		require.NoError(t, err)
		require.Len(t, subs, 60)
		for i, sub := range subs {
			by := "behind"
			if i >= 30 {
				by = "both"
			}
			require.JSONEq(t, fmt.Sprintf(`{"url":"https://h.example/%s/%d"}`, by, i), string(sub.Endpoint))
		}
		counts, err := alone.SealedKeys(ctx)
		require.NoError(t, err)
		require.Equal(t, map[string]int{ring.Newest(): 120}, counts)
	})
}

func TestRotationNamesWhatItCannotOpen(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, databaseURL string) {
		lost, _ := keyed(t, databaseURL, seal.NewKey())
		secrets(t, lost, 2)
		s, ring := keyed(t, databaseURL, seal.NewKey())
		_, err := s.CreateSubscription(t.Context(), newSubscription("sub_new"), "admin")
		require.NoError(t, err)
		result, err := s.Reseal(t.Context(), "rotate-keys", noon, nil)
		require.NoError(t, err)
		require.False(t, result.Done())
		slices.Sort(result.Unreadable)
		require.Equal(t, []string{"src_000", "src_001", "sub_000", "sub_001"}, result.Unreadable)
		require.Equal(t, 5, result.Rows)
		require.Equal(t, ring.Newest(), result.Key)
		entries, err := s.Audit(t.Context(), carillon.AuditFilter{Action: "keys.rotated", Limit: 10})
		require.NoError(t, err)
		require.Empty(t, entries, "nothing was done")
	})
}
