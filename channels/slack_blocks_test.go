package channels_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/catalog"
	"github.com/carillon-dev/carillon/channels"
)

// slackPayload is what the message would be posted as.
func slackPayload(t *testing.T, m channels.Message) []byte {
	t.Helper()
	renderer, ok := slackSender(t, channels.Config{}).(channels.Renderer)
	require.True(t, ok)
	payload, err := renderer.Payload(m)
	require.NoError(t, err)
	require.Equal(t, "application/json; charset=utf-8", payload.ContentType)
	return payload.Body
}

// slackExamples are messages of every event type, of a batch, and of a
// subscription with words of its own.
func slackExamples(t *testing.T) map[string]channels.Message {
	t.Helper()
	types, err := catalog.Load()
	require.NoError(t, err)
	all := map[string]channels.Message{}
	var batch []carillon.Event
	for _, each := range types.Types() {
		event := each.Example
		event.ID = "evt_" + each.Name
		all[each.Name] = channels.Message{Event: event}
		batch = append(batch, event)
	}
	all["a batch"] = channels.Message{Event: batch[0], Batch: batch}
	all["own words"] = channels.Message{Event: batch[0], Endpoint: carillon.Endpoint(`{"channel":"#releases","username":"Carillon","icon_emoji":":bell:",
		"message":{"title":"<!channel> & *all* ` + strings.Repeat("x", 400) + `","text":"two\nlines"}}`)}
	require.Greater(t, len(all), 40)
	return all
}

func TestSlackTakesAMessageOfEveryEventType(t *testing.T) {
	t.Parallel()
	s := newStory(t, map[string]any{"channel": "#releases"})
	hook := newStory(t, map[string]any{"url": ""})
	for name, m := range slackExamples(t) {
		for _, each := range []*story{s, hook} {
			a := each.attempt(t, m.Event, func(attempt *channels.Message) { attempt.Batch = m.Batch })
			body := ""
			if a.Response != nil {
				body = a.Response.Body
			}
			require.Equal(t, carillon.OutcomeDelivered, a.Outcome, "%s: %s %s", name, a.Error, body)
		}
	}
}

// The types of Slack's own SDK for messages and blocks.
func TestMessagesAreOfTheTypesOfSlacksSDK(t *testing.T) {
	t.Parallel()
	node := os.Getenv("CARILLON_TEST_NODE")
	if node == "" && os.Getenv("CARILLON_TEST_REQUIRE") != "all" {
		return // make test lists it as left out
	}
	packages, err := filepath.Abs("../e2e/verify/node_modules")
	require.NoError(t, err)
	var source strings.Builder
	source.WriteString(`import type { HeaderBlock, SectionBlock, ContextBlock, MessageAttachment } from "@slack/types";
type Block = HeaderBlock | SectionBlock | ContextBlock;
interface Attachment extends Pick<MessageAttachment, "color" | "fallback"> { blocks: Block[] }
interface Message {
  channel?: string; text: string; blocks: Block[]; attachments: Attachment[];
  username?: string; icon_emoji?: string; icon_url?: string; unfurl_links: boolean; unfurl_media: boolean;
}
const asSlackHasIt: (a: Attachment) => MessageAttachment = (a) => a;
export const all: [Message, typeof asSlackHasIt][] = [];
`)
	for name, m := range slackExamples(t) {
		source.WriteString("// " + name + "\nall.push([" + string(slackPayload(t, m)) + ", asSlackHasIt]);\n")
	}
	// What is no message must not pass: an error that is expected and does not
	// come is one.
	one := string(slackPayload(t, channels.Message{Event: coolUtils("1", "package.added")}))
	for _, wrong := range [][2]string{{`"plain_text"`, `"plain"`}, {`"header"`, `"heading"`}, {`"fallback"`, `"fall_back"`}, {`"elements"`, `"items"`}} {
		require.Contains(t, one, wrong[0])
		source.WriteString("// @ts-expect-error\nall.push([" + strings.ReplaceAll(one, wrong[0], wrong[1]) + ", asSlackHasIt]);\n")
	}
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "messages.ts"), []byte(source.String()), 0o600))
	config, err := json.Marshal(map[string]any{"files": []string{"messages.ts"}, "compilerOptions": map[string]any{
		"strict": true, "noEmit": true, "types": []string{}, "module": "nodenext", "skipLibCheck": true,
		"paths": map[string][]string{"@slack/types": {filepath.Join(packages, "@slack", "types")}},
	}})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "tsconfig.json"), config, 0o600))
	out, err := exec.CommandContext(t.Context(), node, filepath.Join(packages, "typescript", "bin", "tsc"), "-p", dir).CombinedOutput()
	require.NoError(t, err, "%s", out)
}

