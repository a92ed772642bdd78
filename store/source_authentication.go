package store

import (
	"encoding/json"
	"fmt"

	"github.com/carillon-dev/carillon"
)

// keptAuthentication is what is sealed.
type keptAuthentication struct {
	Scheme         string `json:"scheme"`
	Header         string `json:"header,omitempty"`
	Username       string `json:"username,omitempty"`
	Secret         string `json:"secret"`
	PreviousSecret string `json:"previous_secret,omitempty"`
}

func authenticationContext(id string) string { return "source/" + id + "/authentication" }

// sealAuthentication returns what is kept, empty where there is none.
func sealAuthentication(sealer Sealer, src carillon.Source) (string, error) {
	if src.Authentication == (carillon.SourceAuthentication{}) {
		return "", nil
	}
	text, err := json.Marshal(keptAuthentication(src.Authentication))
	if err != nil {
		return "", fmt.Errorf("write authentication of source %s: %w", src.ID, err)
	}
	sealed, err := sealer.Seal(text, authenticationContext(src.ID))
	if err != nil {
		return "", fmt.Errorf("seal authentication of source %s: %w", src.ID, err)
	}
	return sealed, nil
}

func openAuthentication(sealer Sealer, id, sealed string) (carillon.SourceAuthentication, error) {
	if sealed == "" {
		return carillon.SourceAuthentication{}, nil
	}
	text, err := sealer.Open(sealed, authenticationContext(id))
	if err != nil {
		return carillon.SourceAuthentication{}, fmt.Errorf("open authentication of source %s: %w", id, err)
	}
	var kept keptAuthentication
	if err := json.Unmarshal(text, &kept); err != nil {
		// Its own error can quote what it read.
		return carillon.SourceAuthentication{}, fmt.Errorf("open authentication of source %s: it is damaged", id)
	}
	return carillon.SourceAuthentication(kept), nil
}

// authenticationView is what the audit keeps of it: no secret, only how many.
type authenticationView struct {
	Scheme   string `json:"scheme"`
	Header   string `json:"header,omitempty"`
	Username string `json:"username,omitempty"`
	Secrets  int    `json:"secrets"`
}

func viewOfAuthentication(a carillon.SourceAuthentication) *authenticationView {
	if a == (carillon.SourceAuthentication{}) {
		return nil
	}
	view := &authenticationView{Scheme: a.Scheme, Header: a.Header, Username: a.Username, Secrets: 1}
	if a.PreviousSecret != "" {
		view.Secrets = 2
	}
	return view
}

// changedSecrets tells the audit of a new secret, which its views do not show.
func changedSecrets(before, after carillon.Source) string {
	a, b := before.Authentication, after.Authentication
	if after.Unreadable || a.Secret == b.Secret && a.PreviousSecret == b.PreviousSecret {
		return ""
	}
	return ", with its secrets"
}
