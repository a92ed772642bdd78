package store_test

import (
	"encoding/hex"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/internal/dbtest"
	"github.com/carillon-dev/carillon/store"
)

func newKey(id string) carillon.Key {
	return carillon.Key{
		ID: id, Name: "registry", Role: carillon.RolePublisher, Sources: []string{"registry.example.com"},
		Scope: map[string][]string{"feed": {"a", "b"}}, Hash: carillon.HashKey(id + "_MARKED-s3cret"),
		RateLimit: carillon.RateLimit{PerSecond: 0.5, Burst: 7},
		CreatedAt: noon, ExpiresAt: noon.Add(24 * time.Hour),
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()

	eachStore(t, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		created, err := s.CreateKey(ctx, newKey("key_1"), "admin")
		require.NoError(t, err)
		want := newKey("key_1")
		want.CreatedBy = "admin"
		require.Equal(t, want, created)
		_, err = s.CreateKey(ctx, newKey("key_1"), "admin")
		require.Equal(t, carillon.CodeExists, carillon.CodeOf(err))
		got, err := s.Key(ctx, "key_1")
		require.NoError(t, err)
		require.Equal(t, want, got)
		_, err = s.Key(ctx, "key_9")
		require.Equal(t, carillon.CodeNotFound, carillon.CodeOf(err))

		plain := carillon.Key{ID: "key_2", Name: "grafana", Role: carillon.RoleReader, CreatedAt: noon}
		_, err = s.CreateKey(ctx, plain, "key_1")
		require.NoError(t, err)
		plain.CreatedBy = "key_1"
		all, err := s.ListKeys(ctx, "", 10)
		require.NoError(t, err)
		require.Equal(t, []carillon.Key{want, plain}, all)
		page, err := s.ListKeys(ctx, "key_1", 1)
		require.NoError(t, err)
		require.Equal(t, all[1:], page)
	})
}

func TestAKeyIsRevokedOnceAndStays(t *testing.T) {
	t.Parallel()

	eachStore(t, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		_, err := s.CreateKey(ctx, newKey("key_1"), "admin")
		require.NoError(t, err)
		var group errgroup.Group
		for n := range 8 {
			group.Go(func() error { return s.RevokeKey(ctx, "key_1", "key_1", noon.Add(time.Duration(n+1)*time.Minute)) })
		}
		require.NoError(t, group.Wait())
		first, err := s.Key(ctx, "key_1")
		require.NoError(t, err)
		require.Equal(t, carillon.KeyRevoked, first.State(noon))
		require.NoError(t, s.RevokeKey(ctx, "key_1", "admin", noon.Add(time.Hour)))
		again, err := s.Key(ctx, "key_1")
		require.NoError(t, err)
		require.Equal(t, first, again)
		require.Equal(t, carillon.CodeNotFound, carillon.CodeOf(s.RevokeKey(ctx, "key_9", "admin", noon)))

		entries, err := s.Audit(ctx, carillon.AuditFilter{Object: "key_1", Limit: 10})
		require.NoError(t, err)
		require.Len(t, entries, 2, "one revocation was one")
		require.Equal(t, "key.revoked", entries[0].Action)
		require.Equal(t, "key_1", entries[0].Actor)
		require.Equal(t, "registry", entries[0].ActorName)
		require.NotContains(t, string(entries[0].Before), "revoked_at")
		require.Contains(t, string(entries[0].After), "revoked_at")
		require.Equal(t, "key.created", entries[1].Action)
		require.Empty(t, entries[1].ActorName)
		require.Nil(t, entries[1].Before)
		require.JSONEq(t, `{"name":"registry","role":"publisher","sources":["registry.example.com"],
			"scope":{"feed":["a","b"]},"rate_limit":{"per_second":0.5,"burst":7},"expires_at":"2026-11-22T12:00:00.123456Z"}`, string(entries[1].After))
	})
}

func TestAUseIsWrittenAtMostOnceInItsPeriod(t *testing.T) {
	t.Parallel()

	eachStore(t, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		_, err := s.CreateKey(ctx, newKey("key_1"), "admin")
		require.NoError(t, err)
		for _, use := range []struct{ at, want time.Duration }{
			{0, 0}, {time.Second, 0}, {59 * time.Second, 0}, {time.Minute, time.Minute},
			{30 * time.Second, time.Minute}, // a process whose clock is behind
		} {
			require.NoError(t, s.UseKey(ctx, "key_1", noon.Add(use.at), time.Minute))
			key, err := s.Key(ctx, "key_1")
			require.NoError(t, err)
			require.Equal(t, noon.Add(use.want), key.LastUsedAt)
		}
		require.NoError(t, s.UseKey(ctx, "key_9", noon, time.Minute), "a use of nothing is nothing")
	})
}

func TestOnlyTheHashOfAKeyIsKept(t *testing.T) {
	t.Parallel()

	dbtest.Each(t, func(t *testing.T, databaseURL string) {
		s := openStore(t, databaseURL)
		key := newKey("key_1")
		_, err := s.CreateKey(t.Context(), key, "admin")
		require.NoError(t, err)
		require.NoError(t, s.UseKey(t.Context(), "key_1", noon, time.Minute))
		require.NoError(t, s.RevokeKey(t.Context(), "key_1", "admin", noon))
		text := dump(t, databaseURL)
		require.NotContains(t, text, "MARKED-s3cret")
		require.Contains(t, text, hex.EncodeToString(key.Hash[:]))
	})
}

func TestTheAuditIsFiltered(t *testing.T) {
	t.Parallel()

	eachStore(t, func(t *testing.T, s *store.Store) {
		for n, entry := range []carillon.AuditEntry{
			{Actor: "admin", Action: "a.made", Object: "o_1"},
			{Actor: "key_1", Action: "a.made", Object: "o_2"},
			{Actor: "key_1", Action: "a.ended", Object: "o_1"},
			{Actor: "admin", Action: "a.ended", Object: "o_2"},
		} {
			entry.At = noon.Add(time.Duration(n) * time.Minute)
			require.NoError(t, s.AddAudit(t.Context(), entry))
		}
		tests := []struct {
			name   string
			filter carillon.AuditFilter
			want   []int // minutes after noon, newest first
		}{
			{"everything", carillon.AuditFilter{}, []int{3, 2, 1, 0}},
			{"an object", carillon.AuditFilter{Object: "o_1"}, []int{2, 0}},
			{"an actor", carillon.AuditFilter{Actor: "key_1"}, []int{2, 1}},
			{"an action", carillon.AuditFilter{Action: "a.ended"}, []int{3, 2}},
			{"since, inclusive", carillon.AuditFilter{Since: noon.Add(2 * time.Minute)}, []int{3, 2}},
			{"until, exclusive", carillon.AuditFilter{Until: noon.Add(2 * time.Minute)}, []int{1, 0}},
			{"all at once", carillon.AuditFilter{
				Object: "o_2", Actor: "key_1", Action: "a.made", Since: noon, Until: noon.Add(time.Hour),
			}, []int{1}},
			{"nobody", carillon.AuditFilter{Actor: "key_9"}, nil},
		}
		for _, test := range tests {
			test.filter.Limit = 10
			entries, err := s.Audit(t.Context(), test.filter)
			require.NoError(t, err)
			var got []int
			for _, entry := range entries {
				got = append(got, int(entry.At.Sub(noon).Minutes()))
			}
			require.Equal(t, test.want, got, test.name)
		}
	})
}
