package api

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
)

// fakeKeys keeps keys and audit entries in memory.
type fakeKeys struct {
	keysMu sync.Mutex
	keys   map[string]carillon.Key
	audit  []carillon.AuditEntry
	reads  int
	// auditAsked is the last filter; noUse is what UseKey waits for, and whileKey
	// runs between the reading of a key and its return, when set.
	auditAsked carillon.AuditFilter
	noUse      chan struct{}
	whileKey   func()
}

func (s *fakeKeys) ListKeys(_ context.Context, after string, limit int) ([]carillon.Key, error) {
	s.keysMu.Lock()
	defer s.keysMu.Unlock()
	var keys []carillon.Key
	for _, id := range sortedKeys(s.keys) {
		if id > after {
			keys = append(keys, s.keys[id])
		}
	}
	return keys[:min(len(keys), limit)], nil
}

func (s *fakeKeys) Key(_ context.Context, id string) (carillon.Key, error) {
	s.keysMu.Lock()
	key, ok := s.keys[id]
	s.reads++
	s.keysMu.Unlock()
	if s.whileKey != nil {
		s.whileKey()
	}
	if !ok {
		return key, notFound("key", id)
	}
	return key, nil
}

func (s *fakeKeys) CreateKey(_ context.Context, key carillon.Key, actor string) (carillon.Key, error) {
	s.keysMu.Lock()
	defer s.keysMu.Unlock()
	key.CreatedBy = actor
	if s.keys == nil {
		s.keys = map[string]carillon.Key{}
	}
	s.keys[key.ID] = key
	return key, nil
}

func (s *fakeKeys) RevokeKey(_ context.Context, id, _ string, now time.Time) error {
	s.keysMu.Lock()
	defer s.keysMu.Unlock()
	key, ok := s.keys[id]
	if !ok {
		return notFound("key", id)
	}
	key.RevokedAt = now
	s.keys[id] = key
	return nil
}

func (s *fakeKeys) UseKey(_ context.Context, id string, now time.Time, _ time.Duration) error {
	if s.noUse != nil {
		<-s.noUse
	}
	s.keysMu.Lock()
	defer s.keysMu.Unlock()
	key := s.keys[id]
	key.LastUsedAt = now
	s.keys[id] = key
	return nil
}

func (s *fakeKeys) Audit(_ context.Context, f carillon.AuditFilter) ([]carillon.AuditEntry, error) {
	s.auditAsked = f
	return s.audit[:min(len(s.audit), f.Limit)], nil
}

func (s *fakeKeys) AddAudit(_ context.Context, entry carillon.AuditEntry) error {
	s.audit = append(s.audit, entry)
	return nil
}

// newKey keeps a key of the role and returns its secret. A publisher is for
// the source registry.example.com.
func (s *fakeKeys) newKey(t testing.TB, role carillon.Role, edit ...func(*carillon.Key)) (secret, id string) {
	t.Helper()
	key := carillon.Key{ID: carillon.NewID(carillon.KeyPrefix, now), Name: "the " + string(role), Role: role, CreatedAt: now}
	if role == carillon.RolePublisher {
		key.Sources = []string{"registry.example.com"}
	}
	for _, change := range edit {
		change(&key)
	}
	secret = carillon.NewKeySecret(key.ID)
	key.Hash = carillon.HashKey(secret)
	_, err := s.CreateKey(t.Context(), key, admin)
	require.NoError(t, err)
	return secret, key.ID
}

// bearer is the header of a request with another key than the admin's.
func bearer(secret string) map[string]string {
	return map[string]string{"Authorization": "Bearer " + secret}
}
