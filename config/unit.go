package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
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
	"loopback":  {"host:port of this machine, such as 127.0.0.1:6060", readLoopback},
	"port":      {"0 to 65535, where 0 takes a free one", readPort},
	"URL":       {"an http or https URL without user, query and fragment", readURL},
	"days":      {"days such as 90d, or hours such as 2160h, at least 1d; 0 is for ever", readDays},
	"switch":    {"on or off", readSwitch},
	"runs":      {"10 to 100000", readRuns},
	"rate":      {"a number from 0.01 to 1000000, or two with a colon, such as 50:100; off for no limit", readRate},
	"level":     {"debug, info, warn, error", readLevel},
	"format":    {"text, json", readFormat},
	"folder":    {"a path", readText},
	"networks":  {"CIDRs, separated by commas", readText},
	"proxy":     {"http://host:port, https://host:port or socks5://host:port, with user:password@ before the host if it asks for them", readSecret},
	"DNS":       {"an IP address, and a port unless it is 53, such as 10.0.0.53:53", readDNS},
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

// readDNS reads the address of a DNS server: who is to look names up has none.
func readDNS(text string) (any, error) {
	if server, err := netip.ParseAddrPort(text); err == nil {
		return server.String(), nil
	}
	addr, err := netip.ParseAddr(strings.Trim(text, "[]"))
	if err != nil {
		return nil, fmt.Errorf("%q is not the address of a server", text)
	}
	return netip.AddrPortFrom(addr, 53).String(), nil
}

// readLoopback reads an address that only this machine can reach.
func readLoopback(text string) (any, error) {
	if _, err := readAddr(text); err != nil {
		return nil, err
	}
	host, _, _ := net.SplitHostPort(text)
	if ip, err := netip.ParseAddr(host); host != "localhost" && (err != nil || !ip.IsLoopback()) {
		return nil, fmt.Errorf("%q is not an address of this machine alone", text)
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

func readSwitch(text string) (any, error) {
	switch text {
	case "on":
		return true, nil
	case "off":
		return false, nil
	}
	return nil, fmt.Errorf("%q is neither on nor off", text)
}

// Rate is how many of something may be in a second, and at once after a pause.
// Zero is no limit.
type Rate struct {
	PerSecond float64
	Burst     int
}

const (
	minRate, maxRate = 0.01, 1_000_000
	maxBurst         = 10_000_000
)

func readRate(text string) (any, error) {
	if text == "off" {
		return Rate{}, nil
	}
	first, second, two := strings.Cut(text, ":")
	perSecond, err := strconv.ParseFloat(first, 64)
	if err != nil || !(perSecond >= minRate && perSecond <= maxRate) { // NaN is neither
		return nil, fmt.Errorf("%q is not a number of requests a second", first)
	}
	burst := max(int(2*perSecond), 1)
	if two {
		if burst, err = strconv.Atoi(second); err != nil || burst < 1 || burst > maxBurst {
			return nil, fmt.Errorf("%q is not a number of requests at once", second)
		}
	}
	return Rate{PerSecond: perSecond, Burst: burst}, nil
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

func readRuns(text string) (any, error) {
	runs, err := strconv.Atoi(text)
	if err != nil || runs < 10 || runs > 100_000 {
		return nil, fmt.Errorf("%q is no such number", text)
	}
	return runs, nil
}

const (
	day = 24 * time.Hour
	// maxDays is a hundred years: more would soon be too long for the type.
	maxDays = 36_500
)

// readDays reads a time that is kept for days: less than one is a mistake.
func readDays(text string) (any, error) {
	if text == "0" {
		return time.Duration(0), nil
	}
	var kept time.Duration
	if number, ok := strings.CutSuffix(text, "d"); ok {
		days, err := strconv.ParseUint(number, 10, 16)
		if err != nil {
			return nil, fmt.Errorf("%q is not a number of days", text)
		}
		kept = time.Duration(min(days, maxDays+1)) * day
	} else {
		var err error
		if kept, err = time.ParseDuration(text); err != nil {
			return nil, fmt.Errorf("%q is not a number of days", text)
		}
	}
	switch {
	case kept == 0:
		return kept, nil
	case kept < day:
		return nil, fmt.Errorf("%q is less than a day", text)
	case kept > maxDays*day:
		return nil, fmt.Errorf("%q is more than %d days", text, maxDays)
	}
	return kept, nil
}
