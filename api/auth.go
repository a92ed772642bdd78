package api

import (
	"crypto/sha256"
	"crypto/subtle"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/carillon-dev/carillon"
)

// admin is who acts with the admin key, in audit entries.
const admin = "admin"

// keyHash is what the server keeps of a key. Keys are long and random, so a
// plain hash is enough; comparing hashes also hides the key's length.
type keyHash [sha256.Size]byte

// authorized lets only requests with the admin key through.
func (s *Server) authorized(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		scheme, key, _ := strings.Cut(c.Request().Header.Get(echo.HeaderAuthorization), " ")
		if !strings.EqualFold(scheme, "Bearer") || key == "" {
			return carillon.Errorf(carillon.CodeUnauthorized, "a key is required: Authorization: Bearer <key>")
		}
		given := keyHash(sha256.Sum256([]byte(strings.TrimSpace(key))))
		if subtle.ConstantTimeCompare(given[:], s.key[:]) != 1 {
			return carillon.Errorf(carillon.CodeUnauthorized, "the key is not valid")
		}
		return next(c)
	}
}
