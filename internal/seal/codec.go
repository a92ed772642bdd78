package seal

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/aead/xaesgcm"
	"github.com/tink-crypto/tink-go/v2/insecuresecretdataaccess"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/secretdata"
	"github.com/tink-crypto/tink-go/v2/tink"
	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"
	"google.golang.org/protobuf/proto"
)

const (
	// encrypted is the encoding of a sealed payload, as Temporal's own samples
	// call it, and metadataKeyID is where the id of its key is, for people.
	// https://github.com/temporalio/samples-go/tree/main/encryption
	encrypted     = "binary/encrypted"
	metadataKeyID = "encryption-key-id"
	// plain in place of the first key leaves payloads as they are.
	plain = "plain"
	// payloadContext binds what is sealed to being a payload.
	payloadContext = "carillon/payload"
	// saltBytes is what C2SP lays down for XAES-256-GCM.
	// https://c2sp.org/XAES-256-GCM
	saltBytes = 12
)

// Codec seals what Temporal keeps of runs: their inputs, results, summaries and
// errors. It is a [converter.PayloadCodec], safe for concurrent use, and never
// prints what it holds.
//
// Payloads are many, so they are sealed with XAES-256-GCM: AES-256-GCM under a
// key that is derived for each, for which no key is used up by their number.
type Codec struct {
	// opens is nil without keys.
	opens tink.AEAD
	seals bool
	ids   []string
}

// NewCodec reads a comma-separated list of keys, each 32 bytes in standard
// base64: the first seals, all open. "plain" as the first leaves payloads as
// they are, and the keys behind it still open. An empty list has no keys. The
// error says which entry is wrong, and never contains one.
func NewCodec(keys string) (*Codec, error) {
	c := &Codec{}
	entries := strings.Split(keys, ",")
	switch strings.TrimSpace(entries[0]) {
	case "", plain:
		entries = entries[1:]
	default:
		c.seals = true
	}
	if len(entries) == 0 {
		return c, nil
	}
	parameters, err := xaesgcm.NewParameters(xaesgcm.VariantTink, saltBytes)
	if err != nil {
		return nil, err
	}
	manager := keyset.NewManager()
	var first uint32
	for i, text := range entries {
		raw, err := readKey(text)
		if err != nil {
			return nil, fmt.Errorf("codec key %d %w", i+1, err)
		}
		id := keyID(raw)
		number, err := keyNumber(id)
		if err != nil {
			return nil, err
		}
		key, err := xaesgcm.NewKey(secretdata.NewBytesFromData(raw, insecuresecretdataaccess.Token{}), number, parameters)
		if err != nil {
			return nil, fmt.Errorf("codec key %d: %w", i+1, err)
		}
		if _, err := manager.AddKey(key); err != nil {
			return nil, fmt.Errorf("codec key %d is given twice", i+1)
		}
		if i == 0 {
			first = number
		}
		c.ids = append(c.ids, id)
	}
	if err := manager.SetPrimary(first); err != nil {
		return nil, fmt.Errorf("choose the codec key that seals: %w", err)
	}
	handle, err := manager.Handle()
	if err != nil {
		return nil, fmt.Errorf("set up the codec's keys: %w", err)
	}
	if c.opens, err = aead.New(handle); err != nil {
		return nil, fmt.Errorf("set up the codec's keys: %w", err)
	}
	return c, nil
}

// keyNumber is a key's id as the library takes it.
func keyNumber(id string) (uint32, error) {
	raw, err := hex.DecodeString(id)
	if err != nil {
		return 0, err
	}
	return binary.BigEndian.Uint32(raw), nil
}

// Seals reports whether payloads are sealed, not only opened.
func (c *Codec) Seals() bool { return c.seals }

// Keys are the ids of all keys, the one that seals first.
func (c *Codec) Keys() []string { return slices.Clone(c.ids) }

// Encode seals payloads whole, with their metadata.
func (c *Codec) Encode(payloads []*commonpb.Payload) ([]*commonpb.Payload, error) {
	if !c.seals {
		return payloads, nil
	}
	sealed := make([]*commonpb.Payload, len(payloads))
	for i, p := range payloads {
		text, err := proto.Marshal(p)
		if err != nil {
			return nil, fmt.Errorf("write payload: %w", err)
		}
		data, err := c.opens.Encrypt(text, []byte(payloadContext))
		if err != nil {
			return nil, fmt.Errorf("seal payload: %w", err)
		}
		sealed[i] = &commonpb.Payload{
			Metadata: map[string][]byte{converter.MetadataEncoding: []byte(encrypted), metadataKeyID: []byte(c.ids[0])},
			Data:     data,
		}
	}
	return sealed, nil
}

// Decode opens payloads; those that were never sealed stay as they are. The
// error wraps [ErrUnknownKey] or [ErrDamaged].
func (c *Codec) Decode(payloads []*commonpb.Payload) ([]*commonpb.Payload, error) {
	opened := make([]*commonpb.Payload, len(payloads))
	for i, p := range payloads {
		if string(p.GetMetadata()[converter.MetadataEncoding]) != encrypted {
			opened[i] = p
			continue
		}
		text, err := c.open(p.GetData())
		if err != nil {
			return nil, fmt.Errorf("open payload: %w", err)
		}
		opened[i] = &commonpb.Payload{}
		if err := proto.Unmarshal(text, opened[i]); err != nil {
			return nil, fmt.Errorf("open payload: %w", ErrDamaged)
		}
	}
	return opened, nil
}

// open decrypts the data of a payload. The library tells no missing key from
// damage, which is why the key's id, in its prefix, is looked at first: the
// metadata anybody could change.
// https://developers.google.com/tink/wire-format#output_prefix
func (c *Codec) open(data []byte) ([]byte, error) {
	const prefix = 1 + 4
	if len(data) < prefix {
		return nil, ErrDamaged
	}
	id := hex.EncodeToString(data[1:prefix])
	if !slices.Contains(c.ids, id) {
		return nil, fmt.Errorf("%w: %s is not in CARILLON_CODEC_KEY", ErrUnknownKey, id)
	}
	text, err := c.opens.Decrypt(data, []byte(payloadContext))
	if err != nil {
		return nil, ErrDamaged
	}
	return text, nil
}

// String says nothing of the keys.
func (*Codec) String() string { return "[codec]" }

// GoString says nothing of the keys.
func (*Codec) GoString() string { return "[codec]" }

// LogValue says nothing of the keys.
func (*Codec) LogValue() slog.Value { return slog.StringValue("[codec]") }
