package api

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/internal/dbtest"
	"github.com/carillon-dev/carillon/internal/seal"
	"github.com/carillon-dev/carillon/schema"
	"github.com/carillon-dev/carillon/store"
)

const newPublisher = `{"name":"registry","role":"publisher","sources":["registry.example.com"],
	"scope":{"feed":["internal-utils"]},"rate_limit":{"per_second":50},"expires_at":"2027-11-21T20:00:00Z"}`

func TestAKeyIsShownOnceAndWorksUntilItIsRevoked(t *testing.T) {
	t.Parallel()
	b := setup(t)
	resp := b.do(t, call{method: http.MethodPost, path: "/v1/keys", body: newPublisher})
	require.Equal(t, http.StatusCreated, resp.status)
	golden(t, "key_created", resp.body)
	created := decode[createdKeyView](t, resp.body)
	path := "/v1/keys/" + created.ID
	require.Equal(t, path, resp.header.Get("Location"))

	publish := call{method: http.MethodPost, path: "/v1/events", body: added(), header: bearer(created.Key)}
	b.ok(t, http.StatusAccepted, publish)
	b.keys.uses.Wait()
	golden(t, "key", b.ok(t, http.StatusOK, call{method: http.MethodGet, path: path}))
	golden(t, "keys", b.ok(t, http.StatusOK, call{method: http.MethodGet, path: "/v1/keys"}))

	for range 2 {
		b.ok(t, http.StatusNoContent, call{method: http.MethodDelete, path: path})
		require.Contains(t, b.problem(t, http.StatusUnauthorized, publish).Detail, "is revoked")
	}
	view := decode[keyView](t, b.ok(t, http.StatusOK, call{method: http.MethodGet, path: path}))
	require.Equal(t, carillon.KeyRevoked, view.State)
	b.problem(t, http.StatusNotFound, call{method: http.MethodDelete, path: "/v1/keys/key_x"})
}

func TestKeysThatCannotBeMade(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, test := range []struct {
		name, body string
		at         []string
	}{
		{"nothing", `{}`, []string{"/name", "/role"}},
		{"an unknown role", `{"name":"a","role":"root"}`, []string{"/role"}},
		{"an end in the past", `{"name":"a","role":"reader","expires_at":"2026-11-21T20:00:00Z"}`, []string{"/expires_at"}},
		{"a publisher of everything", `{"name":"a","role":"publisher"}`, []string{"/sources"}},
		{"a publisher of nothing", `{"name":"a","role":"publisher","sources":[]}`, []string{"/sources"}},
		{"a publisher of Carillon's own events", `{"name":"a","role":"publisher","sources":["carillon"]}`, []string{"/sources"}},
		{"a scope of no values", `{"name":"a","role":"publisher","sources":["s"],"scope":{"feed":[]}}`, []string{"/scope/feed"}},
		{"sources of a reader", `{"name":"a","role":"reader","sources":["s"],"scope":{"feed":["f"]}}`, []string{"/sources"}},
		{"sources of an admin of everything", `{"name":"a","role":"admin","sources":["s"]}`, []string{"/sources"}},
		{"an admin of no sources", `{"name":"a","role":"admin","sources":[],"scope":{"feed":["f"]}}`, []string{"/sources"}},
		{"a limit of nothing", `{"name":"a","role":"reader","rate_limit":{}}`, []string{"/rate_limit/per_second"}},
		{"limits beyond reason", `{"name":"a","role":"reader","rate_limit":{"per_second":0,"burst":0,"x":1}}`,
			[]string{"/rate_limit/per_second", "/rate_limit/burst", "/rate_limit/x"}},
		{"a secret of one's own", `{"name":"a","role":"reader","key":"hunter2"}`, []string{"/key"}},
	} {
		p := b.problem(t, http.StatusUnprocessableEntity, call{method: http.MethodPost, path: "/v1/keys", body: test.body})
		var at []string
		for _, e := range p.Errors {
			at = append(at, e.Pointer)
		}
		require.Equal(t, test.at, at, test.name)
	}
	require.Empty(t, b.store.fakeKeys.keys)
}

