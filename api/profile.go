package api

import (
	"encoding/json"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/carillon-dev/carillon"
)

// webhookChannel is the channel whose answers profiles are about.
const webhookChannel = "webhook"

type profilesView struct {
	Items []carillon.Profile `json:"items"`
}

// listProfiles shows how other products behave towards receivers.
func (s *Server) listProfiles(c echo.Context) error {
	if err := readQuery(c).done(); err != nil {
		return err
	}
	return answer(c, http.StatusOK, profilesView{Items: carillon.Profiles()})
}

// readProfile reads whose behaviour a subscription follows.
func readProfile(f *fields, sub *carillon.Subscription) carillon.Profile {
	sub.Profile = f.text("profile", maxNameBytes)
	profile, ok := carillon.LookupProfile(sub.Profile)
	if !ok {
		var names []string
		for _, p := range carillon.Profiles() {
			names = append(names, p.Name)
		}
		f.wrong("profile", "must be one of %s", join(names))
	}
	sub.Profile = profile.Name
	return profile
}

// withTimeout gives a webhook's endpoint that was posted without a timeout that
// of its profile.
func withTimeout(f *fields, sub *carillon.Subscription, posted json.RawMessage) json.RawMessage {
	if sub.Profile == carillon.DefaultProfile {
		return posted
	}
	if sub.Channel != webhookChannel {
		f.wrong("profile", "is for the channel %s alone", webhookChannel)
		return posted
	}
	profile, _ := carillon.LookupProfile(sub.Profile)
	endpoint, ok := members(posted)
	if timeout := endpoint["timeout"]; !ok || timeout != nil && string(timeout) != "null" {
		return posted
	}
	timeout, err := json.Marshal(profile.Timeout)
	if err != nil {
		return posted // a duration can always be written
	}
	endpoint["timeout"] = timeout
	if filled, err := json.Marshal(endpoint); err == nil {
		return filled
	}
	return posted
}
