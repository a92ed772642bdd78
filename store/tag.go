package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/carillon-dev/carillon"
)

// answersKept is how long the answer to an upstream id is kept. Registries
// send a notification again for minutes or hours, not weeks.
const answersKept = 7 * 24 * time.Hour

// What is known of a digest. A new one was inserted by the call under way.
const (
	digestNew      = "new"
	digestManifest = "manifest"
	digestBlob     = "blob"
	digestDeleted  = "deleted"
)

// A call first makes sure of the rows that it is about and so locks them, the
// digest's before the tag's: calls about the same follow one another, and none
// waits for another in a circle. The update of the conflict changes nothing
// but makes the row's present state the answer.
const (
	lockDigest = `INSERT INTO oci_digests (source_id, repository, digest, state, updated_at) VALUES (?, ?, ?, 'new', ?)
		ON CONFLICT (source_id, repository, digest) DO UPDATE SET state = oci_digests.state RETURNING state`
	lockTag = `INSERT INTO oci_tags (source_id, repository, tag, digest, live, updated_at) VALUES (?, ?, ?, '', ?, ?)
		ON CONFLICT (source_id, repository, tag) DO UPDATE SET digest = oci_tags.digest RETURNING digest, live`

	setDigest = `UPDATE oci_digests SET state = ?, updated_at = ? WHERE source_id = ? AND repository = ? AND digest = ?`
	setTag    = `UPDATE oci_tags SET digest = ?, live = ?, updated_at = ? WHERE source_id = ? AND repository = ? AND tag = ?`
	dropTags  = `UPDATE oci_tags SET live = ?, updated_at = ? WHERE source_id = ? AND repository = ? AND digest = ? AND live = ?
		RETURNING tag`
	sawDigests  = `INSERT INTO oci_digests (source_id, repository, digest, state, updated_at) VALUES `
	keepDigests = ` ON CONFLICT (source_id, repository, digest) DO NOTHING`

	selectAnswer = `SELECT answer FROM oci_answers WHERE source_id = ? AND upstream_id = ? AND question = ?`
	insertAnswer = `INSERT INTO oci_answers (source_id, upstream_id, question, answer, at) VALUES (?, ?, ?, ?, ?)`
	dropAnswers  = `DELETE FROM oci_answers WHERE at < ?`
)

// question is what a notification says, for finding the answer that its
// upstream id got before.
type question struct {
	sourceID, upstreamID string
	parts                []string // what was asked, about what
}

// tagRow is a tag as it stood.
type tagRow struct {
	Digest string `db:"digest"`
	Live   bool   `db:"live"`
}

// PushTag records that the tag is digest now, and that digest is a manifest of
// the repository. A repeat of the upstream id gets the same answer.
func (s *Store) PushTag(
	ctx context.Context, tag carillon.TagKey, digest, upstreamID string, now time.Time,
) (change carillon.Change, previous string, err error) {
	type answer struct {
		Change   carillon.Change `json:"change"`
		Previous string          `json:"previous,omitempty"`
	}
	q := question{tag.SourceID, upstreamID, []string{"push tag", tag.Repository, tag.Tag}}
	var was tagRow
	a, err := answerOnce(ctx, s, q, now, func(tx *sqlx.Tx) (err error) {
		if _, err = get[string](ctx, tx, lockDigest, tag.SourceID, tag.Repository, digest, micros(now)); err != nil {
			return err
		}
		was, err = get[tagRow](ctx, tx, lockTag, tag.SourceID, tag.Repository, tag.Tag, false, micros(now))
		return err
	}, func(tx *sqlx.Tx) (answer, error) {
		if err := writeDigest(ctx, tx, tag.SourceID, tag.Repository, digest, digestManifest, now); err != nil {
			return answer{}, err
		}
		if _, err := exec(ctx, tx, setTag, digest, true, micros(now), tag.SourceID, tag.Repository, tag.Tag); err != nil {
			return answer{}, err
		}
		switch {
		case !was.Live:
			return answer{Change: carillon.ChangeAdded}, nil
		case was.Digest != digest:
			return answer{Change: carillon.ChangeOverwritten, Previous: was.Digest}, nil
		default:
			return answer{Change: carillon.ChangeNone}, nil
		}
	})
	if err != nil {
		return "", "", fmt.Errorf("push tag %s:%s: %w", tag.Repository, tag.Tag, err)
	}
	return a.Change, a.Previous, nil
}

// SawManifests remembers digests as manifests of the repository; those already
// known stay as they are.
func (s *Store) SawManifests(ctx context.Context, sourceID, repository string, digests []string, now time.Time) error {
	return s.saw(ctx, sourceID, repository, digests, digestManifest, now)
}

// SawBlobs remembers digests as layers or configs of the repository; those
// already known stay as they are.
func (s *Store) SawBlobs(ctx context.Context, sourceID, repository string, digests []string, now time.Time) error {
	return s.saw(ctx, sourceID, repository, digests, digestBlob, now)
}

