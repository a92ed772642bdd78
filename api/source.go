package api

import (
	"encoding/json"
	"net/http"
	"regexp"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/sources"
)

// sourceName is what a source can be called: its name is part of a path, and
// is often the host name of a registry.
var sourceName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,99}$`)

// sourceView is a source as it is answered, and, but for what is read-only, as
// it is posted.
type sourceView struct {
	ID    string            `json:"id"`
	Name  string            `json:"name"`
	Kind  string            `json:"kind"`
	Scope map[string]string `json:"scope"`
	// Authentication is absent where requests carry an API key.
	Authentication *authenticationView `json:"authentication,omitempty"`
	CreatedAt      time.Time           `json:"created_at"`
	UpdatedAt      time.Time           `json:"updated_at"`
}

func viewSource(src carillon.Source) sourceView {
	v := sourceView{
		ID: src.ID, Name: src.Name, Kind: src.Kind, Scope: src.Scope,
		Authentication: viewAuthentication(src),
		CreatedAt:      src.CreatedAt.UTC(), UpdatedAt: src.UpdatedAt.UTC(),
	}
	if v.Scope == nil {
		v.Scope = map[string]string{}
	}
	return v
}

// readSource makes a source of what was posted; current is the stored one that
// it replaces, nil at creation.
func readSource(body json.RawMessage, current *carillon.Source) (carillon.Source, error) {
	f := readFields("", body)
	var src carillon.Source
	if current != nil {
		src = *current
		if id := f.text("id", maxParamBytes); id != "" && id != src.ID {
			f.wrong("id", "cannot be changed")
		}
		f.raw("created_at")
		f.raw("updated_at")
	}
	src.Name = f.required("name", carillon.MaxSourceBytes)
	if src.Name != "" && !sourceName.MatchString(src.Name) {
		f.wrong("name", "must be 1 to 100 of a-z, 0-9, dot, hyphen and underscore, and begin with a letter or a digit")
	}
	if src.Name == carillon.OwnSource {
		f.wrong("name", "is the source of Carillon's own events")
	}
	kind := f.required("kind", maxNameBytes)
	switch _, ok := sources.Lookup(kind); {
	case kind == "":
	case current != nil && kind != current.Kind:
		f.wrong("kind", "cannot be changed; make another source")
	case current == nil && !ok:
		f.wrong("kind", "must be one of %s", join(sources.Kinds()))
	}
	src.Kind = kind
	src.Scope = f.scope("scope")
	readAuthentication(f, &src)
	return src, f.done()
}

// listSources answers all: there are as many as registries.
func (s *Server) listSources(c echo.Context) error {
	if err := readQuery(c).done(); err != nil {
		return err
	}
	all, err := s.deps.Store.Sources(c.Request().Context())
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, newPage(all, len(all), viewSource, nil))
}

// namedSource reads the source that the path names, and checks If-Match
// against it.
func (s *Server) namedSource(c echo.Context) (carillon.Source, error) {
	name, err := param(c, "name")
	if err != nil {
		return carillon.Source{}, err
	}
	if err := readQuery(c).done(); err != nil {
		return carillon.Source{}, err
	}
	src, err := s.deps.Store.Source(c.Request().Context(), name)
	if err != nil {
		return carillon.Source{}, err
	}
	return src, precondition(c, src.Version)
}

func answerSource(c echo.Context, status int, src carillon.Source) error {
	c.Response().Header().Set("ETag", etag(src.Version))
	return answer(c, status, viewSource(src))
}

func (s *Server) source(c echo.Context) error {
	src, err := s.namedSource(c)
	if err != nil {
		return err
	}
	return answerSource(c, http.StatusOK, src)
}

func (s *Server) createSource(c echo.Context) error {
	if err := readQuery(c).done(); err != nil {
		return err
	}
	body, err := readBody(c, maxConfigBytes, onlyJSON)
	if err != nil {
		return err
	}
	src, err := readSource(body, nil)
	if err != nil {
		return err
	}
	now := s.deps.Now().UTC().Truncate(time.Microsecond)
	src.ID, src.CreatedAt, src.UpdatedAt = carillon.NewID(carillon.SourcePrefix, now), now, now
	if src, err = s.deps.Store.CreateSource(c.Request().Context(), src, actorOf(c)); err != nil {
		return err
	}
	c.Response().Header().Set(echo.HeaderLocation, "/v1/sources/"+src.Name)
	return answerSource(c, http.StatusCreated, src)
}

func (s *Server) replaceSource(c echo.Context) error {
	body, err := readBody(c, maxConfigBytes, onlyJSON)
	if err != nil {
		return err
	}
	return s.updateSource(c, func(carillon.Source) (json.RawMessage, error) { return body, nil })
}

func (s *Server) patchSource(c echo.Context) error {
	patch, err := readBody(c, maxConfigBytes, jsonOrPatch)
	if err != nil {
		return err
	}
	return s.updateSource(c, func(current carillon.Source) (json.RawMessage, error) {
		return applyPatch(viewSource(current), patch)
	})
}

// updateSource replaces the source by what body makes of it.
func (s *Server) updateSource(c echo.Context, body func(carillon.Source) (json.RawMessage, error)) error {
	for try := 1; ; try++ {
		current, err := s.namedSource(c)
		if err != nil {
			return err
		}
		text, err := body(current)
		if err != nil {
			return err
		}
		src, err := readSource(text, &current)
		if err != nil {
			return err
		}
		src.UpdatedAt = s.deps.Now().UTC().Truncate(time.Microsecond)
		src, err = s.deps.Store.UpdateSource(c.Request().Context(), src, current.Version, actorOf(c))
		if carillon.CodeOf(err) == carillon.CodeStale && !conditional(c) && try < updateTries {
			continue
		}
		if err != nil {
			return err
		}
		return answerSource(c, http.StatusOK, src)
	}
}

func (s *Server) deleteSource(c echo.Context) error {
	src, err := s.namedSource(c)
	if err != nil {
		return err
	}
	version := int64(0)
	if conditional(c) {
		version = src.Version
	}
	if err := s.deps.Store.DeleteSource(c.Request().Context(), src.Name, version, actorOf(c), s.deps.Now().UTC()); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}
