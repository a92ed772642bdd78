package carillon

import "time"

// Source is where events come from in a registry's own format. Its kind names
// the adapter that turns them into events.
type Source struct {
	// ID starts with "src_"; it stays when the source is renamed.
	ID string
	// Name is unique, is part of the source's address, and becomes the Source
	// of its events.
	Name string
	// Kind names the adapter, such as "distribution".
	Kind string
	// Scope is what its events belong to, such as {"feed":"containers"}.
	Scope map[string]string
	// Authentication is how its requests prove where they come from.
	Authentication SourceAuthentication
	// Unreadable says that Authentication is sealed with a key that this
	// process does not have, or damaged; it is then zero here.
	Unreadable bool
	// Version counts its changes and is its ETag.
	Version   int64
	CreatedAt time.Time
	UpdatedAt time.Time
}

// TagKey names a tag of an OCI registry's repository.
type TagKey struct {
	SourceID string
	// Repository is the name without the registry's host, such as "acme/hello".
	Repository string
	Tag        string
}

// Change is what a push made of a tag.
type Change string

// The changes of a tag.
const (
	ChangeNone        Change = "none"        // the tag had the digest already
	ChangeAdded       Change = "added"       // the tag was not there, or had been deleted
	ChangeOverwritten Change = "overwritten" // the tag had another digest
)
