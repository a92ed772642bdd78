package api

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/channels"
	"github.com/carillon-dev/carillon/internal/dbtest"
	"github.com/carillon-dev/carillon/internal/safehttp"
)

// pagers is a channel whose server and password may be set for the installation.
type pagers struct{ channels.Sender }

func (pagers) Name() string { return "pager" }

func (pagers) Describe() channels.Description {
	return channels.Description{Name: "pager", Title: "Pager", Fields: []channels.Field{
		{Name: "host", Type: channels.Text, Required: true, Shared: true, Moves: true, Text: "Its server.", Example: "pager.example.com"},
		{Name: "password", Type: channels.Text, Secret: true, Shared: true, Text: "Its password."},
		{Name: "to", Type: channels.Text, Required: true, Text: "Whom.", Example: "7"},
	}}
}

func TestSettingsAreKeptMaskedAndSealed(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, url string) {
		b, s := stored(t, url)
		b.deps.Channels = channels.Registry{"pager": pagers{}, "webhook": b.deps.Channels["webhook"]}
		put := func(body string) call { return call{method: http.MethodPut, path: "/v1/settings/pager", body: body} }
		get := call{method: http.MethodGet, path: "/v1/settings/pager"}
		b.problem(t, http.StatusNotFound, get)

		first := decode[settingView](t, b.ok(t, http.StatusOK, put(`{"host":"pager.example.com","password":"marked-password"}`)))
		require.NotContains(t, string(first.Value), "marked")
		require.JSONEq(t, string(first.Value), string(decode[settingView](t, b.ok(t, http.StatusOK, get)).Value))
		kept, err := s.Setting(t.Context(), "pager")
		require.NoError(t, err)
		require.JSONEq(t, `{"host":"pager.example.com","password":"marked-password"}`, string(kept))

		// What was answered may be posted back, to the same host only.
		b.ok(t, http.StatusOK, put(string(first.Value)))
		kept, err = s.Setting(t.Context(), "pager")
		require.NoError(t, err)
		require.Contains(t, string(kept), "marked-password")
		p := b.problem(t, http.StatusUnprocessableEntity, put(`{"host":"other.example.com","password":"•••• word"}`))
		require.Contains(t, p.Errors[0].Detail, "must be given again")
		p = b.problem(t, http.StatusUnprocessableEntity, put(`{"host":"pager.example.com","to":"7"}`))
		require.Equal(t, "/endpoint/to", p.Errors[0].Pointer)

		list := decode[page[settingView]](t, b.ok(t, http.StatusOK, call{method: http.MethodGet, path: "/v1/settings"}))
		require.Len(t, list.Items, 1)
		require.Equal(t, "pager", list.Items[0].Channel)
		require.WithinDuration(t, now, *list.Items[0].UpdatedAt, time.Second)
		entries, err := s.Audit(t.Context(), carillon.AuditFilter{Limit: 9})
		require.NoError(t, err)
		for _, e := range entries {
			require.Equal(t, "setting.updated", e.Action)
			whole, err := json.Marshal(e)
			require.NoError(t, err)
			require.NotContains(t, string(whole), "marked")
		}

		b.ok(t, http.StatusNoContent, call{method: http.MethodDelete, path: "/v1/settings/pager"})
		b.problem(t, http.StatusNotFound, call{method: http.MethodDelete, path: "/v1/settings/pager"})
		b.problem(t, http.StatusNotFound, call{method: http.MethodGet, path: "/v1/settings/webhook"})
		require.Nil(t, mustSetting(t, s))
	})
}

func mustSetting(t *testing.T, s interface {
	Setting(ctx context.Context, channel string) (carillon.Endpoint, error)
}) carillon.Endpoint {
	t.Helper()
	kept, err := s.Setting(t.Context(), "pager")
	require.NoError(t, err)
	return kept
}

func TestASubscriptionIsSavedWhenTheInstallationHasWhatItLeavesOut(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, url string) {
		b, s := stored(t, url)
		b.deps.Channels = channels.NewRegistry(channels.Config{Policy: safehttp.Policy{}, Now: b.deps.Now, Settings: s})
		create := call{
			method: http.MethodPost, path: "/v1/subscriptions",
			body: `{"name":"mails","event_types":["package.*"],"channel":"email","endpoint":{"to":"ann@example.com"}}`,
		}
		unsaved := create
		unsaved.path += "/test"
		for _, c := range []call{create, unsaved} {
			p := b.problem(t, http.StatusUnprocessableEntity, c)
			require.Len(t, p.Errors, 2)
			require.Equal(t, "/endpoint/host", p.Errors[0].Pointer)
			require.Contains(t, p.Errors[0].Detail, "the installation has no setting for the channel email")
			require.Equal(t, "/endpoint/from", p.Errors[1].Pointer)
		}

		b.ok(t, http.StatusOK, call{method: http.MethodPut, path: "/v1/settings/email", body: `{"host":"smtp.example.com"}`})
		p := b.problem(t, http.StatusUnprocessableEntity, create)
		require.Len(t, p.Errors, 1)
		require.Equal(t, "/endpoint/from", p.Errors[0].Pointer)
		b.ok(t, http.StatusOK, call{
			method: http.MethodPut, path: "/v1/settings/email", body: `{"host":"smtp.example.com","from":"bells@example.com"}`,
		})
		kept := b.ok(t, http.StatusCreated, create)
		require.NotContains(t, string(kept), "smtp.example.com", "it takes what is set when it is sent")
	})
}
