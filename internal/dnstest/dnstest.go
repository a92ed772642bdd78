// Package dnstest is a DNS server for tests, which changes its answers as a
// hostile one does. It knows what it was told, asks nobody, and answers over UDP
// on this machine.
package dnstest

import (
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// Server is a DNS server. Names that it was not told do not exist.
type Server struct {
	conn net.PacketConn

	mu      sync.Mutex
	answers map[string][][]netip.Addr
	asked   map[string]int // for IPv4 addresses
}

// Start starts a server that ends with the test.
func Start(t testing.TB) *Server {
	t.Helper()
	conn, err := new(net.ListenConfig).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{conn: conn, answers: map[string][][]netip.Addr{}, asked: map[string]int{}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.serve()
	}()
	t.Cleanup(func() {
		_ = conn.Close()
		<-done
	})
	return s
}

// Addr is where it listens.
func (s *Server) Addr() string { return s.conn.LocalAddr().String() }

// Answer sets what a name comes to: the first answer to the first question, and
// so on; the last to all that follow. Each is addresses with blanks between.
func (s *Server) Answer(name string, answers ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name = strings.ToLower(name) + "."
	s.answers[name], s.asked[name] = nil, 0
	for _, answer := range answers {
		var addrs []netip.Addr
		for text := range strings.FieldsSeq(answer) {
			addrs = append(addrs, netip.MustParseAddr(text))
		}
		s.answers[name] = append(s.answers[name], addrs)
	}
}

// Asked counts the questions about a name.
func (s *Server) Asked(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[strings.ToLower(name)+"."]
}

func (s *Server) serve() {
	const largest = 512 // RFC 1035, 4.2.1
	buffer := make([]byte, largest)
	for {
		n, from, err := s.conn.ReadFrom(buffer)
		if err != nil {
			return
		}
		if reply, ok := s.reply(buffer[:n]); ok {
			_, _ = s.conn.WriteTo(reply, from)
		}
	}
}

func (s *Server) reply(question []byte) ([]byte, bool) {
	var m dnsmessage.Message
	if err := m.Unpack(question); err != nil || len(m.Questions) != 1 {
		return nil, false
	}
	q := m.Questions[0]
	reply := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: m.ID, Response: true, Authoritative: true, RecursionAvailable: true},
		Questions: m.Questions,
	}
	addrs, ok := s.next(strings.ToLower(q.Name.String()), q.Type)
	if !ok {
		reply.RCode = dnsmessage.RCodeNameError
	}
	for _, addr := range addrs {
		var body dnsmessage.ResourceBody
		switch {
		case q.Type == dnsmessage.TypeA && addr.Is4():
			body = &dnsmessage.AResource{A: addr.As4()}
		case q.Type == dnsmessage.TypeAAAA && addr.Is6():
			body = &dnsmessage.AAAAResource{AAAA: addr.As16()}
		default:
			continue
		}
		reply.Answers = append(reply.Answers, dnsmessage.Resource{
			Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class}, Body: body,
		})
	}
	packed, err := reply.Pack()
	return packed, err == nil
}

// next is the answer whose turn it is. Both kinds of addresses are asked for at
// once, so only one of them counts.
func (s *Server) next(name string, kind dnsmessage.Type) ([]netip.Addr, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	answers, ok := s.answers[name]
	if !ok || len(answers) == 0 {
		return nil, false
	}
	addrs := answers[min(s.asked[name], len(answers)-1)]
	if kind == dnsmessage.TypeA {
		s.asked[name]++
	}
	return addrs, true
}
