package signature

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strings"
)

// Prefixes that tell what a key's text holds.
const (
	SecretPrefix  = "whsec_" // a symmetric key
	PrivatePrefix = "whsk_"  // an ed25519 private key
	PublicPrefix  = "whpk_"  // an ed25519 public key: verifies, cannot sign
)

// Sizes of a symmetric key in bytes, from the specification; Carillon makes
// keys as long as the hash.
const (
	minSecretBytes = 24
	maxSecretBytes = 64
	newSecretBytes = 32
)

// Key signs or verifies payloads. The zero Key does neither. It never prints
// what it holds.
type Key struct {
	secret  []byte
	private ed25519.PrivateKey
	public  ed25519.PublicKey
}

// ParseKey reads a key's text: a prefix and standard base64. A symmetric key
// has 24 to 64 bytes; a private key is a seed of 32 bytes, or a seed and its
// public key (64 bytes). The error never contains the text.
func ParseKey(text string) (Key, error) {
	var prefix string
	for _, p := range []string{SecretPrefix, PrivatePrefix, PublicPrefix} {
		if strings.HasPrefix(text, p) {
			prefix = p
		}
	}
	if prefix == "" {
		return Key{}, fmt.Errorf("a key begins with %s or %s", SecretPrefix, PrivatePrefix)
	}
	// Go's decoder skips line breaks, other libraries' do not: such a key would
	// sign here and fail to verify there.
	encoded := text[len(prefix):]
	raw, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil || strings.ContainsAny(encoded, "\r\n") {
		return Key{}, fmt.Errorf("what follows %s is not standard base64 with padding", prefix)
	}
	switch prefix {
	case SecretPrefix:
		return parseSecret(raw)
	case PrivatePrefix:
		return parsePrivate(raw)
	default:
		if len(raw) != ed25519.PublicKeySize {
			return Key{}, fmt.Errorf("a public key has %d bytes, this one has %d", ed25519.PublicKeySize, len(raw))
		}
		return Key{public: raw}, nil
	}
}

func parseSecret(raw []byte) (Key, error) {
	if len(raw) < minSecretBytes || len(raw) > maxSecretBytes {
		return Key{}, fmt.Errorf("a symmetric key has %d to %d bytes, this one has %d",
			minSecretBytes, maxSecretBytes, len(raw))
	}
	return Key{secret: raw}, nil
}

func parsePrivate(raw []byte) (Key, error) {
	if len(raw) != ed25519.SeedSize && len(raw) != ed25519.PrivateKeySize {
		return Key{}, fmt.Errorf("a private key has %d or %d bytes, this one has %d",
			ed25519.SeedSize, ed25519.PrivateKeySize, len(raw))
	}
	private := ed25519.NewKeyFromSeed(raw[:ed25519.SeedSize])
	// A public half that does not belong to the seed would give signatures that
	// leak the private key.
	if len(raw) == ed25519.PrivateKeySize && !bytes.Equal(private, raw) {
		return Key{}, errors.New("the private key's two halves do not belong together")
	}
	return Key{private: private, public: ed25519.PublicKey(private[ed25519.SeedSize:])}, nil
}

// NewSecret makes the text of a new symmetric key.
func NewSecret() string {
	raw := make([]byte, newSecretBytes)
	_, _ = rand.Read(raw) // never fails, says its documentation
	return SecretPrefix + base64.StdEncoding.EncodeToString(raw)
}

// NewPrivate makes the text of a new ed25519 private key, with its public half.
func NewPrivate() string {
	seed := make([]byte, ed25519.SeedSize)
	_, _ = rand.Read(seed) // never fails, says its documentation
	return PrivatePrefix + base64.StdEncoding.EncodeToString(ed25519.NewKeyFromSeed(seed))
}

// CanSign reports whether the key holds a secret: a public key only verifies.
func (k Key) CanSign() bool { return k.secret != nil || k.private != nil }

// Public returns the text of an asymmetric key's public half, which a receiver
// verifies with; false when the key is symmetric.
func (k Key) Public() (string, bool) {
	if k.public == nil {
		return "", false
	}
	return PublicPrefix + base64.StdEncoding.EncodeToString(k.public), true
}

// String says nothing of the key.
func (Key) String() string { return "[key]" }

// GoString says nothing of the key.
func (Key) GoString() string { return "[key]" }

// LogValue says nothing of the key.
func (Key) LogValue() slog.Value { return slog.StringValue("[key]") }
