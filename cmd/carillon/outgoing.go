package main

import (
	"net"
	"net/url"
	"strings"

	"github.com/carillon-dev/carillon/config"
	"github.com/carillon-dev/carillon/internal/safehttp"
)

// outgoing says what senders may reach, and how. temporal is the address of the
// server that this process works with.
func outgoing(cfg config.Config, temporal string) (safehttp.Policy, error) {
	allow, err := safehttp.ParseAllow(cfg.AllowCIDRs)
	if err != nil {
		return safehttp.Policy{}, usagef("CARILLON_ALLOW_CIDRS: %w", err)
	}
	p := safehttp.Policy{Allow: allow, Own: safehttp.NewListeners(ownAddresses(cfg, temporal)...)}
	if text := cfg.EgressProxy.Reveal(); text != "" {
		if p.Proxy, err = safehttp.ParseProxy(text); err != nil {
			return safehttp.Policy{}, usagef("CARILLON_EGRESS_PROXY: %w", err)
		}
	}
	if cfg.DNSServer != "" {
		p.Resolver = safehttp.NewResolver(cfg.DNSServer)
	}
	return p, nil
}

// ownAddresses are where this Carillon, its database and its Temporal listen.
// The public URL is not among them, nor is Temporal Web at a usual port: behind
// a proxy, receivers can share it.
func ownAddresses(cfg config.Config, temporal string) []string {
	own := []string{cfg.HTTPAddr, cfg.PprofAddr, temporal}
	if web, err := url.Parse(cfg.TemporalWebURL); err == nil && web.Port() != "" && web.Port() != "80" && web.Port() != "443" {
		own = append(own, web.Host)
	}
	if text := cfg.DatabaseURL.Reveal(); !onSQLite(cfg) {
		if database, err := url.Parse(text); err == nil {
			// It may name several, and name them in its query.
			for host := range strings.SplitSeq(database.Host+","+database.Query().Get("host"), ",") {
				port := database.Query().Get("port")
				if port == "" {
					port = "5432"
				}
				own = append(own, withPort(host, port))
			}
		}
	}
	return own
}

// withPort adds a port to a host that has none.
func withPort(host, port string) string {
	if _, _, err := net.SplitHostPort(host); err == nil {
		return host
	}
	return net.JoinHostPort(strings.Trim(host, "[]"), port)
}
