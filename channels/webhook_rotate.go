package channels

import (
	"encoding/json"
	"slices"
	"strconv"
	"time"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/internal/signature"
)

// previousSecret signs as well until it expires; the zero time is never.
type previousSecret struct {
	Secret    string    `json:"secret"`
	ExpiresAt time.Time `json:"expires_at,omitzero"`
}

// UnmarshalJSON reads the object, or the secret alone, which never expires.
func (p *previousSecret) UnmarshalJSON(text []byte) error {
	if json.Unmarshal(text, &p.Secret) == nil {
		return nil
	}
	type plain previousSecret
	return json.Unmarshal(text, (*plain)(p))
}

func (p previousSecret) signs(at time.Time) bool {
	return p.ExpiresAt.IsZero() || at.Before(p.ExpiresAt)
}

// until ends the secret at a time, unless it ends earlier.
func (p previousSecret) until(at time.Time) previousSecret {
	if p.ExpiresAt.IsZero() || at.Before(p.ExpiresAt) {
		p.ExpiresAt = at
	}
	return p
}

// signing returns the secrets that sign at a time, the current one first.
func (e webhookEndpoint) signing(at time.Time) []string {
	secrets := []string{e.Secret}
	for _, p := range e.PreviousSecrets {
		if p.signs(at) {
			secrets = append(secrets, p.Secret)
		}
	}
	return secrets
}

// allSecrets lists every signing secret that is stored, expired or not.
func (e webhookEndpoint) allSecrets() []string {
	secrets := []string{e.Secret}
	for _, p := range e.PreviousSecrets {
		secrets = append(secrets, p.Secret)
	}
	return secrets
}

// preparePrevious reads the previous secrets: each a string, or an object that
// says when it expires. The mask alone keeps what is stored of its secret.
// What has expired is left out.
func preparePrevious(f form, before webhookEndpoint, now time.Time) []previousSecret {
	const want = `a list of strings or objects such as {"secret":"whsec_…","expires_at":"2026-11-21T20:00:00Z"}`
	posted := field[[]json.RawMessage](f, "previous_secrets", want)
	if len(posted) > maxPreviousSecrets {
		f.wrong("previous_secrets", "may hold at most %d", maxPreviousSecrets)
		return nil
	}
	// A mask tells little: one that fits two stored secrets means each once, and
	// a previous one rather than the current.
	stored := append(slices.Clone(before.PreviousSecrets), previousSecret{Secret: before.Secret})
	var previous []previousSecret
	for i, raw := range posted {
		at := "previous_secrets/" + strconv.Itoa(i)
		p, bare := readPrevious(f, at, raw)
		switch {
		case p.Secret == "" || !p.signs(now):
			continue
		case !isMask(p.Secret):
			checkSecret(f, at, p.Secret)
		default:
			k := slices.IndexFunc(stored, func(s previousSecret) bool { return s.Secret != "" && mask(s.Secret) == p.Secret })
			if k < 0 {
				f.wrong(at, noSuchMask)
				continue
			}
			if p.Secret = stored[k].Secret; bare {
				p.ExpiresAt = stored[k].ExpiresAt
			}
			stored = slices.Delete(stored, k, k+1)
		}
		if p.signs(now) {
			previous = append(previous, p)
		}
	}
	return previous
}

// readPrevious reads one entry; bare says that it is a string. Its secret is
// empty when the entry is wrong.
func readPrevious(f form, at string, raw json.RawMessage) (p previousSecret, bare bool) {
	if json.Unmarshal(raw, &p.Secret) == nil && !isNull(raw) {
		if p.Secret == "" {
			f.wrong(at, "must not be empty")
		}
		return p, true
	}
	object := form{pointer: f.pointer + "/" + at, problems: f.problems}.read(raw, []string{"secret", "expires_at"})
	if object.fields == nil {
		return p, false
	}
	var ok bool
	if p.Secret, ok = object.required("secret", "whsec_…"); !ok {
		return p, false
	}
	p.ExpiresAt = field[time.Time](object, "expires_at", "an RFC 3339 time such as 2026-11-21T20:00:00Z")
	p.ExpiresAt = p.ExpiresAt.UTC().Truncate(time.Millisecond) // as an attempt's start
	if p.ExpiresAt.Year() > 9999 {
		object.wrong("expires_at", "must be before the year 10000")
	}
	return p, false
}

// Rotate replaces the signing secret; an empty one is made, of the kind that
// the stored one is. The stored one signs as well for the overlap, and so do,
// at most as long, those before it: after the overlap the new one signs alone.
// It returns the endpoint to keep and, when it made the secret, what to show
// this once, by field name. A secret that is wrong gives a CodeInvalid with the
// pointer "/secret".
func (w *webhook) Rotate(stored carillon.Endpoint, secret string, overlap time.Duration) (carillon.Endpoint, map[string]string, error) {
	endpoint, _, err := readWebhook(stored)
	if err != nil {
		return nil, nil, carillon.Errorf(carillon.CodeConflict, "the stored endpoint cannot be read; post it anew, with its secrets")
	}
	f := form{problems: &[]carillon.Problem{}}
	var shown map[string]string
	switch {
	case secret == "":
		secret = newSecretLike(endpoint.Secret)
		shown = map[string]string{"secret": secret}
	case isMask(secret):
		f.wrong("secret", "is a mask; give the secret itself")
	case secret == endpoint.Secret:
		f.wrong("secret", "is the one that signs already")
	default:
		checkSecret(f, "secret", secret)
	}
	if err := f.err(); err != nil {
		return nil, nil, err
	}
	now := w.now()
	end := now.Add(overlap).UTC().Truncate(time.Millisecond)
	var previous []previousSecret
	for _, p := range append([]previousSecret{{Secret: endpoint.Secret}}, endpoint.PreviousSecrets...) {
		// One that is taken up again must not expire.
		if p = p.until(end); p.Secret != secret && p.signs(now) && len(previous) < maxPreviousSecrets {
			previous = append(previous, p)
		}
	}
	endpoint.Secret, endpoint.PreviousSecrets = secret, previous
	kept, err := json.Marshal(endpoint)
	if err != nil {
		return nil, nil, carillon.Errorf(carillon.CodeInternal, "the endpoint cannot be written")
	}
	return kept, shown, nil
}

// newSecretLike makes a secret of another's kind: receivers go on verifying as
// they do.
func newSecretLike(secret string) string {
	if key, err := signature.ParseKey(secret); err == nil {
		if _, asymmetric := key.Public(); asymmetric {
			return signature.NewPrivate()
		}
	}
	return signature.NewSecret()
}
