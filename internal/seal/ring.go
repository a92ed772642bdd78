// Package seal encrypts: with a [Ring] the secrets that are kept in the
// database, with a [Codec] what Temporal keeps of runs.
//
// It knows keys and bytes, not what the secrets are. Its one invariant: what
// was sealed opens only with a key of the ring and in the same context, so
// that a row's secret cannot be moved to another row.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
)

// keyBytes is the size of an AES-256 key.
const keyBytes = 32

// howTo ends an operator's mistake with what to do.
const howTo = "make one with: openssl rand -base64 32"

// What [Ring.Open] can find wrong.
var (
	// ErrUnknownKey means that the key it was sealed with is not in the ring.
	ErrUnknownKey = errors.New("sealed with a key that is not among the configured ones")
	// ErrDamaged means that it is no sealed text, was altered, or belongs to
	// another context.
	ErrDamaged = errors.New("sealed text is damaged or not of this context")
)

// Ring holds the keys, of which the first seals and all open: a new key is put
// in front, and the old ones stay until nothing is sealed with them. It is safe
// for concurrent use and never prints what it holds.
type Ring struct {
	ids  []string // the first is of the key that seals
	keys map[string]cipher.AEAD
}

// NewRing reads a comma-separated list of keys, each 32 bytes in standard
// base64. The error says which entry is wrong, and never contains one.
func NewRing(keys string) (*Ring, error) {
	ring := &Ring{keys: map[string]cipher.AEAD{}}
	for i, text := range strings.Split(keys, ",") {
		raw, err := readKey(text)
		if err != nil {
			return nil, fmt.Errorf("secret key %d %w", i+1, err)
		}
		id := keyID(raw)
		if _, twice := ring.keys[id]; twice {
			return nil, fmt.Errorf("secret key %d is given twice", i+1)
		}
		block, err := aes.NewCipher(raw)
		if err != nil {
			return nil, fmt.Errorf("secret key %d: %w", i+1, err)
		}
		// A random nonce of 96 bits is safe for 2^32 seals a key.
		if ring.keys[id], err = cipher.NewGCMWithRandomNonce(block); err != nil {
			return nil, fmt.Errorf("secret key %d: %w", i+1, err)
		}
		ring.ids = append(ring.ids, id)
	}
	return ring, nil
}

// readKey reads one key of a list. The error says what is wrong with it, and
// not what it is.
func readKey(text string) ([]byte, error) {
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	if err != nil {
		return nil, errors.New("is not standard base64; " + howTo)
	}
	if len(raw) != keyBytes {
		return nil, fmt.Errorf("has %d bytes instead of %d; %s", len(raw), keyBytes, howTo)
	}
	return raw, nil
}

// keyID names a key without telling anything of it.
func keyID(raw []byte) string {
	sum := sha256.Sum256(append([]byte("carillon key id:"), raw...))
	return hex.EncodeToString(sum[:4])
}

// Seal encrypts plaintext with the first key, bound to the context, such as the
// kind and id of the row it belongs to. The text is "<key id>.<base64>"; it
// differs each time.
func (r *Ring) Seal(plaintext []byte, context string) (string, error) {
	sealed := r.keys[r.Newest()].Seal(nil, nil, plaintext, []byte(context))
	return r.Newest() + "." + base64.StdEncoding.EncodeToString(sealed), nil
}

// Newest is the id of the key that seals.
func (r *Ring) Newest() string { return r.ids[0] }

// Keys are the ids of all keys, the newest first.
func (r *Ring) Keys() []string { return slices.Clone(r.ids) }

// KeyOf returns the id of the key that a text was sealed with, which need not
// be one of the ring; empty for what is no sealed text.
func (*Ring) KeyOf(sealed string) string {
	id, _, ok := strings.Cut(sealed, ".")
	if !ok {
		return ""
	}
	return id
}

// Open decrypts what Seal returned for the same context. The error wraps
// [ErrUnknownKey] or [ErrDamaged].
func (r *Ring) Open(sealed, context string) ([]byte, error) {
	id, encoded, ok := strings.Cut(sealed, ".")
	if !ok {
		return nil, ErrDamaged
	}
	key, ok := r.keys[id]
	if !ok {
		return nil, ErrUnknownKey
	}
	raw, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, ErrDamaged
	}
	plaintext, err := key.Open(nil, nil, raw, []byte(context))
	if err != nil {
		return nil, ErrDamaged
	}
	return plaintext, nil
}

// NewKey makes the text of a new key.
func NewKey() string {
	raw := make([]byte, keyBytes)
	_, _ = rand.Read(raw) // never fails, says its documentation
	return base64.StdEncoding.EncodeToString(raw)
}

// String says nothing of the keys.
func (*Ring) String() string { return "[ring]" }

// GoString says nothing of the keys.
func (*Ring) GoString() string { return "[ring]" }

// LogValue says nothing of the keys.
func (*Ring) LogValue() slog.Value { return slog.StringValue("[ring]") }