func TestKeysAreListedPageByPage(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for range 3 {
		b.store.newKey(t, carillon.RoleReader)
	}
	var ids []string
	for path := "/v1/keys?limit=2"; path != ""; {
		p := decode[page[keyView]](t, b.ok(t, http.StatusOK, call{method: http.MethodGet, path: path}))
		for _, view := range p.Items {
			ids = append(ids, view.ID)
		}
		if path = ""; p.NextCursor != "" {
			path = "/v1/keys?limit=2&cursor=" + p.NextCursor
		}
	}
	require.Equal(t, sortedKeys(b.store.fakeKeys.keys), ids)
}

func TestTheAuditIsFilteredAndPaged(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for n := range 3 {
		b.store.audit = append(b.store.audit, carillon.AuditEntry{
			ID: carillon.NewID("aud_", now), At: now.Add(time.Duration(-n) * time.Minute), Actor: "key_1", ActorName: "ci",
			Action: "subscription.updated", Object: "sub_1", Detail: "changed name",
			Before: []byte(`{"name":"a"}`), After: []byte(`{"name":"b"}`),
		})
	}
	body := b.ok(t, http.StatusOK, call{method: http.MethodGet, path: "/v1/audit?limit=2&object=sub_1&actor=key_1" +
		"&action=subscription.updated&since=2026-11-21T19:00:00Z&until=2026-11-21T21:00:00Z"})
	require.Equal(t, carillon.AuditFilter{
		Object: "sub_1", Actor: "key_1", Action: "subscription.updated",
		Since: now.Add(-time.Hour), Until: now.Add(time.Hour), Limit: 3,
	}, b.store.auditAsked)
	next := decode[page[auditView]](t, body).NextCursor
	b.ok(t, http.StatusOK, call{method: http.MethodGet, path: "/v1/audit?cursor=" + next})
	last := b.store.audit[1]
	require.Equal(t, carillon.AuditCursor{At: last.At, ID: last.ID}, b.store.auditAsked.Before)

	b.store.audit = b.store.audit[:1]
	golden(t, "audit", b.ok(t, http.StatusOK, call{method: http.MethodGet, path: "/v1/audit"}))
}

// withStore is a server on a real database.
func withStore(t *testing.T, databaseURL string) *bundle {
	t.Helper()
	ring, err := seal.NewRing(seal.NewKey())
	require.NoError(t, err)
	s, err := store.Open(t.Context(), databaseURL, ring)
	require.NoError(t, err)
	b := setup(t)
	t.Cleanup(func() {
		b.keys.uses.Wait()
		require.NoError(t, s.Close())
	})
	b.deps.Store, b.keys.store = s, s
	return b
}

func TestEveryChangeNamesTheKeyThatMadeIt(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, databaseURL string) {
		b := withStore(t, databaseURL)
		made := decode[createdKeyView](t, b.ok(t, http.StatusCreated, call{
			method: http.MethodPost, path: "/v1/keys", body: `{"name":"deploy","role":"admin"}`,
		}))
		as := bearer(made.Key)
		sub := decode[savedView](t, b.ok(t, http.StatusCreated, call{
			method: http.MethodPost, path: "/v1/subscriptions", header: as,
			body: `{"name":"n","event_types":["package.*"],"channel":"webhook","endpoint":{"url":"https://a.example"}}`,
		}))
		b.ok(t, http.StatusOK, call{method: http.MethodPatch, path: "/v1/subscriptions/" + sub.ID, body: `{"name":"m"}`, header: as})
		b.ok(t, http.StatusNoContent, call{method: http.MethodDelete, path: "/v1/subscriptions/" + sub.ID, header: as})
		b.ok(t, http.StatusCreated, call{method: http.MethodPost, path: "/v1/sources", body: registry, header: as})
		b.ok(t, http.StatusOK, call{method: http.MethodPatch, path: "/v1/sources/registry.example.com", body: `{"scope":null}`, header: as})
		b.ok(t, http.StatusNoContent, call{method: http.MethodDelete, path: "/v1/sources/registry.example.com", header: as})
		other := decode[createdKeyView](t, b.ok(t, http.StatusCreated, call{
			method: http.MethodPost, path: "/v1/keys", body: `{"name":"o","role":"operator"}`, header: as,
		}))
		b.ok(t, http.StatusNoContent, call{method: http.MethodDelete, path: "/v1/keys/" + other.ID, header: as})
		_, err := b.deps.Store.(*store.Store).Claim(t.Context(), carillon.Claim{
			Publication: carillon.Publication{Event: carillon.Event{ID: "evt_1", Type: "ping", Source: "s"}, ReceivedAt: now},
			Run:         carillon.Run{WorkflowID: "event/evt_1", RunID: "run"},
			Deliveries:  []carillon.Delivery{{EventID: "evt_1", SubscriptionID: "sub_1", State: carillon.Retrying}},
		})
		require.NoError(t, err)
		b.ok(t, http.StatusAccepted, call{method: http.MethodPost, path: "/v1/events/evt_1/deliveries/sub_1/cancel", header: as})

		audit := decode[page[auditView]](t, b.ok(t, http.StatusOK, call{method: http.MethodGet, path: "/v1/audit?actor=" + made.ID}))
		actions := map[string]int{}
		for _, entry := range audit.Items {
			require.Equal(t, "deploy", entry.ActorName)
			actions[entry.Action]++
		}
		require.Equal(t, map[string]int{
			"subscription.created": 1, "subscription.updated": 1, "subscription.deleted": 1,
			"source.created": 1, "source.updated": 1, "source.deleted": 1,
			"key.created": 1, "key.revoked": 1, "delivery.cancel_requested": 1,
		}, actions)
		own := decode[page[auditView]](t, b.ok(t, http.StatusOK, call{method: http.MethodGet, path: "/v1/audit?actor=admin"}))
		require.Len(t, own.Items, 1)
		require.Equal(t, made.ID, own.Items[0].Object)
	})
}