func (s *Store) saw(ctx context.Context, sourceID, repository string, digests []string, state string, now time.Time) error {
	const columns = 5
	if len(digests) == 0 {
		return nil
	}
	// In order, so that two calls with the same digests do not wait for each other.
	digests = slices.Compact(slices.Sorted(slices.Values(digests)))
	err := s.write(ctx, func(tx *sqlx.Tx) error {
		for chunk := range slices.Chunk(digests, maxParameters/columns) {
			args := make([]any, 0, len(chunk)*columns)
			for _, digest := range chunk {
				args = append(args, sourceID, repository, digest, state, micros(now))
			}
			if _, err := exec(ctx, tx, sawDigests+values(len(chunk), columns)+keepDigests, args...); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("remember digests of %s: %w", repository, err)
	}
	return nil
}

// DeleteDigest records that digest left the repository, and with it the live
// tags that have it, which are returned in order. Without any, unseen says that
// the digest was not known before. A repeat of the upstream id gets the same
// answer.
func (s *Store) DeleteDigest(
	ctx context.Context, sourceID, repository, digest, upstreamID string, now time.Time,
) (tags []string, unseen bool, err error) {
	type answer struct {
		Tags   []string `json:"tags,omitempty"`
		Unseen bool     `json:"unseen,omitempty"`
	}
	q := question{sourceID, upstreamID, []string{"delete digest", repository, digest}}
	var state string
	a, err := answerOnce(ctx, s, q, now, func(tx *sqlx.Tx) (err error) {
		state, err = get[string](ctx, tx, lockDigest, sourceID, repository, digest, micros(now))
		return err
	}, func(tx *sqlx.Tx) (answer, error) {
		tags, err := list[string](ctx, tx, dropTags, false, micros(now), sourceID, repository, digest, true)
		if err != nil {
			return answer{}, err
		}
		slices.Sort(tags)
		if state != digestBlob {
			if err := writeDigest(ctx, tx, sourceID, repository, digest, digestDeleted, now); err != nil {
				return answer{}, err
			}
		}
		return answer{Tags: tags, Unseen: len(tags) == 0 && state == digestNew}, nil
	})
	if err != nil {
		return nil, false, fmt.Errorf("delete digest %s of %s: %w", digest, repository, err)
	}
	return a.Tags, a.Unseen, nil
}

// DeleteTag records that the tag is gone, and reports whether this upstream id
// deleted it: a live tag, whose digest is returned, or one never heard of. A
// repeat of the upstream id gets the same answer.
func (s *Store) DeleteTag(
	ctx context.Context, tag carillon.TagKey, upstreamID string, now time.Time,
) (digest string, deleted bool, err error) {
	type answer struct {
		Digest  string `json:"digest,omitempty"`
		Deleted bool   `json:"deleted,omitempty"`
	}
	q := question{tag.SourceID, upstreamID, []string{"delete tag", tag.Repository, tag.Tag}}
	var was tagRow
	a, err := answerOnce(ctx, s, q, now, func(tx *sqlx.Tx) (err error) {
		was, err = get[tagRow](ctx, tx, lockTag, tag.SourceID, tag.Repository, tag.Tag, true, micros(now))
		return err
	}, func(tx *sqlx.Tx) (answer, error) {
		_, err := exec(ctx, tx, setTag, was.Digest, false, micros(now), tag.SourceID, tag.Repository, tag.Tag)
		if err != nil || !was.Live {
			return answer{}, err
		}
		return answer{Digest: was.Digest, Deleted: true}, nil
	})
	if err != nil {
		return "", false, fmt.Errorf("delete tag %s:%s: %w", tag.Repository, tag.Tag, err)
	}
	return a.Digest, a.Deleted, nil
}

// answerOnce locks what the question is about, and gives the answer that was
// given before; where there is none, decide makes it and it is kept.
func answerOnce[T any](
	ctx context.Context, s *Store, q question, now time.Time, lock func(*sqlx.Tx) error, decide func(*sqlx.Tx) (T, error),
) (answer T, err error) {
	asked := asJSON(q.parts)
	err = s.write(ctx, func(tx *sqlx.Tx) error {
		if err := lock(tx); err != nil {
			return err
		}
		given, err := get[string](ctx, tx, selectAnswer, q.sourceID, q.upstreamID, asked)
		if err == nil {
			if err := json.Unmarshal([]byte(given), &answer); err != nil {
				return fmt.Errorf("read answer: %w", err)
			}
			return errRollback
		}
		if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if answer, err = decide(tx); err != nil {
			return err
		}
		if _, err := exec(ctx, tx, dropAnswers, micros(now.Add(-answersKept))); err != nil {
			return err
		}
		_, err = exec(ctx, tx, insertAnswer, q.sourceID, q.upstreamID, asked, asJSON(answer), micros(now))
		return err
	})
	return answer, err
}

func writeDigest(ctx context.Context, tx *sqlx.Tx, sourceID, repository, digest, state string, now time.Time) error {
	_, err := exec(ctx, tx, setDigest, state, micros(now), sourceID, repository, digest)
	return err
}
