package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/sources"
	"github.com/carillon-dev/carillon/store"
)

var _ sources.Memory = (*store.Store)(nil)

func tagOf(tag string) carillon.TagKey {
	return carillon.TagKey{SourceID: "src_1", Repository: "acme/hello", Tag: tag}
}

// registry speaks for an OCI registry, in short.
type registry struct {
	t *testing.T
	s *store.Store
	// now is later with every call.
	now time.Time
}

func (r *registry) push(tag, digest, id string) string {
	r.t.Helper()
	r.now = r.now.Add(time.Second)
	change, previous, err := r.s.PushTag(r.t.Context(), tagOf(tag), digest, id, r.now)
	require.NoError(r.t, err)
	if previous == "" {
		return string(change)
	}
	return string(change) + " " + previous
}

func (r *registry) deleteDigest(digest, id string) string {
	r.t.Helper()
	r.now = r.now.Add(time.Second)
	tags, unseen, err := r.s.DeleteDigest(r.t.Context(), "src_1", "acme/hello", digest, id, r.now)
	require.NoError(r.t, err)
	return fmt.Sprintf("%v %t", tags, unseen)
}

func (r *registry) deleteTag(tag, id string) string {
	r.t.Helper()
	r.now = r.now.Add(time.Second)
	digest, deleted, err := r.s.DeleteTag(r.t.Context(), tagOf(tag), id, r.now)
	require.NoError(r.t, err)
	return fmt.Sprintf("%s %t", digest, deleted)
}

func TestMemoryOfTags(t *testing.T) {
	t.Parallel()

	tests := []struct {
		name string
		play func(t *testing.T, r *registry)
	}{
		{"a tag is added, pushed again, and overwritten", func(t *testing.T, r *registry) {
			require.Equal(t, "added", r.push("v1", "d1", "id1"))
			require.Equal(t, "none", r.push("v1", "d1", "id2"))
			require.Equal(t, "overwritten d1", r.push("v1", "d2", "id3"))
			require.Equal(t, "overwritten d2", r.push("v1", "d1", "id4"))
			require.Equal(t, "added", r.push("v2", "d1", "id5"), "a known digest under a new tag")
		}},
		{"a repeat gets the same answer, whatever came in between", func(t *testing.T, r *registry) {
			require.Equal(t, "added", r.push("v1", "d1", "id1"))
			require.Equal(t, "overwritten d1", r.push("v1", "d2", "id2"))
			require.Equal(t, "[v1] false", r.deleteDigest("d2", "id3"))
			require.Equal(t, "added", r.push("v1", "d1", "id1"))
			require.Equal(t, "overwritten d1", r.push("v1", "d2", "id2"))
			require.Equal(t, " false", r.deleteTag("v1", "id4"), "a repeat changes nothing")
			require.Equal(t, "[v1] false", r.deleteDigest("d2", "id3"))
			require.Equal(t, "added", r.push("v1", "d2", "id5"))
			require.Equal(t, "[v1] false", r.deleteDigest("d2", "id3"))
			require.Equal(t, "none", r.push("v1", "d2", "id6"), "a repeated deletion deletes nothing anew")
			require.Equal(t, " false", r.deleteTag("v1", "id4"))
		}},
		{"one id about several things", func(t *testing.T, r *registry) {
			require.Equal(t, "added", r.push("v1", "d1", "id1"))
			require.Equal(t, "added", r.push("v2", "d1", "id1"))
			require.Equal(t, "[v1 v2] false", r.deleteDigest("d1", "id1"))
		}},
		{"a deleted digest takes its live tags along", func(t *testing.T, r *registry) {
			r.push("b", "d1", "id1")
			r.push("a", "d1", "id2")
			r.push("c", "d2", "id3")
			r.push("d", "d1", "id4")
			require.Equal(t, "d1 true", r.deleteTag("d", "id5"))
			require.Equal(t, "[a b] false", r.deleteDigest("d1", "id6"))
			require.Equal(t, "[] false", r.deleteDigest("d1", "id7"), "deleted by another id")
			require.Equal(t, "added", r.push("a", "d1", "id8"))
		}},
		{"a digest never seen is told once", func(t *testing.T, r *registry) {
			require.Equal(t, "[] true", r.deleteDigest("d1", "id1"))
			require.Equal(t, "[] true", r.deleteDigest("d1", "id1"))
			require.Equal(t, "[] false", r.deleteDigest("d1", "id2"))
		}},
		{"a manifest whose tag was overwritten is no news, nor is a blob", func(t *testing.T, r *registry) {
			r.push("v1", "d1", "id1")
			r.push("v1", "d2", "id2")
			require.Equal(t, "[] false", r.deleteDigest("d1", "id3"))
			ctx := t.Context()
			require.NoError(t, r.s.SawBlobs(ctx, "src_1", "acme/hello", []string{"b1", "d2", "b1"}, r.now))
			require.NoError(t, r.s.SawManifests(ctx, "src_1", "acme/hello", []string{"m1", "b1"}, r.now))
			require.NoError(t, r.s.SawBlobs(ctx, "src_1", "acme/hello", nil, r.now))
			require.Equal(t, "[] false", r.deleteDigest("b1", "id4"))
			require.Equal(t, "[] false", r.deleteDigest("m1", "id5"))
			require.Equal(t, "[v1] false", r.deleteDigest("d2", "id6"))
		}},
		{"a tag is deleted once, also one never heard of", func(t *testing.T, r *registry) {
			r.push("v1", "d1", "id1")
			require.Equal(t, "d1 true", r.deleteTag("v1", "id2"))
			require.Equal(t, "d1 true", r.deleteTag("v1", "id2"))
			require.Equal(t, " false", r.deleteTag("v1", "id3"))
			require.Equal(t, " true", r.deleteTag("v9", "id4"))
			require.Equal(t, " true", r.deleteTag("v9", "id4"))
			require.Equal(t, " false", r.deleteTag("v9", "id5"))
			require.Equal(t, "added", r.push("v9", "d1", "id6"))
		}},
		{"answers are forgotten after a week, tags are not", func(t *testing.T, r *registry) {
			require.Equal(t, "added", r.push("v1", "d1", "id1"))
			r.now = r.now.Add(8 * 24 * time.Hour)
			require.Equal(t, "added", r.push("v2", "d1", "id2"))
			require.Equal(t, "none", r.push("v1", "d1", "id1"))
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			eachStore(t, func(t *testing.T, s *store.Store) { test.play(t, &registry{t: t, s: s, now: noon}) })
		})
	}
}

