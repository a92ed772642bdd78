// Package signature signs and verifies webhooks as Standard Webhooks lays it
// down: HMAC-SHA256 ("v1") with a shared secret, ed25519 ("v1a") with a key
// pair. The sender and the Go client share it.
//
// It sees bytes and keys, no events and no network. Its one invariant: what is
// signed is exactly the bytes given, and no error or printed value holds a key.
//
// https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
package signature

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// The headers of a signed webhook.
const (
	HeaderID        = "webhook-id"
	HeaderTimestamp = "webhook-timestamp"
	HeaderSignature = "webhook-signature"
)

// DefaultTolerance is how far a webhook's timestamp may be from the receiver's
// clock, to either side, in the specification's own libraries.
const DefaultTolerance = 5 * time.Minute

// What [Verify] can find wrong.
var (
	ErrHeaders   = errors.New("a webhook header is missing or malformed")
	ErrTimestamp = errors.New("the webhook's timestamp is too far from now")
	ErrSignature = errors.New("no signature matches")
)

// Version names of the two schemes in the signature header.
const (
	versionHMAC    = "v1"
	versionEd25519 = "v1a"
)

// Sign returns the value of webhook-signature: one signature a key, in the
// keys' order, separated by spaces. Keys that cannot sign are left out. The id
// must not contain a dot, which separates the signed parts.
func Sign(keys []Key, id string, at time.Time, payload []byte) string {
	content := signedContent(id, at.Unix(), payload)
	signatures := make([]string, 0, len(keys))
	for _, k := range keys {
		switch {
		case k.secret != nil:
			signatures = append(signatures, versionHMAC+","+base64.StdEncoding.EncodeToString(k.hmac(content)))
		case k.private != nil:
			signatures = append(signatures, versionEd25519+","+base64.StdEncoding.EncodeToString(ed25519.Sign(k.private, content)))
		}
	}
	return strings.Join(signatures, " ")
}

// Verify reports whether one of the keys made one of the signatures in header,
// over its id and timestamp and the payload, no further than tolerance from
// now. The payload is the request's body as it was received, byte for byte.
// The error wraps [ErrHeaders], [ErrTimestamp] or [ErrSignature].
func Verify(keys []Key, header http.Header, payload []byte, now time.Time, tolerance time.Duration) error {
	id, signatures := header.Get(HeaderID), header.Get(HeaderSignature)
	if id == "" || signatures == "" {
		return fmt.Errorf("%w: %s and %s are required", ErrHeaders, HeaderID, HeaderSignature)
	}
	seconds, err := strconv.ParseInt(header.Get(HeaderTimestamp), 10, 64)
	if err != nil {
		return fmt.Errorf("%w: %s must be whole seconds since 1970", ErrHeaders, HeaderTimestamp)
	}
	if at := time.Unix(seconds, 0); at.Before(now.Add(-tolerance)) || at.After(now.Add(tolerance)) {
		return ErrTimestamp
	}
	content := signedContent(id, seconds, payload)
	for signature := range strings.FieldsSeq(signatures) {
		version, encoded, _ := strings.Cut(signature, ",")
		raw, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil {
			continue
		}
		for _, k := range keys {
			if k.made(version, raw, content) {
				return nil
			}
		}
	}
	return ErrSignature
}

func (k Key) made(version string, signature, content []byte) bool {
	switch version {
	case versionHMAC:
		return k.secret != nil && hmac.Equal(signature, k.hmac(content))
	case versionEd25519:
		return k.public != nil && ed25519.Verify(k.public, content, signature)
	default:
		return false
	}
}

func (k Key) hmac(content []byte) []byte {
	mac := hmac.New(sha256.New, k.secret)
	mac.Write(content)
	return mac.Sum(nil)
}

func signedContent(id string, seconds int64, payload []byte) []byte {
	content := make([]byte, 0, len(id)+len(payload)+22)
	content = append(content, id...)
	content = append(content, '.')
	content = strconv.AppendInt(content, seconds, 10)
	content = append(content, '.')
	return append(content, payload...)
}
