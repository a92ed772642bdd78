package channels_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/channels"
	"github.com/carillon-dev/carillon/internal/safehttp"
	"github.com/carillon-dev/carillon/internal/strict"
)

const one, two, three = "+14155552671", "+14155552672", "+14155552673"

// texts is a subscription to a strict Twilio.
type texts struct {
	*strict.Twilio
	sender   channels.Sender
	endpoint carillon.Endpoint
	progress json.RawMessage
	number   int
}

func newTexts(t *testing.T, edits ...func(map[string]any)) *texts {
	t.Helper()
	x := &texts{Twilio: &strict.Twilio{SID: markedSID, User: markedSID, Password: markedToken}, sender: service(t, "twilio", loopback)}
	fields := twilioOf(server(t, x.Twilio, (*httptest.Server).Start))
	fields["to"] = []string{one, two, three}
	fields["message"] = map[string]string{"title": "${data.package} is there"}
	for _, edit := range edits {
		edit(fields)
	}
	posted, err := json.Marshal(fields)
	require.NoError(t, err)
	x.endpoint, _, err = x.sender.Prepare(posted, nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, x.Problems()) })
	return x
}

// attempt makes the next, with the progress of the one before.
func (x *texts) attempt(t *testing.T) carillon.Attempt {
	t.Helper()
	x.number++
	a := x.sender.Attempt(t.Context(), channels.Message{
		Event: event("package.added", `{"package":"left-pad"}`), Endpoint: x.endpoint, Number: x.number, Progress: x.progress,
	})
	x.progress = a.Progress
	require.LessOrEqual(t, len(a.Progress), carillon.MaxProgressBytes)
	kept, err := json.Marshal(a)
	require.NoError(t, err)
	for _, secret := range []string{markedToken, one, two, three} {
		require.NotContains(t, string(kept), secret)
	}
	return a
}

func (x *texts) to() (numbers []string) {
	for _, sms := range x.Taken() {
		numbers = append(numbers, sms.To)
	}
	return numbers
}

func TestATextGoesToEachNumber(t *testing.T) {
	t.Parallel()
	x := newTexts(t)
	a := x.attempt(t)
	require.Equal(t, carillon.OutcomeDelivered, a.Outcome, a.Error)
	require.Equal(t, []strict.SMS{
		{To: one, From: "+15005550006", Body: "left-pad is there"}, {To: two, From: "+15005550006", Body: "left-pad is there"},
		{To: three, From: "+15005550006", Body: "left-pad is there"},
	}, x.Taken())
	require.Equal(t, len("left-pad is there"), a.Request.PayloadBytes)
	require.Equal(t, http.StatusCreated, a.Response.Status)
}

func TestAnAPIKeyAndAMessagingServiceSend(t *testing.T) {
	t.Parallel()
	const key, service = "SK0123456789abcdef0123456789abcdef", "MG0123456789abcdef0123456789abcdef"
	x := newTexts(t, func(fields map[string]any) {
		delete(fields, "auth_token")
		delete(fields, "from")
		fields["api_key"], fields["api_secret"], fields["messaging_service_sid"] = key, markedToken, service
		fields["to"] = []string{"+1 (415) 555-2671", one}
	})
	x.User = key
	a := x.attempt(t)
	require.Equal(t, carillon.OutcomeDelivered, a.Outcome, a.Error)
	require.Equal(t, []strict.SMS{{To: one, From: service, Body: "left-pad is there"}}, x.Taken(), "one number, written in two ways")
}

func TestOnlyNumbersThatDidNotGetATextAreTriedAgain(t *testing.T) {
	t.Parallel()
	x := newTexts(t)
	x.Refuse(two, strict.TwilioError{Status: 503, Code: 20503, Message: "Service unavailable"}, strict.TwilioError{})
	first := x.attempt(t)
	require.Equal(t, carillon.OutcomeRetry, first.Outcome)
	require.Equal(t, "1 of 3 numbers wait: HTTP 503 Service Unavailable: Service unavailable (20503)", first.Error)
	require.Equal(t, []string{one, three}, x.to())
	second := x.attempt(t)
	require.Equal(t, carillon.OutcomeDelivered, second.Outcome, second.Error)
	require.Equal(t, []string{one, three, two}, x.to(), "nobody got it twice")
}

func TestANumberThatIsRefusedIsNotTriedAgain(t *testing.T) {
	t.Parallel()
	x := newTexts(t)
	x.Refuse(one, strict.TwilioError{Status: 400, Code: 21610, Message: "Attempt to send to unsubscribed recipient"})
	x.Refuse(two, strict.TwilioError{Status: 429, Code: 20429, Message: "Too Many Requests", RetryAfter: "7"}, strict.TwilioError{})
	first := x.attempt(t)
	require.Equal(t, carillon.OutcomeRetry, first.Outcome)
	require.Equal(t, 7*time.Second, time.Duration(first.RetryAfter))
	require.Contains(t, first.Error, "2 of 3 numbers wait: HTTP 429 Too Many Requests")
	require.Contains(t, first.Error, "refused: •••• 2671 has unsubscribed (21610)")
	require.Empty(t, x.to(), "after 429 nobody else is tried")

	x.Refuse(one, strict.TwilioError{}) // it would be taken now
	second := x.attempt(t)
	require.Equal(t, carillon.OutcomeReject, second.Outcome)
	require.Equal(t, "1 of 3 numbers refused: •••• 2671 has unsubscribed (21610)", second.Error)
	require.Equal(t, []string{two, three}, x.to())
}

