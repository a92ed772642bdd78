package channels

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/formats"
	"github.com/carillon-dev/carillon/internal/safehttp"
	"github.com/carillon-dev/carillon/messages"
)

const (
	twilioName = "twilio"
	twilioURL  = "https://api.twilio.com"
	// maxNumbers keeps an attempt, which calls Twilio once a number, short.
	maxNumbers = 50
)

// twilioEndpoint is the JSON shape of an endpoint of Twilio.
type twilioEndpoint struct {
	AccountSID string `json:"account_sid"`
	// AuthToken, or APIKey with APISecret.
	AuthToken string `json:"auth_token,omitempty"`
	APIKey    string `json:"api_key,omitempty"`
	APISecret string `json:"api_secret,omitempty"`
	// From or MessagingServiceSID.
	From                string             `json:"from,omitempty"`
	MessagingServiceSID string             `json:"messaging_service_sid,omitempty"`
	To                  []string           `json:"to"`
	MaxSegments         int                `json:"max_segments"`
	BaseURL             string             `json:"base_url"`
	Message             messages.Overrides `json:"message,omitzero"`
	Timeout             carillon.Duration  `json:"timeout"`
}

func (e twilioEndpoint) address() string          { return e.BaseURL }
func (e twilioEndpoint) limit() carillon.Duration { return e.Timeout }

func newTwilio(x exchanger, p safehttp.Policy) Sender {
	return service[twilioEndpoint]{
		exchanger: x,
		described: described[twilioEndpoint]{
			about: Description{
				Name: twilioName, Title: "SMS (Twilio)", ForPeople: true, Fields: twilioFields,
				Text: "Short messages to phones, by Twilio: what happened in one line, with a link where there is room.",
			},
			check: func(f form, e *twilioEndpoint) {
				checkTwilio(f, e)
				checkBase(f, "base_url", e.BaseURL, p)
			},
		},
		write: func(m Message, e twilioEndpoint) (formats.Payload, error) {
			message, err := told(m, e.Message)
			if err != nil {
				return formats.Payload{}, err
			}
			return formats.Payload{ContentType: textType, Body: []byte(smsText(message, e.MaxSegments))}, nil
		},
		send: x.sendTwilio,
	}
}

// textType is that of a payload which goes into a form or a field.
const textType = "text/plain; charset=utf-8"

// titleField words a message of which there is only one line.
var titleField = Field{
	Name: messageField.Name, Type: Object, Text: "The subscription's own words in the place of the default message.",
	Fields: messageField.Fields[:1],
}

var twilioFields = []Field{
	{Name: "account_sid", Type: Text, Required: true, Example: "AC00000000000000000000000000000000", Text: "The account's SID."},
	{Name: "auth_token", Type: Text, Secret: true, Text: "The account's authentication token; or api_key and api_secret."},
	{Name: "api_key", Type: Text, Example: "SK00000000000000000000000000000000", Text: "The SID of an API key, which can be revoked alone."},
	{Name: "api_secret", Type: Text, Secret: true, Text: "The API key's secret."},
	{
		Name: "from", Type: Text, Max: 64, Example: "+15005550006",
		Text: "The number that sends, or another sender that the account has; or messaging_service_sid.",
	},
	{
		Name: "messaging_service_sid", Type: Text, Example: "MG00000000000000000000000000000000",
		Text: "The messaging service that chooses the sender.",
	},
	{
		Name: "to", Type: Texts, Required: true, Min: 1, Max: maxNumbers, Example: `["+14155552671"]`,
		Text: "The numbers that get the message, each with its country's code.",
	},
	{
		Name: "max_segments", Type: Integer, Default: []byte(strconv.Itoa(defaultSegments)), Min: leastSegments, Max: mostSegments,
		Text: "How many SMS a message may cost each number: of 153 characters, or 67 where one of them is outside the GSM alphabet. " +
			"A longer one is cut.",
	},
	baseURLField(twilioURL, twilioURL), titleField, timeoutField,
}

var (
	sidDigits    = regexp.MustCompile(`^[0-9a-fA-F]{32}$`)
	phoneNumber  = regexp.MustCompile(`^\+[1-9][0-9]{6,14}$`)
	notInNumbers = strings.NewReplacer(" ", "", "-", "", "(", "", ")", "", ".", "", "/", "")
)

// checkTwilio checks SIDs by their look, so that a token in the wrong field is
// not taken for one and shown.
func checkTwilio(f form, e *twilioEndpoint) {
	for _, sid := range []struct{ name, value, prefix string }{
		{"account_sid", e.AccountSID, "AC"}, {"api_key", e.APIKey, "SK"}, {"messaging_service_sid", e.MessagingServiceSID, "MG"},
	} {
		digits, ok := strings.CutPrefix(sid.value, sid.prefix)
		if sid.value != "" && (!ok || !sidDigits.MatchString(digits)) {
			f.wrong(sid.name, "must be %s and 32 hex digits", sid.prefix)
		}
	}
	switch {
	case (e.APIKey == "") != (e.APISecret == ""):
		f.wrong("api_secret", "goes together with api_key")
	case (e.AuthToken == "") == (e.APISecret == ""):
		f.wrong("auth_token", "is required, or api_key and api_secret instead of it")
	}
	if (e.From == "") == (e.MessagingServiceSID == "") {
		f.wrong("from", "is required, or messaging_service_sid instead of it")
	}
	var numbers []string
	for i, number := range e.To {
		number = notInNumbers.Replace(number)
		if !phoneNumber.MatchString(number) {
			f.wrong("to/"+strconv.Itoa(i), "must be a number with its country's code, such as +14155552671")
		}
		if !slices.Contains(numbers, number) {
			numbers = append(numbers, number)
		}
	}
	e.To = numbers
}
