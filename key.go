package carillon

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"slices"
	"strings"
	"time"
)

// KeyPrefix begins the ids of keys, and so the keys themselves.
const KeyPrefix = "key_"

// Role is what a key may do.
type Role string

// The roles of keys.
const (
	RoleAdmin     Role = "admin"     // everything
	RoleOperator  Role = "operator"  // read; retry, cancel and test deliveries; the state of subscriptions
	RolePublisher Role = "publisher" // publish events of its own sources, and nothing else
	RoleReader    Role = "reader"    // read everything but keys and the audit
)

// Roles lists all roles, the mightiest first.
var Roles = []Role{RoleAdmin, RoleOperator, RolePublisher, RoleReader}

// KeyState says whether a key opens anything.
type KeyState string

// The states of a key; the last two are final.
const (
	KeyActive  KeyState = "active"
	KeyExpired KeyState = "expired"
	KeyRevoked KeyState = "revoked"
)

// KeyHash is what is kept of a key's secret.
type KeyHash [sha256.Size]byte

// Equal compares in constant time.
func (h KeyHash) Equal(other KeyHash) bool { return subtle.ConstantTimeCompare(h[:], other[:]) == 1 }

// Key lets a program or a person use the API. It is never changed, but for
// its use and its end, and never deleted: the audit names it for ever.
type Key struct {
	// ID starts with "key_"; it is no secret.
	ID   string
	Name string
	Role Role
	// Sources are those whose events it may publish: at least one for a
	// publisher; for an admin with a scope, none means all.
	Sources []string
	// Scope limits the key, whatever its role, to what is within; see
	// [Confinement]. Empty for none.
	Scope map[string][]string
	// RateLimit stands for the one of the configuration; zero for that one.
	RateLimit RateLimit
	// Hash is of the secret; see [HashKey].
	Hash KeyHash
	// CreatedBy is who made it: "admin" or the id of a key.
	CreatedBy string
	CreatedAt time.Time
	// ExpiresAt is when it ends; zero for never.
	ExpiresAt time.Time
	// RevokedAt is when somebody ended it; zero when nobody did.
	RevokedAt time.Time
	// LastUsedAt is right to about a minute; zero when it never was.
	LastUsedAt time.Time
}

// State returns the key's state at an instant.
func (k *Key) State(now time.Time) KeyState {
	switch {
	case !k.RevokedAt.IsZero():
		return KeyRevoked
	case !k.ExpiresAt.IsZero() && !now.Before(k.ExpiresAt):
		return KeyExpired
	}
	return KeyActive
}

// MayPublish returns nil when the key lets events of the source and the scope
// be published, and else an error of [CodeForbidden] that says which it lets.
// It says nothing of whether the role lets its holder publish at all.
func (k *Key) MayPublish(source string, scope map[string]string) error {
	refused := Errorf(CodeForbidden, "this key does not let you publish that")
	if (k.Role == RolePublisher || len(k.Sources) > 0) && !slices.Contains(k.Sources, source) {
		refused.Problems = []Problem{{Pointer: "/source", Detail: "this key is for events of " + strings.Join(k.Sources, ", ")}}
		return refused
	}
	to := Confinement(k.Scope)
	for _, key := range to.outside(one(scope)) {
		refused.Problems = append(refused.Problems, Problem{
			Pointer: "/scope", Detail: "this key is for events whose " + key + " is one of " + strings.Join(k.Scope[key], ", "),
		})
	}
	if len(refused.Problems) > 0 {
		return refused
	}
	return nil
}

// NewKeySecret makes the secret of a key, the text that its holder shows: the
// id, by which the key is found, and 130 random bits.
func NewKeySecret(id string) string { return id + "_" + rand.Text() }

// HashKey returns what is kept of a secret. It is random and long, so a plain
// hash cannot be guessed back; it holds the id, so that the hash of one key is
// of no use in the row of another.
func HashKey(secret string) KeyHash { return sha256.Sum256([]byte(secret)) }

// ulidLength is that of an id without its prefix; see [NewID].
const ulidLength = 26

// KeyIDOf returns the id in a secret, and false for what is no key's secret.
func KeyIDOf(secret string) (id string, ok bool) {
	id, random, ok := strings.Cut(strings.TrimPrefix(secret, KeyPrefix), "_")
	if !ok || !strings.HasPrefix(secret, KeyPrefix) || len(id) != ulidLength || random == "" {
		return "", false
	}
	return KeyPrefix + id, true
}
