package channels

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// credentials reads the secrets that are sent as they are. Their masks keep the
// stored values only while the URL leads to the same host: else whoever may
// edit a subscription could have them sent to a host of their own.
type credentials struct {
	form  form
	moved bool
}

func (c credentials) prepare(endpoint *webhookEndpoint, before webhookEndpoint) {
	f := c.form
	endpoint.BearerToken = c.secret("bearer_token", f.text("bearer_token"), before.BearerToken)
	endpoint.Token = c.secret("token", f.text("token"), before.Token)
	if auth, ok := f.object("basic_auth", "username", "password"); ok {
		var password string
		if before.BasicAuth != nil {
			password = before.BasicAuth.Password
		}
		inner := credentials{form: auth, moved: c.moved}
		endpoint.BasicAuth = &basicAuth{Username: auth.text("username"), Password: inner.secret("password", auth.text("password"), password)}
		// https://www.rfc-editor.org/rfc/rfc7617#section-2
		if name := endpoint.BasicAuth.Username; name == "" || strings.Contains(name, ":") || !httpguts.ValidHeaderFieldValue(name) {
			auth.wrong("username", "is required, without colons and control characters")
		}
	}
	if endpoint.BasicAuth != nil && endpoint.BearerToken != "" {
		f.wrong("bearer_token", "cannot be given together with basic_auth: a request has one Authorization")
	}
	endpoint.Headers = c.headers(before.Headers, endpoint.BasicAuth != nil || endpoint.BearerToken != "")
}

// secret checks one value that goes into a header.
func (c credentials) secret(pointer, posted, stored string) string {
	if isMask(posted) {
		value, ok := unmask(posted, stored)
		switch {
		case !ok:
			c.form.wrong(pointer, "is not the mask of the stored value; give the value itself")
		case c.moved:
			c.form.wrong(pointer, "must be given again, because the url leads to another host")
		}
		return value
	}
	if len(posted) > maxSecretBytes || !httpguts.ValidHeaderFieldValue(posted) {
		c.form.wrong(pointer, "may have at most %d bytes, without line breaks and control characters", maxSecretBytes)
	}
	return posted
}

// headers reads the endpoint's own. One of them may be an Authorization of any
// scheme, unless the request is authorized with what has fields for it.
func (c credentials) headers(before map[string]string, authorized bool) map[string]string {
	f := c.form
	raw := field[map[string]json.RawMessage](f, "headers", "an object of strings")
	if len(raw) == 0 {
		return nil
	}
	if len(raw) > maxHeaders {
		f.wrong("headers", "may hold at most %d", maxHeaders)
		return nil
	}
	stored := map[string]string{}
	for name, value := range before {
		stored[http.CanonicalHeaderKey(name)] = value
	}
	headers, seen := map[string]string{}, map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(raw)) {
		pointer, canonical := "headers/"+escape(name), http.CanonicalHeaderKey(name)
		var value string
		switch {
		case !httpguts.ValidHeaderFieldName(name) || len(name) > maxHeaderNameBytes:
			f.wrong(pointer, "is not a header's name")
		case canonical == "Authorization" && authorized:
			f.wrong(pointer, "cannot be given together with bearer_token or basic_auth: a request has one Authorization")
		case isReserved(name):
			f.wrong(pointer, "is set by Carillon")
		case seen[canonical]:
			f.wrong(pointer, "is given twice: case does not count in a header's name")
		case json.Unmarshal(raw[name], &value) != nil || isNull(raw[name]):
			f.wrong(pointer, "must be a string")
		default:
			seen[canonical] = true
			headers[name] = c.secret(pointer, value, stored[canonical])
		}
	}
	return headers
}

func isReserved(name string) bool {
	lower := strings.ToLower(name)
	return slices.ContainsFunc(reserved, func(r string) bool {
		return lower == r || strings.HasSuffix(r, "-") && strings.HasPrefix(lower, r)
	})
}
