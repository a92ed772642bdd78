package api

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/channels"
)

type settingStore interface {
	// Setting returns nil when nothing is set.
	Setting(ctx context.Context, channel string) (carillon.Endpoint, error)
	Settings(ctx context.Context) ([]carillon.Setting, error)
	PutSetting(ctx context.Context, channel string, value carillon.Endpoint, actor string, now time.Time) error
	DeleteSetting(ctx context.Context, channel, actor string, now time.Time) error
}

// settingView is what is set for the installation of one channel.
type settingView struct {
	Channel string `json:"channel"`
	// Value has the channel's shared fields, its secrets masked.
	Value     json.RawMessage `json:"value"`
	UpdatedAt *time.Time      `json:"updated_at,omitempty"`
}

func (s *Server) listSettings(c echo.Context) error {
	if err := readQuery(c).done(); err != nil {
		return err
	}
	all, err := s.deps.Store.Settings(c.Request().Context())
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, newPage(all, len(all), func(v carillon.Setting) settingView {
		view := settingView{Channel: v.Channel, Value: json.RawMessage(`{}`), UpdatedAt: someTime(v.UpdatedAt)}
		if sender, ok := s.deps.Channels[v.Channel]; ok {
			view.Value = channels.RedactSetting(sender, v.Value)
		}
		return view
	}, nil))
}

// settable returns the channel that the path names, if something can be set of
// it.
func (s *Server) settable(c echo.Context) (channels.Sender, error) {
	if err := readQuery(c).done(); err != nil {
		return nil, err
	}
	name, err := param(c, "channel")
	if err != nil {
		return nil, err
	}
	sender, ok := s.deps.Channels[name]
	if !ok || len(channels.CanBeSet(sender)) == 0 {
		return nil, carillon.Errorf(carillon.CodeNotFound, "nothing can be set for a channel %q", name)
	}
	return sender, nil
}

func (s *Server) setting(c echo.Context) error {
	sender, err := s.settable(c)
	if err != nil {
		return err
	}
	stored, err := s.deps.Store.Setting(c.Request().Context(), sender.Name())
	if err != nil {
		return err
	}
	if stored == nil {
		return carillon.Errorf(carillon.CodeNotFound, "nothing is set for the channel %q", sender.Name())
	}
	return answer(c, http.StatusOK, settingView{Channel: sender.Name(), Value: channels.RedactSetting(sender, stored)})
}

func (s *Server) putSetting(c echo.Context) error {
	sender, err := s.settable(c)
	if err != nil {
		return err
	}
	body, err := readBody(c, maxConfigBytes, onlyJSON)
	if err != nil {
		return err
	}
	ctx := c.Request().Context()
	stored, err := s.deps.Store.Setting(ctx, sender.Name())
	if err != nil {
		return err
	}
	value, err := channels.PrepareSetting(sender, body, stored)
	if err != nil {
		return err
	}
	if err := s.deps.Store.PutSetting(ctx, sender.Name(), value, actorOf(c), s.deps.Now()); err != nil {
		return err
	}
	return answer(c, http.StatusOK, settingView{Channel: sender.Name(), Value: channels.RedactSetting(sender, value)})
}

func (s *Server) deleteSetting(c echo.Context) error {
	sender, err := s.settable(c)
	if err != nil {
		return err
	}
	if err := s.deps.Store.DeleteSetting(c.Request().Context(), sender.Name(), actorOf(c), s.deps.Now()); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}