func TestTheSecretOfAKeyIsInNoTableNoLogAndNoAnswer(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, databaseURL string) {
		b := withStore(t, databaseURL)
		made := decode[createdKeyView](t, b.ok(t, http.StatusCreated, call{method: http.MethodPost, path: "/v1/keys", body: newPublisher}))
		random := strings.TrimPrefix(made.Key, made.ID+"_")
		require.Len(t, random, 26)
		b.ok(t, http.StatusAccepted, call{method: http.MethodPost, path: "/v1/events", body: added(), header: bearer(made.Key)})
		var answers strings.Builder
		for _, c := range []call{
			{method: http.MethodGet, path: "/v1/events", header: bearer(made.Key)},     // 403
			{method: http.MethodPost, path: "/v1/events", header: bearer(made.Key)},    // 415
			{method: http.MethodGet, path: "/v1/keys", header: bearer(made.Key + "A")}, // 401
			{method: http.MethodDelete, path: "/v1/keys/" + made.ID},                   // 204
			{method: http.MethodPost, path: "/v1/events", header: bearer(made.Key)},    // 401
			{method: http.MethodGet, path: "/v1/audit"}, {method: http.MethodGet, path: "/v1/keys"},
		} {
			answers.Write(b.do(t, c).body)
		}
		b.keys.uses.Wait()
		require.Contains(t, answers.String(), made.ID)
		require.NotContains(t, answers.String(), random)
		require.NotContains(t, b.log.String(), random)
		tables := dump(t, databaseURL)
		require.Contains(t, tables, made.ID, "the dump shows what is there")
		require.NotContains(t, tables, random)
		if path, ok := strings.CutPrefix(databaseURL, "sqlite:"); ok {
			files, err := filepath.Glob(path + "*")
			require.NoError(t, err)
			for _, file := range files {
				content, err := os.ReadFile(file)
				require.NoError(t, err)
				require.NotContains(t, string(content), random, filepath.Base(file))
			}
		}
	})
}

// dump returns the rows of the tables that keys leave anything in.
func dump(t *testing.T, databaseURL string) string {
	t.Helper()
	database, err := schema.Parse(databaseURL)
	require.NoError(t, err)
	db, err := database.Open()
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	var text strings.Builder
	for _, query := range []string{
		`SELECT id, name, role || secret_hash || sources || scope || created_by FROM keys`,
		`SELECT id, actor, action || object || detail || before || after FROM audit`,
	} {
		rows, err := db.QueryContext(t.Context(), query)
		require.NoError(t, err)
		for rows.Next() {
			var row [3]string
			require.NoError(t, rows.Scan(&row[0], &row[1], &row[2]))
			fmt.Fprintln(&text, row)
		}
		require.NoError(t, rows.Err())
		require.NoError(t, rows.Close())
	}
	return text.String()
}
