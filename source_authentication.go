package carillon

import "log/slog"

// SourceAuthentication is how requests to a source prove where they come from;
// the zero value means that they carry an API key. It holds secrets, so it
// never prints itself.
type SourceAuthentication struct {
	// Scheme is one of package sources' schemes, such as "hmac-sha256"; empty
	// when there is none.
	Scheme string
	// Header is where a token or an HMAC is.
	Header string
	// Username goes with the scheme "basic".
	Username string
	// Secret is what new requests are made with, PreviousSecret one that is
	// accepted, too, while the registry's configuration changes.
	Secret         string
	PreviousSecret string
}

// String says nothing of the content.
func (SourceAuthentication) String() string { return "[authentication]" }

// GoString says nothing of the content.
func (SourceAuthentication) GoString() string { return "[authentication]" }

// LogValue says nothing of the content.
func (SourceAuthentication) LogValue() slog.Value { return slog.StringValue("[authentication]") }

// MarshalJSON says nothing of the content.
func (SourceAuthentication) MarshalJSON() ([]byte, error) { return []byte(`"[authentication]"`), nil }
