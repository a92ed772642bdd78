package store_test

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/sync/errgroup"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/internal/dbtest"
	"github.com/carillon-dev/carillon/internal/seal"
	"github.com/carillon-dev/carillon/schema"
	"github.com/carillon-dev/carillon/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// noon is when tests happen.
var noon = time.Date(2026, 11, 21, 12, 0, 0, 123456000, time.UTC)

// eachStore runs the test on an empty store of every database.
func eachStore(t *testing.T, test func(t *testing.T, s *store.Store)) {
	t.Helper()
	dbtest.Each(t, func(t *testing.T, databaseURL string) { test(t, openStore(t, databaseURL)) })
}

func openStore(t *testing.T, databaseURL string) *store.Store {
	t.Helper()
	ring, err := seal.NewRing(seal.NewKey())
	require.NoError(t, err)
	s, err := store.Open(t.Context(), databaseURL, ring)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func TestPingSaysWhatToDo(t *testing.T) {
	t.Parallel()

	dbtest.EachEmpty(t, func(t *testing.T, databaseURL string) {
		s := openStore(t, databaseURL)
		err := s.Ping(t.Context())
		require.Equal(t, carillon.CodeUnavailable, carillon.CodeOf(err))
		require.ErrorContains(t, err, "run `carillon migrate`")

		_, err = schema.Migrate(t.Context(), databaseURL)
		require.NoError(t, err)
		require.NoError(t, s.Ping(t.Context()))
	})
}

func TestADatabaseThatIsAwayIsAnErrorWithoutThePassword(t *testing.T) {
	t.Parallel()

	s := openStore(t, "postgres://carillon:s3cretword@127.0.0.1:1/carillon?sslmode=disable")
	err := s.Ping(t.Context())
	require.Equal(t, carillon.CodeUnavailable, carillon.CodeOf(err))
	require.NotContains(t, err.Error(), "s3cretword")

	_, err = s.ConfigVersion(t.Context())
	require.Equal(t, carillon.CodeUnavailable, carillon.CodeOf(err))
	require.NotContains(t, err.Error(), "s3cretword")

	_, err = store.Open(t.Context(), "postgres://carillon:s3cretword/x@127.0.0.1:1/carillon", nil)
	require.Error(t, err)
	require.NotContains(t, err.Error(), "s3cretword")
}

func TestReadsDoNotWaitForAWriter(t *testing.T) {
	t.Parallel()

	dbtest.Each(t, func(t *testing.T, databaseURL string) {
		s := openStore(t, databaseURL)
		db := openRaw(t, databaseURL)
		tx, err := db.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		_, err = tx.ExecContext(t.Context(), `UPDATE config SET version = version + 1`)
		require.NoError(t, err)

		var group errgroup.Group
		for range 20 {
			group.Go(func() error {
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				defer cancel()
				_, _, err := s.Subscriptions(ctx)
				return err
			})
		}
		require.NoError(t, group.Wait())
		require.NoError(t, tx.Rollback())
	})
}

func TestNoSecretIsKeptInPlain(t *testing.T) {
	t.Parallel()

	const marker = "MARKED-s3cret"
	dbtest.Each(t, func(t *testing.T, databaseURL string) {
		s := openStore(t, databaseURL)
		sub := newSubscription("sub_1")
		sub.Endpoint = carillon.Endpoint(`{"url":"https://example.com/MARKED-s3cret","secret":"MARKED-s3cret"}`)
		created, err := s.CreateSubscription(t.Context(), sub, "admin")
		require.NoError(t, err)
		require.JSONEq(t, string(sub.Endpoint), string(created.Endpoint))
		created.Endpoint = carillon.Endpoint(`{"url":"https://example.com/MARKED-s3cret-2"}`)
		_, err = s.UpdateSubscription(t.Context(), created, 0, "admin")
		require.NoError(t, err)
		claim(t, s, newEvent("evt_1"), "run-1", "sub_1")
		_, err = s.Disable(t.Context(), carillon.Disable{
			SubscriptionID: "sub_1", Generation: 1, Run: "run-1", Policy: carillon.DisableExhausted, Now: noon,
		})
		require.NoError(t, err)
		require.NoError(t, s.DeleteSubscription(t.Context(), "sub_1", 0, "admin", noon))
		_, err = s.CreateSubscription(t.Context(), sub, "admin")
		require.NoError(t, err)

		require.NotContains(t, dump(t, databaseURL), marker)
		require.Contains(t, dump(t, databaseURL), "sub_1", "the dump shows what is there")
		if path, ok := strings.CutPrefix(databaseURL, "sqlite:"); ok {
			files, err := filepath.Glob(path + "*")
			require.NoError(t, err)
			for _, file := range files {
				content, err := os.ReadFile(file)
				require.NoError(t, err)
				require.NotContains(t, string(content), marker, filepath.Base(file))
			}
		}
	})
}

func TestASealedEndpointDoesNotOpenInAnotherRowAndConcernsNoOther(t *testing.T) {
	t.Parallel()

	dbtest.Each(t, func(t *testing.T, databaseURL string) {
		s := openStore(t, databaseURL)
		for _, id := range []string{"sub_1", "sub_2"} {
			_, err := s.CreateSubscription(t.Context(), newSubscription(id), "admin")
			require.NoError(t, err)
		}
		_, err := openRaw(t, databaseURL).ExecContext(t.Context(), `UPDATE subscriptions
			SET endpoint = (SELECT endpoint FROM subscriptions WHERE id = 'sub_1') WHERE id = 'sub_2'`)
		require.NoError(t, err)

		moved, err := s.Subscription(t.Context(), "sub_2")
		require.NoError(t, err)
		require.True(t, moved.Unreadable)
		require.Empty(t, moved.Endpoint)
		_, all, err := s.Subscriptions(t.Context())
		require.NoError(t, err)
		require.Len(t, all, 2)
		require.False(t, all[0].Unreadable)
		require.NotEmpty(t, all[0].Endpoint)

		// A change of something else leaves what is sealed as it is; a new
		// endpoint makes the subscription whole.
		moved.Name = "renamed"
		_, err = s.UpdateSubscription(t.Context(), moved, 0, "admin")
		require.NoError(t, err)
		moved.Endpoint, moved.Unreadable = all[0].Endpoint, false
		_, err = s.UpdateSubscription(t.Context(), moved, 0, "admin")
		require.NoError(t, err)
		whole, err := s.Subscription(t.Context(), "sub_2")
		require.NoError(t, err)
		require.False(t, whole.Unreadable)
		require.Equal(t, all[0].Endpoint, whole.Endpoint)
		require.NoError(t, s.DeleteSubscription(t.Context(), "sub_2", 0, "admin", time.Now()))
	})
}

func TestConnectionsThatBrokeWhileIdleFailNobody(t *testing.T) {
	t.Parallel()

	tests := []struct {
		name string
		cut  func(t *testing.T, db *sql.DB, p *proxy)
	}{
		{"the server ended them", func(t *testing.T, db *sql.DB, _ *proxy) {
			_, err := db.ExecContext(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
				WHERE datname = current_database() AND pid <> pg_backend_pid()`)
			require.NoError(t, err)
		}},
		{"the machine behind them was restarted", func(_ *testing.T, _ *sql.DB, p *proxy) { p.forget() }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()

			databaseURL, ok := dbtest.Postgres(t)
			if !ok {
				return
			}
			p := newProxy(t, databaseURL)
			s := openStore(t, p.url)
			many := func(do func(context.Context) error) error {
				var group errgroup.Group
				for range 16 {
					group.Go(func() error { return do(t.Context()) })
				}
				return group.Wait()
			}
			read := func(ctx context.Context) error { _, err := s.ConfigVersion(ctx); return err }
			record := func(ctx context.Context) error {
				_, err := s.Record(ctx, "run-1", []carillon.Delivery{{EventID: "evt_0", SubscriptionID: "sub_1", State: carillon.Failed}})
				return err
			}
			write := func(ctx context.Context) error {
				return s.SawBlobs(ctx, "src_1", "acme/hello", []string{"sha256:1"}, noon)
			}
			for _, do := range []func(context.Context) error{read, record, write} {
				require.NoError(t, many(read), "fill the pool")
				test.cut(t, openRaw(t, databaseURL), p)
				require.NoError(t, many(do))
			}
		})
	}
}

// proxy stands between a store and its server, and can forget its connections
// as a machine does that was restarted: it answers what comes next on one of
// them with a reset.
type proxy struct {
	url    string
	server string

	mu      sync.Mutex
	current map[*net.TCPConn]bool // the clients that are not forgotten
	all     []net.Conn
}

func newProxy(t *testing.T, databaseURL string) *proxy {
	t.Helper()
	place, err := url.Parse(databaseURL)
	require.NoError(t, err)
	listener, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	p := &proxy{server: place.Host, current: make(map[*net.TCPConn]bool)}
	place.Host = listener.Addr().String()
	p.url = place.String()

	var group sync.WaitGroup
	group.Go(func() {
		for {
			client, err := listener.AcceptTCP()
			if err != nil {
				return
			}
			group.Go(func() { p.serve(client) })
		}
	})
	t.Cleanup(func() {
		require.NoError(t, listener.Close())
		p.mu.Lock()
		for _, conn := range p.all {
			conn.Close()
		}
		p.mu.Unlock()
		group.Wait()
	})
	return p
}

func (p *proxy) serve(client *net.TCPConn) {
	defer func() { _ = client.Close() }()
	server, err := net.Dial("tcp", p.server)
	if err != nil {
		return
	}
	defer server.Close()
	p.mu.Lock()
	p.all = append(p.all, client, server)
	p.current[client] = true
	p.mu.Unlock()

	var group sync.WaitGroup
	defer group.Wait()
	group.Go(func() {
		_, _ = io.Copy(client, server)
		_ = client.CloseRead() // ends the loop below
	})
	defer server.Close()
	buffer := make([]byte, 4096)
	for {
		n, err := client.Read(buffer)
		if err != nil {
			return
		}
		if !p.knows(client) {
			_ = client.SetLinger(0) // closing resets
			return
		}
		if _, err := server.Write(buffer[:n]); err != nil {
			return
		}
	}
}

func (p *proxy) knows(client *net.TCPConn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.current[client]
}

func (p *proxy) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.current)
}

func openRaw(t *testing.T, databaseURL string) *sql.DB {
	t.Helper()
	database, err := schema.Parse(databaseURL)
	require.NoError(t, err)
	db, err := database.Open()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

// dump writes out all rows of all tables.
func dump(t *testing.T, databaseURL string) string {
	t.Helper()
	db := openRaw(t, databaseURL)
	query := `SELECT name FROM sqlite_master WHERE type = 'table'`
	if strings.HasPrefix(databaseURL, "postgres") {
		query = `SELECT tablename FROM pg_tables WHERE schemaname = current_schema()`
	}
	var text strings.Builder
	for _, table := range column(t, db, query) {
		columns := column(t, db, fmt.Sprintf(`SELECT * FROM %s`, table))
		fmt.Fprintln(&text, table, columns)
	}
	return text.String()
}

// column returns all values of all rows, as text.
func column(t *testing.T, db *sql.DB, query string) []string {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), query)
	require.NoError(t, err)
	defer func() { require.NoError(t, rows.Close()) }()
	names, err := rows.Columns()
	require.NoError(t, err)
	var all []string
	for rows.Next() {
		values := make([]any, len(names))
		places := make([]any, len(names))
		for i := range values {
			places[i] = &values[i]
		}
		require.NoError(t, rows.Scan(places...))
		for _, value := range values {
			all = append(all, fmt.Sprintf("%s", value))
		}
	}
	require.NoError(t, rows.Err())
	return all
}
