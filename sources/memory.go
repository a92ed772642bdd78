package sources

import (
	"context"
	"time"

	"github.com/carillon-dev/carillon"
)

// Memory is what adapters remember between requests: which tags of an OCI
// registry are live, and which digests are blobs. One call is one transaction.
//
// A registry sends an upstream id again until it is answered with success, and
// the publish that follows a call can fail. So a repeat (the same upstream id
// about the same tag or digest of the source) changes nothing and answers what
// the first answered, whatever came in between. Otherwise the order of the
// calls decides, not a clock. A memory may forget upstream ids after a week;
// what it knows of tags and digests it keeps for as long as the source exists.
type Memory interface {
	// PushTag records that the tag is digest now, and that digest is a
	// manifest of the repository. It says what this upstream id changed;
	// previous is the digest that the tag had until then, set for
	// [carillon.ChangeOverwritten] only.
	PushTag(ctx context.Context, tag carillon.TagKey, digest, upstreamID string, now time.Time) (change carillon.Change, previous string, err error)

	// SawManifests remembers digests as manifests of the repository, whatever
	// tags they have; those already known, also as blobs or deleted, stay as
	// they are.
	SawManifests(ctx context.Context, sourceID, repository string, digests []string, now time.Time) error

	// SawBlobs remembers digests as layers or configs of the repository, so
	// that their deletion is no package's; those already known, also as
	// manifests or deleted, stay as they are.
	SawBlobs(ctx context.Context, sourceID, repository string, digests []string, now time.Time) error

	// DeleteDigest records that digest left the repository, and with it the
	// live tags that have it: tags, in order, are those that this upstream id
	// deleted. Without any, unseen says that the repository never had the
	// digest, as far as is known: neither as a manifest nor as a blob, nor was
	// it deleted by another upstream id.
	DeleteDigest(ctx context.Context, sourceID, repository, digest, upstreamID string, now time.Time) (tags []string, unseen bool, err error)

	// DeleteTag records that the tag is gone. It reports whether this upstream
	// id deleted it, which is so for a live tag, whose digest it returns, and
	// for one never heard of, with digest empty; a tag already deleted stays
	// deleted.
	DeleteTag(ctx context.Context, tag carillon.TagKey, upstreamID string, now time.Time) (digest string, deleted bool, err error)
}