func TestDeletingASourceForgetsItsTags(t *testing.T) {
	t.Parallel()

	eachStore(t, func(t *testing.T, s *store.Store) {
		_, err := s.CreateSource(t.Context(), newSource("src_1", "registry"), "admin")
		require.NoError(t, err)
		r := &registry{t: t, s: s, now: noon}
		r.push("v1", "d1", "id1")
		require.NoError(t, s.DeleteSource(t.Context(), "registry", 0, "admin", noon))
		require.Equal(t, "added", r.push("v1", "d1", "id2"))
	})
}

func TestPushesAtOnceAreOneAfterTheOther(t *testing.T) {
	t.Parallel()

	eachStore(t, func(t *testing.T, s *store.Store) {
		// Every push has a digest of its own: whatever their order, one adds
		// the tag and each of the others overwrites another's digest.
		const many = 20
		changes := make([]carillon.Change, many)
		previous := make([]string, many)
		var group errgroup.Group
		for i := range changes {
			group.Go(func() (err error) {
				changes[i], previous[i], err = s.PushTag(t.Context(), tagOf("v1"), fmt.Sprint("d", i), fmt.Sprint("id", i), noon)
				return err
			})
		}
		require.NoError(t, group.Wait())
		added, seen := 0, map[string]bool{}
		for i, change := range changes {
			if change == carillon.ChangeAdded {
				added++
				continue
			}
			require.Equal(t, carillon.ChangeOverwritten, change)
			require.False(t, seen[previous[i]], "two pushes overwrote the same digest")
			seen[previous[i]] = true
		}
		require.Equal(t, 1, added)
	})
}

func TestPushesAndDeletionsAtOnceDoNotBlockEachOther(t *testing.T) {
	t.Parallel()

	eachStore(t, func(t *testing.T, s *store.Store) {
		var group errgroup.Group
		for i := range 30 {
			tag, digest := fmt.Sprint("v", i%4), fmt.Sprint("d", i%3)
			group.Go(func() error {
				_, _, err := s.PushTag(t.Context(), tagOf(tag), digest, fmt.Sprint("push-", i), noon)
				return err
			})
			group.Go(func() error {
				_, _, err := s.DeleteDigest(t.Context(), "src_1", "acme/hello", digest, fmt.Sprint("delete-", i), noon)
				return err
			})
			group.Go(func() error {
				_, _, err := s.DeleteTag(t.Context(), tagOf(tag), fmt.Sprint("untag-", i), noon)
				return err
			})
		}
		require.NoError(t, group.Wait())
	})
}

func TestARepeatAtTheSameTimeGetsTheSameAnswer(t *testing.T) {
	t.Parallel()

	eachStore(t, func(t *testing.T, s *store.Store) {
		changes := make([]carillon.Change, 20)
		var group errgroup.Group
		for i := range changes {
			group.Go(func() (err error) {
				changes[i], _, err = s.PushTag(t.Context(), tagOf("v1"), "d1", "id1", noon)
				return err
			})
		}
		require.NoError(t, group.Wait())
		for _, change := range changes {
			require.Equal(t, carillon.ChangeAdded, change)
		}
	})
}
