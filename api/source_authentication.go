package api

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/sources"
)

const (
	// masked stands for a secret.
	masked = "••••"
	// A mask ends with the last characters of a secret that is long enough to
	// stay one without them.
	shownTail, minTailed = 4, 16
)

// authenticationView is how a source's requests prove where they come from, as
// it is answered, and, with secrets in the place of masks, as it is posted.
type authenticationView struct {
	Scheme         string `json:"scheme,omitempty"`
	Header         string `json:"header,omitempty"`
	Username       string `json:"username,omitempty"`
	Secret         string `json:"secret,omitempty"`
	PreviousSecret string `json:"previous_secret,omitempty"`
	// Unreadable stands alone: it is sealed with a key that is not here.
	Unreadable bool `json:"unreadable,omitempty"`
}

func viewAuthentication(src carillon.Source) *authenticationView {
	a := src.Authentication
	switch {
	case src.Unreadable:
		return &authenticationView{Unreadable: true}
	case a.Scheme == "":
		return nil
	}
	return &authenticationView{
		Scheme: a.Scheme, Header: a.Header, Username: a.Username,
		Secret: maskSecret(a.Secret), PreviousSecret: maskSecret(a.PreviousSecret),
	}
}

func maskSecret(secret string) string {
	runes := []rune(secret)
	switch {
	case secret == "":
		return ""
	case len(runes) < minTailed:
		return masked
	}
	return masked + " " + string(runes[len(runes)-shownTail:])
}

// readAuthentication reads what was posted into src, which holds what is
// stored. Where a mask comes back, the stored secret stays; the mask of the
// secret, posted as the previous one, makes it that.
func readAuthentication(f *fields, src *carillon.Source) {
	stored, unreadable := src.Authentication, src.Unreadable
	src.Authentication, src.Unreadable = carillon.SourceAuthentication{}, false
	raw := f.raw("authentication")
	if raw == nil {
		return
	}
	in := readFields(f.at+"/authentication", raw)
	defer func() {
		if problems, wrong := problemsOf(in.done()); wrong {
			f.problems = append(f.problems, problems...)
		}
	}()
	if in.yes("unreadable") {
		if !unreadable || len(in.members) > 1 {
			in.wrong("unreadable", "is read-only, and stands alone")
		}
		src.Unreadable = unreadable
		return
	}
	a := carillon.SourceAuthentication{
		Scheme:         in.text("scheme", maxNameBytes),
		Header:         in.text("header", maxNameBytes),
		Username:       in.text("username", maxNameBytes),
		Secret:         in.secret("secret", stored.Secret, stored.PreviousSecret),
		PreviousSecret: in.secret("previous_secret", stored.PreviousSecret, stored.Secret),
	}
	if in.members == nil || len(in.problems) > 0 {
		return
	}
	for _, p := range sources.CheckAuthentication(a) {
		p.Pointer = in.at + p.Pointer
		in.problems = append(in.problems, p)
	}
	src.Authentication = a
}

// secret takes a secret, or the mask of a stored one.
func (f *fields) secret(name string, stored ...string) string {
	posted := f.text(name, maxParamBytes)
	if !strings.HasPrefix(posted, masked) {
		return posted
	}
	for _, secret := range stored {
		if secret != "" && posted == maskSecret(secret) {
			return secret
		}
	}
	f.wrong(name, "is the mask of no stored secret; give the secret itself")
	return ""
}

// admitUpstream returns the source of a request, and its body, which only
// somebody who may send it gets in: by the source's secret alone where it has
// one, by a key otherwise. Whoever may not cannot tell from the answer whether
// there is such a source, and nothing of the body was looked at.
func (s *Server) admitUpstream(c echo.Context) (carillon.Source, json.RawMessage, error) {
	name, notFound := param(c, "name")
	var src carillon.Source
	if notFound == nil {
		src, notFound = s.deps.Store.Source(c.Request().Context(), name)
		if notFound != nil && carillon.CodeOf(notFound) != carillon.CodeNotFound {
			return src, nil, notFound
		}
	}
	body, err := readRaw(c, maxUpstreamBytes)
	if err != nil {
		return src, nil, err
	}
	switch {
	case src.Unreadable:
		return src, nil, carillon.Errorf(carillon.CodeUnavailable,
			"the source's secret cannot be opened: it is sealed with a key that is not configured, or damaged")
	case src.Authentication.Scheme != "":
		if !sources.Authenticate(src.Authentication, c.Request().Header, body, s.deps.Now()) {
			return src, nil, notAdmitted()
		}
		if err := s.spendOne(c, src.ID, carillon.RateLimit{}); err != nil {
			return src, nil, err
		}
	default:
		if err := s.authorized(publishers, func(echo.Context) error { return nil })(c); err != nil {
			if carillon.CodeOf(err) == carillon.CodeUnauthorized {
				return src, nil, notAdmitted()
			}
			return src, nil, err
		}
	}
	ctx := c.Request().Context()
	if err := mayName(ctx, name); err != nil {
		return src, nil, err
	}
	if notFound != nil {
		return src, nil, notFound
	}
	if len(carillon.ConfinementOf(ctx)) > 0 {
		if src, notFound = s.deps.Store.Source(ctx, name); notFound != nil {
			return src, nil, notFound
		}
	}
	if err := checkContentType(c, anyJSON); err != nil {
		return src, nil, err
	}
	body = bytes.TrimPrefix(body, []byte("\ufeff")) // some registries begin with a byte order mark
	return src, body, checkJSON(body)
}

// notAdmitted is the same for every source, and for none.
func notAdmitted() error {
	return carillon.Errorf(carillon.CodeUnauthorized, "the source's secret, or for a source without one a key, is missing or not valid")
}
