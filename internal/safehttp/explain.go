package safehttp

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"syscall"
)

// Explain says in a few words for people why a request failed. The words are
// Carillon's own: an error's text can hold the URL, the address that a name
// came to, or what the receiver sent.
func Explain(err error) string {
	if r, ok := errors.AsType[*refusal](err); ok {
		return r.Error()
	}
	if proxy, ok := errors.AsType[*proxyError](err); ok {
		return proxy.Error()
	}
	if receiver, ok := errors.AsType[*unreached](err); ok {
		return receiver.Error()
	}
	if name, ok := errors.AsType[*net.DNSError](err); ok {
		return explainLookup(name)
	}
	if text := explainTLS(err); text != "" {
		return "TLS: " + text
	}
	switch {
	case errors.Is(err, ErrAddress):
		return ErrAddress.Error()
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "no route to the host"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE),
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "connection closed without an answer"
	case errors.Is(err, os.ErrDeadlineExceeded), isTimeout(err):
		return "timed out"
	default:
		return "no valid HTTP answer"
	}
}

func isTimeout(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
}

func explainLookup(err *net.DNSError) string {
	switch {
	case err.IsNotFound:
		return "host name not found"
	case err.IsTimeout:
		return "looking up the host name timed out"
	default:
		return "host name could not be looked up"
	}
}

func explainTLS(err error) string {
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "certificate of an unknown authority"
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return "certificate for another host name"
	}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		if invalid.Reason == x509.Expired {
			return "certificate expired or not yet valid"
		}
		return "certificate not valid"
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return "certificate not valid"
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok || errors.Is(err, http.ErrSchemeMismatch) {
		return "the receiver does not speak it on this port"
	}
	// Package tls has no exported type for an alert; these are its operations.
	if op, ok := errors.AsType[*net.OpError](err); ok && (op.Op == "remote error" || op.Op == "local error") {
		return "no common version or cipher, or the receiver refused the handshake"
	}
	return ""
}
