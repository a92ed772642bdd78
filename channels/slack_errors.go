package channels

import (
	"regexp"
	"slices"
	"strings"

	"github.com/carillon-dev/carillon"
)

// slackTrouble is what one of Slack's errors means, and for people what to do.
type slackTrouble struct {
	outcome carillon.Outcome
	text    string
}

// Gone is what leads nowhere any more, refused is what somebody must change
// first, and rejected is one message. What is not here is tried again.
// https://docs.slack.dev/reference/methods/chat.postMessage#errors
var slackTroubles = map[string]slackTrouble{
	"channel_not_found":   {carillon.OutcomeGone, "there is no such channel, or it is private and the app is not in it: /invite the app there"},
	"is_archived":         {carillon.OutcomeGone, "the channel is archived"},
	"channel_is_archived": {carillon.OutcomeGone, "the channel is archived"},
	"users_not_found":     {carillon.OutcomeGone, "nobody in the workspace has this email address"},
	"user_not_found":      {carillon.OutcomeGone, "there is no such user"},
	"no_service":          {carillon.OutcomeGone, "the webhook was removed or disabled: make a new one"},
	"no_service_id":       {carillon.OutcomeGone, "the URL is not that of a webhook"},
	"no_active_hooks":     {carillon.OutcomeGone, "the webhook is disabled: make a new one"},
	"no_team":             {carillon.OutcomeGone, "the URL names no workspace"},
	"team_disabled":       {carillon.OutcomeGone, "the workspace is disabled"},

	"not_authed":                        {carillon.OutcomeRefused, "the token did not arrive"},
	"invalid_auth":                      {carillon.OutcomeRefused, "the token is not valid, or may not be used from this address"},
	"invalid_token":                     {carillon.OutcomeRefused, "the webhook's URL is not valid any more: make a new one"},
	"account_inactive":                  {carillon.OutcomeRefused, "the token is of a user or a workspace that was deleted"},
	"token_revoked":                     {carillon.OutcomeRefused, "the token was revoked: install the app again"},
	"token_expired":                     {carillon.OutcomeRefused, "the token has expired: give one of an app without token rotation"},
	"not_allowed_token_type":            {carillon.OutcomeRefused, "give the bot's token, which begins with xoxb-"},
	"missing_scope":                     {carillon.OutcomeRefused, "the app lacks a scope: add it and install the app again"},
	"no_permission":                     {carillon.OutcomeRefused, "the app lacks a scope, or is not in the channel"},
	"not_in_channel":                    {carillon.OutcomeRefused, "the app is not in the channel: /invite it there, or give it chat:write.public"},
	"access_denied":                     {carillon.OutcomeRefused, "the app may not do this"},
	"accesslimited":                     {carillon.OutcomeRefused, "the workspace allows this from some networks only"},
	"action_prohibited":                 {carillon.OutcomeRefused, "an admin restricted what this webhook may do"},
	"app_access_restricted":             {carillon.OutcomeRefused, "an admin restricted the app"},
	"ekm_access_denied":                 {carillon.OutcomeRefused, "admins suspended posting in this channel"},
	"enterprise_is_restricted":          {carillon.OutcomeRefused, "the organization does not allow it"},
	"is_bot":                            {carillon.OutcomeRefused, "the token is of a legacy bot: make an app"},
	"messages_tab_disabled":             {carillon.OutcomeRefused, "the app takes no direct messages: enable the Messages tab of its App Home"},
	"posting_to_general_channel_denied": {carillon.OutcomeRefused, "an admin restricted who may post to #general"},
	"restricted_action":                 {carillon.OutcomeRefused, "a preference of the workspace keeps the app from posting"},
	"restricted_action_read_only_channel": {
		carillon.OutcomeRefused, "the channel is read-only",
	},
	"restricted_action_thread_only_channel": {
		carillon.OutcomeRefused, "the channel takes replies only",
	},
	"team_access_not_granted":   {carillon.OutcomeRefused, "the token is not for this workspace"},
	"team_not_found":            {carillon.OutcomeRefused, "the token is for an organization: give the channel's id instead of its name"},
	"two_factor_setup_required": {carillon.OutcomeRefused, "the token's user must set up two factors"},

	"attachment_payload_limit_exceeded": {carillon.OutcomeReject, "the message is too long"},
	"invalid_arguments":                 {carillon.OutcomeReject, "Slack cannot take the message as it is"},
	"invalid_attachments":               {carillon.OutcomeReject, "Slack cannot take the message as it is"},
	"invalid_blocks":                    {carillon.OutcomeReject, "Slack cannot take the message as it is"},
	"invalid_blocks_format":             {carillon.OutcomeReject, "Slack cannot take the message as it is"},
	"invalid_payload":                   {carillon.OutcomeReject, "Slack cannot take the message as it is"},
	"msg_blocks_too_long":               {carillon.OutcomeReject, "the message is too long"},
	"msg_too_long":                      {carillon.OutcomeReject, "the message is too long"},
	"no_text":                           {carillon.OutcomeReject, "the message is empty"},
	"too_many_attachments":              {carillon.OutcomeReject, "the message has too many parts"},
}

// slackWord is how Slack names errors and scopes. What is none is not repeated:
// it could be anything.
var slackWord = regexp.MustCompile(`^[a-z][a-z0-9_:.,]{1,100}$`)

// judge makes of an error that Slack names the attempt's outcome, and says for
// people what it means. needed is the scope that is missing, if Slack says so.
func judge(a *carillon.Attempt, word, needed string, s scrub) {
	if !slackWord.MatchString(word) || s.text(word) != word {
		word = "an error without a name"
	}
	text := "Slack: " + word
	if known, ok := slackTroubles[word]; ok {
		a.Outcome = known.outcome
		text += ": " + known.text
	} else if a.Outcome == carillon.OutcomeDelivered {
		a.Outcome = carillon.OutcomeRetry
	}
	if slackWord.MatchString(needed) && s.text(needed) == needed {
		text += " (" + needed + ")"
	}
	if a.Error != "" { // the status says it, too
		text = a.Error + ", " + text
	}
	a.Error = text
}

// judgeWebhook does so for a webhook's answer, whose body is the error's name.
func judgeWebhook(a *carillon.Attempt, body string, s scrub) {
	if word := strings.TrimSpace(body); a.Outcome != carillon.OutcomeDelivered && slackWord.MatchString(word) {
		judge(a, word, "", s)
	}
}

// Errors of a follow-up that say of the message before it that it cannot be
// followed any more: it cannot be edited, or it is not there.
var (
	slackFixed  = []string{"edit_window_closed", "cant_update_message", "block_mismatch", "streaming_state_conflict"}
	slackVanish = []string{
		"message_not_found", "thread_not_found", "cannot_reply_to_message", "is_inactive", "channel_not_found",
		"restricted_action_thread_locked", "restricted_action_non_threadable_channel",
	}
	// slackForgets are those of a post that is repeated, the first of which Slack
	// knows of but cannot find.
	slackForgets = []string{"duplicate_message_not_found", "duplicate_channel_not_found"}
)

func isOneOf(words []string, word string) bool { return word != "" && slices.Contains(words, word) }
