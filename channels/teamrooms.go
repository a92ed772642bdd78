package channels

import (
	"context"
	"strconv"
	"unicode/utf8"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/formats"
	"github.com/carillon-dev/carillon/internal/safehttp"
	"github.com/carillon-dev/carillon/messages"
)

const (
	teamRoomsName = "teamrooms"
	// maxTeamRooms is far below what a message may have, which Microsoft says
	// nowhere: nobody reads more in a chat.
	maxTeamRooms = 4000
)

// teamRoomsEndpoint is the JSON shape of an endpoint of Team Rooms: a user with
// a password, or a personal access token.
type teamRoomsEndpoint struct {
	BaseURL  string             `json:"base_url"`
	RoomID   int                `json:"room_id"`
	User     string             `json:"user,omitempty"`
	Password string             `json:"password,omitempty"`
	Token    string             `json:"token,omitempty"`
	Message  messages.Overrides `json:"message,omitzero"`
	Timeout  carillon.Duration  `json:"timeout"`
}

func (e teamRoomsEndpoint) address() string          { return e.BaseURL }
func (e teamRoomsEndpoint) limit() carillon.Duration { return e.Timeout }

func newTeamRooms(x exchanger, p safehttp.Policy) Sender {
	return service[teamRoomsEndpoint]{
		exchanger: x,
		described: described[teamRoomsEndpoint]{
			about: Description{
				Name: teamRoomsName, Title: "Team Rooms", ForPeople: true, Fields: teamRoomsFields,
				Text:    "Messages in a team room of Visual Studio Online or Team Foundation Server.",
				Retired: "Microsoft ended team rooms in 2017. It is here for Team Foundation Server 2013 to 2017.",
			},
			check: func(f form, e *teamRoomsEndpoint) {
				if (e.Token == "") == (e.User == "" && e.Password == "") {
					f.wrong("token", "is required, or user and password instead of it")
				} else if (e.User == "") != (e.Password == "") {
					f.wrong("password", "goes together with user")
				}
				checkBase(f, "base_url", e.BaseURL, p)
			},
		},
		write: func(m Message, e teamRoomsEndpoint) (formats.Payload, error) {
			message, err := told(m, e.Message)
			if err != nil {
				return formats.Payload{}, err
			}
			message = fitted(message, func(m messages.Message) bool { return utf8.RuneCountInString(plain(m)) <= maxTeamRooms })
			return written(object{"content": plain(message)}), nil
		},
		send: x.sendTeamRooms,
	}
}

var teamRoomsFields = []Field{
	baseURLField("", "https://tfs.example.com/tfs/DefaultCollection"),
	{Name: "room_id", Type: Integer, Required: true, Min: 1, Example: "305", Text: "The room's number."},
	{Name: "user", Type: Text, Example: "carillon", Text: "The user of the alternate credentials, with password."},
	{Name: "password", Type: Text, Secret: true, Text: "The password of the alternate credentials."},
	{Name: "token", Type: Text, Secret: true, Text: "A personal access token, instead of user and password."},
	messageField, timeoutField,
}

func (x exchanger) sendTeamRooms(ctx context.Context, a *carillon.Attempt, m Message, e teamRoomsEndpoint, p formats.Payload) {
	// A personal access token is the password of a user without a name.
	login := basicAuth{Username: e.User, Password: e.Password + e.Token}
	x.post(ctx, a, m, e, posting{
		url: at(e.BaseURL, "_apis", "chat", "rooms", strconv.Itoa(e.RoomID), "messages") + "?api-version=1.0", payload: p,
		authorization: "Basic " + login.encoded(), secrets: []string{login.Password, login.encoded()},
	})
	saying(a, answered[struct {
		Message string `json:"message"`
	}](a).Message)
}
