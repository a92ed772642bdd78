package api

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"
	"go.temporal.io/sdk/converter"

	"github.com/carillon-dev/carillon"
)

// codecPath begins the paths of the codec endpoint, which Temporal Web and
// Temporal's command line have payloads opened by.
// https://docs.temporal.io/codec-server
const codecPath = "/v1/codec"

// maxCodecBytes is for the payloads of one request: Temporal keeps none above 2
// MiB, and Temporal Web asks for an event's at a time.
const maxCodecBytes = 8 << 20

// codecHeaders are what Temporal Web sends.
const codecHeaders = "Authorization, Authorization-Extras, Content-Type, X-Namespace"

// codecView says what the codec endpoint is for.
type codecView struct {
	Namespace string `json:"namespace"`
}

// codecOrigin lets the pages of Temporal Web, and of no other site, ask the
// codec endpoint, with the credentials that the browser has for it.
// https://fetch.spec.whatwg.org/#http-cors-protocol
func (s *Server) codecOrigin(next echo.HandlerFunc) echo.HandlerFunc {
	allowed := originOf(s.deps.TemporalWebURL)
	return func(c echo.Context) error {
		path, origin := c.Request().URL.Path, c.Request().Header.Get(echo.HeaderOrigin)
		if path != codecPath && !strings.HasPrefix(path, codecPath+"/") || origin == "" {
			return next(c)
		}
		h := c.Response().Header()
		h.Add(echo.HeaderVary, echo.HeaderOrigin)
		if allowed == "" || origin != allowed {
			return carillon.Errorf(carillon.CodeForbidden, "pages of this site may not ask the codec: only those of CARILLON_TEMPORAL_WEB_URL may")
		}
		h.Set(echo.HeaderAccessControlAllowOrigin, allowed)
		h.Set(echo.HeaderAccessControlAllowCredentials, "true")
		if c.Request().Method != http.MethodOptions {
			return next(c)
		}
		h.Set(echo.HeaderAccessControlAllowMethods, http.MethodPost)
		h.Set(echo.HeaderAccessControlAllowHeaders, codecHeaders)
		h.Set(echo.HeaderAccessControlMaxAge, "600")
		return c.NoContent(http.StatusNoContent)
	}
}

// originOf is a site's origin, as a browser writes it; empty for none.
func originOf(site string) string {
	u, err := url.Parse(strings.ToLower(site))
	if err != nil || u.Host == "" {
		return ""
	}
	usual := map[string]string{"http": ":80", "https": ":443"}[u.Scheme]
	return u.Scheme + "://" + strings.TrimSuffix(u.Host, usual)
}

// codecAuthorized asks for a key that may see what happens: a browser that asks
// its user for it sends the key as the password of any user.
func (s *Server) codecAuthorized(next echo.HandlerFunc) echo.HandlerFunc {
	authorized := s.authorized(operators, func(c echo.Context) error {
		if key, _ := callerOf(c.Request().Context()); len(key.Scope) > 0 || len(key.Sources) > 0 {
			return carillon.Errorf(carillon.CodeForbidden, "a key that is limited to a scope may not open payloads, which can be of any")
		}
		if namespace := c.Request().Header.Get("X-Namespace"); namespace != "" && namespace != s.deps.Namespace {
			return carillon.Errorf(carillon.CodeForbidden, "the codec is of another namespace")
		}
		if s.deps.Codec == nil {
			return carillon.Errorf(carillon.CodeNotFound, "there is no codec: CARILLON_CODEC_KEY is not set")
		}
		return next(c)
	})
	return func(c echo.Context) error {
		if pair, err := base64.StdEncoding.DecodeString(authorization(c, "Basic")); err == nil && len(pair) > 0 {
			_, key, _ := strings.Cut(string(pair), ":")
			c.Request().Header.Set(echo.HeaderAuthorization, "Bearer "+key)
		}
		return authorized(c)
	}
}

// codec tells whoever opens it in a browser that the key was right, after which
// the browser sends it for the pages of Temporal Web, too.
func (s *Server) codec(c echo.Context) error {
	if c.Request().Header.Get(echo.HeaderAuthorization) == "" {
		c.Response().Header().Set(echo.HeaderWWWAuthenticate, `Basic realm="carillon", charset="UTF-8"`)
	}
	return s.codecAuthorized(func(c echo.Context) error {
		return answer(c, http.StatusOK, codecView{Namespace: s.deps.Namespace})
	})(c)
}

// codecPayloads opens payloads, or seals them, as the path says.
func (s *Server) codecPayloads(c echo.Context) error {
	return s.codecAuthorized(func(c echo.Context) error {
		req, w := c.Request(), c.Response()
		req.Body = http.MaxBytesReader(w, req.Body, maxCodecBytes)
		w.Header().Set(echo.HeaderCacheControl, "no-store")
		w.Header().Set(echo.HeaderXContentTypeOptions, "nosniff")
		converter.NewPayloadCodecHTTPHandler(s.deps.Codec).ServeHTTP(w, req)
		return nil
	})(c)
}
