package carillon

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"time"
)

// Prefixes of the ids that Carillon makes.
const (
	EventPrefix        = "evt_"
	SubscriptionPrefix = "sub_"
	SourcePrefix       = "src_"
)

// crockford is the alphabet of ULIDs: ordered, without I, L, O and U.
// https://github.com/ulid/spec
var crockford = base32.NewEncoding("0123456789ABCDEFGHJKMNPQRSTVWXYZ").WithPadding(base32.NoPadding)

// NewID returns prefix and a ULID of the instant: ids made later sort later,
// to the millisecond.
func NewID(prefix string, now time.Time) string {
	// A ULID's 128 bits are written in 26 characters of 5 bits, so two zero
	// bits stand in front: 17 bytes shifted right by 6 bits hold them.
	var b [17]byte
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(now.UnixMilli()))
	var raw [16]byte
	copy(raw[:6], ms[2:])
	_, _ = rand.Read(raw[6:]) // never fails, says its documentation
	for i, v := range raw {
		b[i] |= v >> 2
		b[i+1] = v << 6
	}
	return prefix + crockford.EncodeToString(b[:])[:26]
}

// EventID returns the id of the event that a source calls id. It is made of
// both, so that a source which publishes twice names one event, and two
// sources never name the same: the parts are hashed with their lengths before
// them, so no two pairs read alike.
func EventID(source, id string) string {
	h := sha256.New()
	for _, part := range []string{source, id} {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(part)))
		h.Write(n[:])
		h.Write([]byte(part))
	}
	// 160 bits: 32 characters, longer than a ULID, so the two kinds of event
	// ids cannot meet.
	return EventPrefix + crockford.EncodeToString(h.Sum(nil)[:20])
}
