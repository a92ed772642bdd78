package api

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/channels"
	"github.com/carillon-dev/carillon/internal/signature"
)

const givenSecret = "whsec_Z2l2ZW4tZ2l2ZW4tZ2l2ZW4tZ2l2ZW4tZ2l2ZW4="

// rotation is a request to rotate the secret of a subscription.
func rotation(id, body string) call {
	return call{method: http.MethodPost, path: "/v1/subscriptions/" + id + "/rotate-secret", body: body}
}

func TestASecretIsRotated(t *testing.T) {
	t.Parallel()
	b := setup(t)
	made := created(t, b, watchers())
	old, _ := endpointOf(t, made.subscriptionView)["secret"].(string)

	resp := b.do(t, rotation(made.ID, ""))
	require.Equal(t, http.StatusOK, resp.status, "%s", resp.body)
	require.Equal(t, `"2"`, resp.header.Get("ETag"))
	golden(t, "rotation", resp.body)
	current, _ := endpointOf(t, decode[savedView](t, resp.body).subscriptionView)["secret"].(string)
	_, err := signature.ParseKey(current)
	require.NoError(t, err, "the secret that was made is shown in this answer")
	require.NotEqual(t, old, current)
	require.NotContains(t, string(resp.body), old)

	read := string(b.ok(t, http.StatusOK, call{method: http.MethodGet, path: "/v1/subscriptions/" + made.ID}))
	require.NotContains(t, read, current, "and never again")
	require.Contains(t, read, "2026-11-22T20:00:00Z", "when the old one expires is")
	stored := string(b.store.subscriptions[made.ID].Endpoint)
	require.Contains(t, stored, old)
	require.Contains(t, stored, current)
	require.Equal(t, 24*time.Hour, b.store.rotations[0].Overlap)
	require.Equal(t, now, b.store.subscriptions[made.ID].UpdatedAt)

	// Nothing of an endpoint goes anywhere but to the store.
	require.NotContains(t, b.log.String(), current)
}

func TestAGivenSecretIsNotShown(t *testing.T) {
	t.Parallel()
	b := setup(t)
	made := created(t, b, watchers(`"name"`, `"state":"paused","name"`))
	old, _ := endpointOf(t, made.subscriptionView)["secret"].(string)
	body := string(b.ok(t, http.StatusOK, rotation(made.ID, `{"secret":"`+givenSecret+`","overlap":"0s"}`)))
	require.NotContains(t, body, givenSecret)
	require.Contains(t, body, `"•••• ZW4="`)
	require.NotContains(t, body, "previous_secrets")
	stored := string(b.store.subscriptions[made.ID].Endpoint)
	require.Contains(t, stored, givenSecret)
	require.NotContains(t, stored, old)
	require.Equal(t, carillon.Paused, b.store.subscriptions[made.ID].State)
}

func TestARotationIsRefused(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ body, at, detail string }{
		"a secret that is none":       {`{"secret":"marked"}`, "/secret", "begins with whsec_"},
		"a secret that is no text":    {`{"secret":7}`, "/secret", "must be a string"},
		"a secret that is too long":   {`{"secret":"` + strings.Repeat("marked", 1000) + `"}`, "/secret", "at most 4096"},
		"an overlap that is too long": {`{"overlap":"720h1ms"}`, "/overlap", "0s to 720h"},
		"an overlap below zero":       {`{"overlap":"-1ms"}`, "/overlap", "0s to 720h"},
		"an overlap without a unit":   {`{"overlap":"24"}`, "/overlap", "such as"},
		"an overlap of a number":      {`{"overlap":24}`, "/overlap", "such as"},
		"an unknown field":            {`{"expires_at":"marked"}`, "/expires_at", "known are overlap, secret"},
		"no object":                   {`[]`, "", "must be a JSON object"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			made := created(t, b, watchers())
			p := b.problem(t, http.StatusUnprocessableEntity, rotation(made.ID, tc.body))
			require.Len(t, p.Errors, 1)
			require.Equal(t, tc.at, p.Errors[0].Pointer)
			require.Contains(t, p.Errors[0].Detail, tc.detail)
			require.NotContains(t, p.Errors[0].Detail, "marked")
			require.Empty(t, b.store.rotations)
		})
	}
}

func TestARotationAppliesToTheVersionItNames(t *testing.T) {
	t.Parallel()
	b := setup(t)
	made := created(t, b, watchers())
	c := rotation(made.ID, `{"overlap":"1h"}`)
	c.header = map[string]string{"If-Match": `"7"`}
	require.Equal(t, carillon.CodeStale, b.problem(t, http.StatusPreconditionFailed, c).Code)
	require.Empty(t, b.store.rotations)
	c.header = map[string]string{"If-Match": `"1"`}
	b.ok(t, http.StatusOK, c)

	// One that names none is worked out anew when another comes between.
	b.store.beforeUpdate = func() {
		b.store.beforeUpdate = nil
		b.ok(t, http.StatusOK, rotation(made.ID, `{"secret":"`+givenSecret+`"}`))
	}
	b.ok(t, http.StatusOK, rotation(made.ID, `{}`))
	require.Contains(t, string(b.store.subscriptions[made.ID].Endpoint), givenSecret, "as a previous one")
	require.EqualValues(t, 4, b.store.subscriptions[made.ID].Version)
}

// unsigned is a channel without a signing secret.
type unsigned struct{ channels.Sender }

func TestAChannelWithoutASigningSecretHasNoneToRotate(t *testing.T) {
	t.Parallel()
	b := setup(t)
	made := created(t, b, watchers())
	b.deps.Channels["webhook"] = unsigned{b.deps.Channels["webhook"]}
	p := b.problem(t, http.StatusConflict, rotation(made.ID, `{}`))
	require.Equal(t, carillon.CodeConflict, p.Code)
	require.Contains(t, p.Detail, "no signing secret")
	require.Equal(t, carillon.CodeNotFound, b.problem(t, http.StatusNotFound, rotation("sub_x", `{}`)).Code)
}
