package api

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"github.com/carillon-dev/carillon"
)

// Sizes of pages.
const (
	defaultLimit = 50
	maxLimit     = 250
)

// maxConfigBytes is the limit of a subscription or a source as it is posted.
const maxConfigBytes = 64 << 10

// maxParamBytes is the limit of a path or query parameter; nothing that has a
// name here has a longer one.
const maxParamBytes = carillon.MaxSubjectBytes

const mergePatch = "application/merge-patch+json"

// readBody returns the body, which is at most limit bytes of JSON that
// [checkJSON] accepts, and of the content type that accept takes.
func readBody(c echo.Context, limit int64, accept func(mediaType string) bool) (json.RawMessage, error) {
	if err := checkContentType(c, accept); err != nil {
		return nil, err
	}
	body, err := readRaw(c, limit)
	if err != nil {
		return nil, err
	}
	if err := checkJSON(body); err != nil {
		return nil, err
	}
	return body, nil
}

func checkContentType(c echo.Context, accept func(mediaType string) bool) error {
	req := c.Request()
	mediaType, params, err := mime.ParseMediaType(req.Header.Get(echo.HeaderContentType))
	charset := params["charset"]
	if err != nil || !accept(mediaType) || charset != "" && !strings.EqualFold(charset, "utf-8") {
		return carillon.Errorf(codeMediaType, "the body must be JSON in UTF-8: Content-Type: application/json")
	}
	if encoding := req.Header.Get(echo.HeaderContentEncoding); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return carillon.Errorf(codeMediaType, "the body must not be compressed: leave Content-Encoding out")
	}
	return nil
}

// readRaw returns the body as it came, at most limit bytes.
func readRaw(c echo.Context, limit int64) ([]byte, error) {
	req := c.Request()
	tooLarge := carillon.Errorf(carillon.CodeTooLarge, "the body is larger than %d KiB", limit>>10)
	if req.ContentLength > limit {
		return nil, tooLarge
	}
	body, err := io.ReadAll(http.MaxBytesReader(c.Response(), req.Body, limit))
	if err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return nil, tooLarge
		}
		return nil, &carillon.Error{Code: carillon.CodeInvalid, Message: "the body did not arrive as a whole", Err: err}
	}
	return body, nil
}

func onlyJSON(mediaType string) bool { return mediaType == echo.MIMEApplicationJSON }

func anyJSON(mediaType string) bool {
	return onlyJSON(mediaType) || strings.HasSuffix(mediaType, "+json")
}

func jsonOrPatch(mediaType string) bool { return onlyJSON(mediaType) || mediaType == mergePatch }

// printable reports whether a parameter can name anything: the database holds
// no U+0000, and no name has a control character.
func printable(s string) bool {
	return len(s) <= maxParamBytes && utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' })
}

// param returns a path parameter.
func param(c echo.Context, name string) (string, error) {
	v, err := c.Param(name), error(nil)
	if c.Request().URL.RawPath != "" {
		v, err = url.PathUnescape(v) // Echo matches, and cuts, the escaped path
	}
	if err != nil || v == "" || !printable(v) {
		return "", carillon.Errorf(carillon.CodeNotFound, "there is no such %s", name)
	}
	return v, nil
}

// query reads the query's parameters one by one and keeps the first mistake.
type query struct {
	values url.Values
	known  []string
	err    error
}

func readQuery(c echo.Context) *query {
	// Not URL.Query, which leaves out what it cannot read.
	values, err := url.ParseQuery(c.Request().URL.RawQuery)
	q := &query{values: values}
	if err != nil {
		q.fail("the query cannot be read: it must be key=value pairs in percent-encoding")
	}
	return q
}

func (q *query) fail(format string, args ...any) {
	if q.err == nil {
		q.err = carillon.Errorf(carillon.CodeInvalid, format, args...)
	}
}

func (q *query) texts(name string) []string {
	q.known = append(q.known, name)
	for _, v := range q.values[name] {
		if v == "" || !printable(v) {
			q.fail("the query parameter %s must be 1 to %d bytes without control characters", name, maxParamBytes)
			return nil
		}
	}
	return q.values[name]
}

func (q *query) text(name string) string {
	switch v := q.texts(name); len(v) {
	case 0:
		return ""
	case 1:
		return v[0]
	}
	q.fail("the query parameter %s is given twice", name)
	return ""
}

func (q *query) time(name string) time.Time {
	text := q.text(name)
	if text == "" {
		return time.Time{}
	}
	t, ok := parseTime(text)
	if !ok {
		q.fail("the query parameter %s must be an RFC 3339 time of the years 1970 to 9999, such as 2026-11-21T20:00:00Z", name)
	}
	return t.Truncate(time.Microsecond)
}

func (q *query) yes(name string) bool {
	switch q.text(name) {
	case "true":
		return true
	case "", "false":
	default:
		q.fail("the query parameter %s must be true or false", name)
	}
	return false
}

