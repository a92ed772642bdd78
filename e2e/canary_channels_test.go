package e2e

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon/client"
)

// failing begins the paths at which every request fails.
const failing = "/failing/"

// channel sets every secret field of a channel's endpoints, nested ones, too.
func (c *canary) channel(channel client.Channel) {
	c.t.Helper()
	var set func(fields []client.ChannelField, pointer []string, list bool)
	set = func(fields []client.ChannelField, pointer []string, list bool) {
		for _, field := range fields {
			at := append(slices.Clone(pointer), field.Name)
			if !field.Secret {
				set(field.Fields, at, field.Type == "objects")
				continue
			}
			where := "channel " + channel.Name + " " + strings.Join(at, "/")
			way := func(string) (string, map[string]any) {
				return "/v1/subscriptions", c.subscriptionOf(channel, where, c.beside(channel, at[0]))
			}
			switch {
			case list: // of objects, which may be given as their secrets alone
				c.set("POST "+where, append([]string{"endpoint"}, pointer...), "array", way)
			case field.Type == "secrets":
				c.set("POST "+where, append([]string{"endpoint"}, at...), "object", way)
			default:
				c.set("POST "+where, append([]string{"endpoint"}, at...), "string", way)
			}
		}
	}
	set(channel.Fields, nil, false)
	if channel.Name == "alert" { // which has none, but takes part
		c.made("/v1/subscriptions", c.subscriptionOf(channel, "alert", map[string]any{}))
	}
}

func (c *canary) subscriptionOf(channel client.Channel, where string, endpoint map[string]any) map[string]any {
	body := c.subscription(where)
	body["channel"], body["endpoint"] = channel.Name, endpoint
	// A failure is told after the third attempt.
	body["retry"] = map[string]any{"schedule": []string{"1s", "1s"}, "disable": "never"}
	return body
}

// beside is an endpoint without the secret field, that leads to where every
// delivery fails: what is required, and what the fields do not say of one
// another.
func (c *canary) beside(channel client.Channel, secret string) map[string]any {
	where := "channel " + channel.Name + " beside " + secret + " "
	endpoint := map[string]any{}
	for _, field := range channel.Fields {
		switch {
		case field.Name == "base_url":
			endpoint[field.Name] = c.echo + strings.TrimSuffix(failing, "/")
		case !field.Required || field.Name == secret:
		case field.Type == "url":
			endpoint[field.Name] = c.address(where + field.Name)
		case field.Secret:
			endpoint[field.Name] = c.mark(where + field.Name)
		default:
			endpoint[field.Name] = exampleOf(field)
		}
	}
	switch channel.Name + " " + secret {
	case "slack url":
		delete(endpoint, "base_url") // is for bots
	case "slack token":
		endpoint["channel"] = "#releases"
	case "email password":
		endpoint["host"], endpoint["port"], endpoint["tls"], endpoint["user"] = "127.0.0.1", c.mail, "none", "carillon"
	case "twilio auth_token":
		endpoint["from"] = "+15005550006"
	case "twilio api_secret":
		endpoint["from"], endpoint["api_key"] = "+15005550006", "SK"+strings.Repeat("0", 32)
	case "teamrooms password":
		endpoint["user"] = "carillon"
	}
	return endpoint
}

// setting sets a channel's shared secrets for the installation, and makes a
// subscription that goes by them.
func (c *canary) setting(channel client.Channel) {
	c.t.Helper()
	shared, own := map[string]any{}, map[string]any{}
	for _, field := range channel.Fields {
		if !field.Shared || !field.Secret {
			continue
		}
		for name, value := range c.beside(channel, field.Name) {
			if slices.ContainsFunc(channel.Fields, func(f client.ChannelField) bool { return f.Name == name && f.Shared }) {
				shared[name] = value
			} else {
				own[name] = value
			}
		}
		shared[field.Name] = c.mark("setting " + channel.Name + " " + field.Name)
	}
	if len(shared) == 0 {
		return
	}
	at := "/v1/settings/" + channel.Name
	status, answer := c.do(http.MethodPut, at, shared)
	require.Equal(c.t, http.StatusOK, status, "%v", answer)
	c.settings = append(c.settings, channel.Name)
	c.made("/v1/subscriptions", c.subscriptionOf(channel, "setting "+channel.Name, own))

	wrong := map[string]any{"colour": c.mark("setting " + channel.Name + ": an unknown field")}
	for name, value := range shared {
		wrong[name] = []any{value}
	}
	status, _ = c.do(http.MethodPut, at, wrong)
	require.Equal(c.t, http.StatusUnprocessableEntity, status)
}

// alerts reads the inbox, in which the failures have been told.
func (c *canary) alerts() string {
	c.t.Helper()
	var text []byte
	c.eventually("a failure is told", func() bool {
		page, err := c.client.Alerts(c.t.Context(), "", "")
		require.NoError(c.t, err)
		text, err = json.Marshal(page)
		require.NoError(c.t, err)
		return strings.Contains(string(text), "subscription.failing")
	})
	return string(text)
}

// exampleOf is a value for a field that is no secret.
func exampleOf(field client.ChannelField) any {
	var value any
	if len(field.Values) > 0 {
		return field.Values[0]
	}
	if json.Unmarshal([]byte(field.Example), &value) == nil {
		return value
	}
	return field.Example
}

// inBase64 is how the value looks in base64 of texts that hold it, wherever it
// begins in them: the characters that no neighbour has a part in.
func inBase64(value string) []string {
	var all []string
	for before, skip := range []int{0, 2, 3} {
		encoded := base64.RawStdEncoding.EncodeToString([]byte(strings.Repeat("x", before) + value))
		all = append(all, encoded[skip:(before+len(value))*8/6])
	}
	return all
}

// echoMail starts a mail server that lets nobody in, and repeats each line that
// it was told, also as what it means.
func echoMail(t *testing.T) (port int) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var open sync.WaitGroup
	open.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			open.Go(func() {
				defer func() { _ = conn.Close() }()
				_, _ = fmt.Fprint(conn, "220 mail.example.com\r\n")
				for lines := bufio.NewScanner(conn); lines.Scan(); {
					line := lines.Text()
					if strings.HasPrefix(line, "EHLO") {
						_, _ = fmt.Fprint(conn, "250-mail.example.com\r\n250 AUTH PLAIN LOGIN\r\n")
						continue
					}
					meant, _ := base64.StdEncoding.DecodeString(line[strings.LastIndex(line, " ")+1:])
					_, _ = fmt.Fprintf(conn, "535 5.7.8 refused: %s %s\r\n", line, strings.ReplaceAll(string(meant), "\x00", " "))
				}
			})
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		open.Wait()
	})
	return listener.Addr().(*net.TCPAddr).Port
}