func TestWhatTwilioAnswersDecides(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		answer   strict.TwilioError
		outcome  carillon.Outcome
		errorHas string
	}{
		"an invalid number":       {strict.TwilioError{Status: 400, Code: 21211, Message: "Invalid 'To' Phone Number: " + one}, carillon.OutcomeReject, "•••• 2671 is no valid number (21211)"},
		"an error of a number":    {strict.TwilioError{Status: 400, Code: 21999, Message: "new"}, carillon.OutcomeReject, "•••• 2671 (Twilio's error 21999)"},
		"a sender of others":      {strict.TwilioError{Status: 400, Code: 21606, Message: "The From phone number is not yours"}, carillon.OutcomeRetry, "The From phone number is not yours (21606)"},
		"a suspended account":     {strict.TwilioError{Status: 403, Code: 20005, Message: "Account not active"}, carillon.OutcomeRetry, "Twilio does not take the credentials"},
		"an account that is none": {strict.TwilioError{Status: 404, Code: 20404, Message: "The requested resource was not found"}, carillon.OutcomeRetry, "HTTP 404 Not Found: The requested resource was not found (20404)"},
		"too much in its queue":   {strict.TwilioError{Status: 400, Code: 21611, Message: "exceeded the queue"}, carillon.OutcomeRetry, "(21611)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := newTexts(t, func(fields map[string]any) { fields["to"] = []string{one} })
			x.Refuse(one, test.answer)
			a := x.attempt(t)
			require.Equal(t, test.outcome, a.Outcome)
			require.Contains(t, a.Error, test.errorHas)
		})
	}
}

func TestAWrongTokenIsTriedAgainAndSaidSo(t *testing.T) {
	t.Parallel()
	x := newTexts(t)
	x.Password = "another"
	a := x.attempt(t)
	require.Equal(t, carillon.OutcomeRetry, a.Outcome)
	require.Equal(t, "3 of 3 numbers wait: Twilio does not take the credentials: HTTP 401 Unauthorized: Authenticate (20003)", a.Error)
}

func TestProgressOfManyNumbersIsSmall(t *testing.T) {
	t.Parallel()
	var numbers []string
	x := newTexts(t, func(fields map[string]any) {
		for i := range 50 {
			numbers = append(numbers, "+141555526"+string(rune('0'+i/10))+string(rune('0'+i%10)))
		}
		fields["to"] = numbers
	})
	for _, number := range numbers {
		x.Refuse(number, strict.TwilioError{Status: 400, Code: 21211, Message: "Invalid"})
	}
	a := x.attempt(t)
	require.Equal(t, carillon.OutcomeReject, a.Outcome)
	require.Contains(t, a.Error, "50 of 50 numbers refused")
	require.LessOrEqual(t, len(a.Error), carillon.MaxErrorBytes)
}

func TestTwiliosEndpointIsChecked(t *testing.T) {
	t.Parallel()
	sender := service(t, "twilio", safehttp.Policy{})
	for posted, want := range map[string][]string{
		`{}`: {"account_sid: is required", "to: is required", "auth_token: is required, or api_key", "from: is required, or messaging_service_sid"},
		`{"account_sid":"marked-token","auth_token":"t","from":"+15005550006","to":["+14155552671"]}`: {"account_sid: must be AC and 32 hex digits"},
		`{"account_sid":"` + markedSID + `","auth_token":"t","from":"a","to":["555-2671"]}`:           {"to/0: must be a number with its country's code"},
		`{"account_sid":"` + markedSID + `","auth_token":"t","api_key":"SK1","from":"a","to":["+14155552671"]}`: {
			"api_key: must be SK and 32 hex digits", "api_secret: goes together with api_key",
		},
		`{"account_sid":"` + markedSID + `","auth_token":"t","from":"a","messaging_service_sid":"MG","to":["+14155552671"],"max_segments":11}`: {
			"max_segments: must be from 1 to 10", "messaging_service_sid: must be MG", "from: is required, or messaging_service_sid instead",
		},
	} {
		_, _, err := sender.Prepare(json.RawMessage(posted), nil)
		for _, text := range want {
			require.ErrorContains(t, err, "/endpoint/"+text)
		}
		require.NotContains(t, err.Error(), "marked-token")
	}
	require.True(t, strings.HasSuffix(sender.Host(carillon.Endpoint(`{"account_sid":"a","to":["b"],"base_url":"https://api.twilio.com"}`)), "twilio.com"))
}