func (q *query) limit() int {
	text := q.text("limit")
	if text == "" {
		return defaultLimit
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxLimit {
		q.fail("the query parameter limit must be a number from 1 to %d", maxLimit)
		return defaultLimit
	}
	return n
}

// scope takes "key:value", once for each key.
func (q *query) scope(name string) map[string]string {
	var scope map[string]string
	for _, text := range q.texts(name) {
		key, value, ok := strings.Cut(text, ":")
		if _, twice := scope[key]; !ok || key == "" || value == "" || twice || len(scope) == carillon.MaxScopeKeys {
			q.fail("the query parameter %s must be key:value, such as feed:internal-utils, and each key once", name)
			return nil
		}
		if scope == nil {
			scope = map[string]string{}
		}
		scope[key] = value
	}
	return scope
}

// states takes delivery states, separated by commas or given several times.
func (q *query) states(name string) []carillon.DeliveryState {
	var states []carillon.DeliveryState
	for _, list := range q.texts(name) {
		for text := range strings.SplitSeq(list, ",") {
			state := carillon.DeliveryState(text)
			if !slices.Contains(carillon.DeliveryStates, state) {
				q.fail("the query parameter %s must be one or several of %s", name, join(carillon.DeliveryStates))
				return nil
			}
			if !slices.Contains(states, state) {
				states = append(states, state)
			}
		}
	}
	return states
}

// done returns the first mistake; an unknown parameter is one.
func (q *query) done() error {
	for _, name := range sortedKeys(q.values) {
		if !slices.Contains(q.known, name) {
			if len(q.known) == 0 {
				q.fail("this path takes no query parameters")
			}
			q.fail("there is no query parameter %s here; there are %s",
				carillon.Clip(strconv.Quote(name), 100), strings.Join(q.known, ", "))
		}
	}
	return q.err
}

// cursor takes a place in a list: a time and ids, as many as are given. It
// leaves them as they are when there is no cursor.
func (q *query) cursor(at *time.Time, ids ...*string) {
	text := q.text("cursor")
	if text == "" {
		return
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	parts := strings.Split(string(raw), "\n")
	var micros int64
	if err == nil && len(parts) == len(ids)+1 {
		micros, err = strconv.ParseInt(parts[0], 10, 64)
	}
	if err != nil || len(parts) != len(ids)+1 || !slices.ContainsFunc(parts[1:], func(id string) bool { return id != "" }) ||
		slices.ContainsFunc(parts[1:], func(id string) bool { return !printable(id) }) {
		q.fail("the query parameter cursor must be the next_cursor of an answer to the same list")
		return
	}
	*at = time.UnixMicro(micros).UTC()
	for i, id := range ids {
		*id = parts[i+1]
	}
}

// cursor writes what [query.cursor] reads.
func cursor(at time.Time, ids ...string) string {
	text := fmt.Sprintf("%d\n%s", at.UnixMicro(), strings.Join(ids, "\n"))
	return base64.RawURLEncoding.EncodeToString([]byte(text))
}

// page is a list as it is answered.
type page[T any] struct {
	Items []T `json:"items"`
	// NextCursor continues the list; absent at its end.
	NextCursor string `json:"next_cursor,omitempty"`
}

// newPage shows at most limit rows; next is called for the last of them when
// there are more.
func newPage[R, T any](rows []R, limit int, show func(R) T, next func(R) string) page[T] {
	p := page[T]{Items: make([]T, 0, len(rows))}
	if len(rows) > limit {
		rows = rows[:limit]
		p.NextCursor = next(rows[limit-1])
	}
	for _, row := range rows {
		p.Items = append(p.Items, show(row))
	}
	return p
}

// listByID answers a list that goes on after an id. One row more than is shown
// is read, to know whether there are more.
func listByID[R, T any](
	c echo.Context, read func(ctx context.Context, after string, limit int) ([]R, error), show func(R) T, next func(R) string,
) error {
	q := readQuery(c)
	limit := q.limit()
	var created time.Time
	var after string
	q.cursor(&created, &after)
	if err := q.done(); err != nil {
		return err
	}
	rows, err := read(c.Request().Context(), after, limit+1)
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, newPage(rows, limit, show, next))
}

func join[T ~string](words []T) string {
	texts := make([]string, len(words))
	for i, w := range words {
		texts[i] = string(w)
	}
	return strings.Join(texts, ", ")
}

// etag writes a version as an entity tag (RFC 9110, 8.8.3).
func etag(version int64) string { return `"` + strconv.FormatInt(version, 10) + `"` }

// precondition checks If-Match against the version that an object has; without
// the header every version is right.
func precondition(c echo.Context, version int64) error {
	header := c.Request().Header.Get("If-Match")
	if header == "" {
		return nil
	}
	for tag := range strings.SplitSeq(header, ",") {
		if tag = strings.TrimSpace(tag); tag == "*" || tag == etag(version) {
			return nil
		}
	}
	return carillon.Errorf(carillon.CodeStale,
		"it was changed since: If-Match does not name the current version, whose ETag is %s; read it again", etag(version))
}

// conditional reports whether the client named a version.
func conditional(c echo.Context) bool { return c.Request().Header.Get("If-Match") != "" }
