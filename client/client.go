package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/carillon-dev/carillon"
)

// timeout is above the longest answer, which waits for the attempt of a test.
const timeout = 45 * time.Second

// maxAnswerBytes is far above the largest answer: a page of 250 entries.
const maxAnswerBytes = 8 << 20

// Client is a connection to one Carillon. It is safe for concurrent use.
type Client struct {
	base string
	key  string
	http *http.Client
}

// Option changes how a [Client] works.
type Option func(*Client)

// WithHTTPClient makes requests with another HTTP client than the default,
// which gives up after 45 s.
func WithHTTPClient(h *http.Client) Option { return func(c *Client) { c.http = h } }

// New returns a client of the Carillon at baseURL, such as
// "http://127.0.0.1:8080", that shows it the key.
func New(baseURL, key string, options ...Option) *Client {
	c := &Client{
		base: strings.TrimRight(baseURL, "/"),
		key:  key,
		http: &http.Client{Timeout: timeout},
	}
	for _, option := range options {
		option(c)
	}
	return c
}

// Error is an answer that is no success.
type Error struct {
	// Status is the HTTP status.
	Status int `json:"status"`
	// Code says what kind of trouble it is, for programs; empty when the answer
	// did not come from Carillon.
	Code carillon.Code `json:"code"`
	// Detail is for people.
	Detail string `json:"detail"`
	// Problems say where the input is wrong.
	Problems []carillon.Problem `json:"errors"`
	// RequestID finds the request in Carillon's log.
	RequestID string `json:"request_id"`
	// RetryAfter is how long to wait before the next try; zero when Carillon
	// does not say.
	RetryAfter time.Duration `json:"-"`
}

func (e *Error) Error() string {
	text := fmt.Sprintf("carillon answered %d %s: %s", e.Status, e.Code, e.Detail)
	for _, p := range e.Problems {
		text += fmt.Sprintf("; %s %s", p.Pointer, p.Detail)
	}
	return text
}

// CodeOf returns the code of the [*Error] in err's chain, empty when there is
// none.
func CodeOf(err error) carillon.Code {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return ""
}

// request is one call of the API.
type request struct {
	method string
	// path is below the base URL, its parts escaped.
	path    string
	query   url.Values
	ifMatch string
	body    any // nil for none
	answer  any // where the answer goes; nil when there is none
}

// do makes the call and returns the answer's header.
func (c *Client) do(ctx context.Context, r request) (http.Header, error) {
	var body io.Reader
	if r.body != nil {
		text, err := json.Marshal(r.body)
		if err != nil {
			return nil, fmt.Errorf("%s %s: %w", r.method, r.path, err)
		}
		body = bytes.NewReader(text)
	}
	address := c.base + r.path
	if len(r.query) > 0 {
		address += "?" + r.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, r.method, address, body)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", r.method, r.path, withoutURL(err))
	}
	req.Header.Set("Authorization", "Bearer "+c.key)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if r.ifMatch != "" {
		req.Header.Set("If-Match", r.ifMatch)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", r.method, r.path, withoutURL(err))
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswerBytes))
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", r.method, r.path, withoutURL(err))
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return nil, newError(resp, text)
	}
	if r.answer != nil {
		if err := json.Unmarshal(text, r.answer); err != nil {
			return nil, fmt.Errorf("%s %s: the answer is not Carillon's: %w", r.method, r.path, err)
		}
	}
	return resp.Header, nil
}

func newError(resp *http.Response, text []byte) error {
	e := &Error{}
	if json.Unmarshal(text, e) != nil || e.Code == "" {
		e = &Error{Detail: "the answer is not Carillon's: " + carillon.Clip(string(text), carillon.MaxErrorBytes)}
	}
	e.Status = resp.StatusCode
	if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil {
		e.RetryAfter = time.Duration(seconds) * time.Second
	}
	return e
}

// withoutURL takes the address off an error of net/http: it can hold a
// password, and the path is said already.
func withoutURL(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

// segments joins parts of a path, each escaped.
func segments(parts ...string) string {
	var b strings.Builder
	for _, part := range parts {
		b.WriteByte('/')
		b.WriteString(url.PathEscape(part))
	}
	return b.String()
}

// Page is a part of a list.
type Page[T any] struct {
	Items []T `json:"items"`
	// NextCursor is the Cursor of the filter that continues the list; empty at
	// its end.
	NextCursor string `json:"next_cursor"`
}