func TestAMessageSaysWhatTheEventSaysAndNothingElse(t *testing.T) {
	t.Parallel()
	event := happened("1", "package.added", "pkg:npm/<!channel>", slackNoon, `{"package":"__init__","version":"1.0"}`)
	event.Actor = "*Zoë* & <@U1>"
	event.Scope = map[string]string{"feed": "a_b", "zone": "__init__", "quote": "> x"}
	body := string(slackPayload(t, channels.Message{Event: event}))
	require.NotContains(t, body, "<!channel>")
	require.NotContains(t, body, "<@U1>")
	var message struct {
		Text        string
		Blocks      []struct{ Text struct{ Type, Text string } }
		Attachments []struct {
			Color  string
			Blocks []struct {
				Fields   []struct{ Type, Text string }
				Elements []struct{ Type, Text string }
			}
		}
	}
	require.NoError(t, json.Unmarshal([]byte(body), &message))
	require.Equal(t, "plain_text", message.Blocks[0].Text.Type)
	require.Contains(t, message.Blocks[0].Text.Text, "<!channel>", "plain text is shown as it is")
	require.Contains(t, message.Text, "&lt;!channel&gt;")
	fields := map[string]string{}
	for _, block := range message.Attachments[0].Blocks {
		for _, f := range block.Fields {
			fields[f.Text] = f.Type
		}
	}
	for text, kind := range map[string]string{
		"*feed*\na_b": "mrkdwn", "zone\n__init__": "plain_text", "quote\n> x": "plain_text", "by\n*Zoë* & <@U1>": "plain_text",
	} {
		require.Equal(t, kind, fields[text], "%s in %v", text, fields)
	}
	last := message.Attachments[0].Blocks[len(message.Attachments[0].Blocks)-1].Elements[0].Text
	require.Equal(t, "package.added · registry.example.com · <!date^1795262400^{date_short_pretty} {time}|2026-11-21 12:00 UTC>", last)
}

// Whatever an event holds, Slack takes the message, and nobody is mentioned.
func FuzzSlackTakesTheMessage(f *testing.F) {
	workspace := newWorkspace()
	server := httptest.NewServer(http.HandlerFunc(workspace.ServeHTTP))
	f.Cleanup(server.Close)
	sender := channels.NewRegistry(channels.Config{Policy: loopback, Now: time.Now})["slack"]
	f.Add("pkg:npm/left-pad@1.3.0", "maartenba", "internal-utils", "${subject}", "by ${actor}")
	f.Add("<!here> <https://x|y> &amp; &", "*_~`:bell:`", "> quoted\n> again", "", strings.Repeat("😀", 4000))
	f.Add(strings.Repeat("<&>", 3000), strings.Repeat("é", 3000), strings.Repeat("x", 5000), "\n\t ", "\x00\xff")
	f.Fuzz(func(t *testing.T, subject, actor, feed, title, text string) {
		for _, each := range []*string{&subject, &actor, &feed, &title, &text} {
			if !utf8.ValidString(*each) {
				*each = strings.ToValidUTF8(*each, "?")
			}
		}
		endpoint, err := json.Marshal(map[string]any{"url": server.URL + slackWebhook, "timeout": "15s", "message": map[string]any{
			"title": strings.ReplaceAll(title, "${", "$ {"), "text": strings.ReplaceAll(text, "${", "$ {"),
		}})
		require.NoError(t, err)
		event := happened("1", "package.added", subject, slackNoon, `{"package":"x","version":"1"}`)
		event.Actor, event.Scope = actor, map[string]string{"feed": feed}
		a := sender.Attempt(t.Context(), channels.Message{Event: event, Endpoint: endpoint, Number: 1})
		if strings.HasPrefix(a.Error, "the message cannot be written") {
			return // a template that is none
		}
		require.Equal(t, carillon.OutcomeDelivered, a.Outcome, a.Error)
	})
}
