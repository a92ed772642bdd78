package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// unit is what the values of a setting look like.
type unit struct {
	// allowed says it for people.
	allowed string
	// read returns the value in the type of the field. Its error says what is
	// wrong and ends up in a log, so it quotes no value that may be secret.
	read func(text string) (any, error)
}

var units = map[string]unit{
	"host:port": {"host:port, such as 127.0.0.1:8080", readAddr},
	"port":      {"0 to 65535, where 0 takes a free one", readPort},
	"URL":       {"an http or https URL without user, query and fragment", readURL},
	"level":     {"debug, info, warn, error", readLevel},
	"format":    {"text, json", readFormat},
	"folder":    {"a path", readText},
	"networks":  {"CIDRs, separated by commas", readText},
	"database":  {"postgres://… or sqlite:PATH", readSecret},
	"secret":    {"text", readSecret},
}

func readText(text string) (any, error)   { return text, nil }
func readSecret(text string) (any, error) { return NewSecret(text), nil }

func readAddr(text string) (any, error) {
	_, port, err := net.SplitHostPort(text)
	if err != nil {
		return nil, fmt.Errorf("%q is not an address to listen on", text)
	}
	if _, err := readPort(port); err != nil {
		return nil, err
	}
	return text, nil
}

func readPort(text string) (any, error) {
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("%q is not a port", text)
	}
	return int(port), nil
}

// readURL leaves the slash at the end out, so that paths can be appended.
func readURL(text string) (any, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" ||
		u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("this is not the address of a site")
	}
	return strings.TrimRight(text, "/"), nil
}

func readLevel(text string) (any, error) {
	switch strings.ToLower(text) {
	case "debug":
		return slog.LevelDebug, nil
	case "info":
		return slog.LevelInfo, nil
	case "warn":
		return slog.LevelWarn, nil
	case "error":
		return slog.LevelError, nil
	}
	return nil, fmt.Errorf("%q is not a level", text)
}

func readFormat(text string) (any, error) {
	switch text {
	case "text", "json":
		return text, nil
	}
	return nil, fmt.Errorf("%q is not a format", text)
}
