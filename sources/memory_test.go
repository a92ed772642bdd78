package sources

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/carillon-dev/carillon"
)

// fakeMemory keeps what [Memory] promises in maps.
type fakeMemory struct {
	mu      sync.Mutex
	calls   int
	tags    map[carillon.TagKey]string // the digest; empty once deleted
	digests map[digestKey]bool         // seen or deleted
	answers map[any]any                // by what was asked, with the upstream id
	err     error
}

type digestKey struct{ sourceID, repository, digest string }

type pushed struct {
	change   carillon.Change
	previous string
}

type deletedDigest struct {
	tags   []string
	unseen bool
}

type deletedTag struct {
	digest  string
	deleted bool
}

func newMemory() *fakeMemory {
	return &fakeMemory{
		tags: map[carillon.TagKey]string{}, digests: map[digestKey]bool{}, answers: map[any]any{},
	}
}

// once answers what it answered to the question before, or works it out.
func once[T any](m *fakeMemory, question any, work func() T) (T, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls++
	if m.err != nil {
		var none T
		return none, m.err
	}
	if answer, ok := m.answers[question]; ok {
		return answer.(T), nil
	}
	answer := work()
	m.answers[question] = answer
	return answer, nil
}

type tagQuestion struct {
	what       string
	tag        carillon.TagKey
	upstreamID string
}

type digestQuestion struct {
	digest     digestKey
	upstreamID string
}

func (m *fakeMemory) PushTag(_ context.Context, tag carillon.TagKey, digest, upstreamID string, _ time.Time) (carillon.Change, string, error) {
	answer, err := once(m, tagQuestion{"push", tag, upstreamID}, func() pushed {
		m.digests[digestKey{tag.SourceID, tag.Repository, digest}] = true
		known := m.tags[tag]
		m.tags[tag] = digest
		switch known {
		case "":
			return pushed{change: carillon.ChangeAdded}
		case digest:
			return pushed{change: carillon.ChangeNone}
		default:
			return pushed{change: carillon.ChangeOverwritten, previous: known}
		}
	})
	return answer.change, answer.previous, err
}

func (m *fakeMemory) SawManifests(_ context.Context, sourceID, repository string, digests []string, _ time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls++
	for _, digest := range digests {
		m.digests[digestKey{sourceID, repository, digest}] = true
	}
	return m.err
}

func (m *fakeMemory) SawBlobs(ctx context.Context, sourceID, repository string, digests []string, now time.Time) error {
	return m.SawManifests(ctx, sourceID, repository, digests, now)
}

func (m *fakeMemory) DeleteDigest(_ context.Context, sourceID, repository, digest, upstreamID string, _ time.Time) ([]string, bool, error) {
	key := digestKey{sourceID, repository, digest}
	answer, err := once(m, digestQuestion{key, upstreamID}, func() deletedDigest {
		var answer deletedDigest
		for tag, has := range m.tags {
			if tag.SourceID == sourceID && tag.Repository == repository && has == digest {
				m.tags[tag] = ""
				answer.tags = append(answer.tags, tag.Tag)
			}
		}
		slices.Sort(answer.tags)
		answer.unseen = !m.digests[key]
		m.digests[key] = true
		return answer
	})
	return answer.tags, answer.unseen, err
}

func (m *fakeMemory) DeleteTag(_ context.Context, tag carillon.TagKey, upstreamID string, _ time.Time) (string, bool, error) {
	answer, err := once(m, tagQuestion{"delete", tag, upstreamID}, func() deletedTag {
		digest, known := m.tags[tag]
		m.tags[tag] = ""
		return deletedTag{digest: digest, deleted: !known || digest != ""}
	})
	return answer.digest, answer.deleted, err
}
