// Package bench_test measures what every event passes through, without a
// server: `make bench`. It holds no assertions on time; numbers are compared
// with those of another version on the same machine.
package bench_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/conditions"
	"github.com/carillon-dev/carillon/formats"
	"github.com/carillon-dev/carillon/internal/signature"
	"github.com/carillon-dev/carillon/matching"
)

var now = time.Date(2026, 11, 21, 20, 0, 0, 0, time.UTC)

func event() carillon.Event {
	return carillon.Event{
		ID: carillon.EventID("registry.example.com", "upload-4711"), Type: "package.added",
		Source: "registry.example.com", Actor: "maartenba", Scope: map[string]string{"feed": "internal-utils"},
		Subject: "pkg:nuget/MyCorp.CoolUtils@3.2.0", Time: now,
		Data: json.RawMessage(`{"package":"MyCorp.CoolUtils","version":"3.2.0","package_type":"nuget"}`),
	}
}

// BenchmarkMatch matches one event against a thousand subscriptions, with the
// rules that Route applies: type, then scope, then condition. One in ten has a
// condition that is reached.
func BenchmarkMatch(b *testing.B) {
	env, err := conditions.New()
	require.NoError(b, err)
	subscriptions := make([]*matching.Subscription, 1000)
	var known *matching.Subscription
	for i := range subscriptions {
		sub := carillon.Subscription{
			EventTypes: []string{"build.*", "package.*"},
			Scope:      map[string][]string{"feed": {"feed-" + strconv.Itoa(i), "shared"}},
			Condition:  `pkg.name.startsWith("MyCorp.") && pkg.type == "nuget"`,
		}
		if i%10 == 0 {
			sub.Scope["feed"][1] = "internal-utils"
		}
		known = matching.Prepare(sub, env, known)
		subscriptions[i] = known
	}
	pub := &carillon.Publication{Event: event()}
	b.ReportAllocs()
	for b.Loop() {
		e, err := matching.Read(pub)
		require.NoError(b, err)
		matched := 0
		for _, sub := range subscriptions {
			if failed, err := sub.Decide(b.Context(), e); err == nil && failed == "" {
				matched++
			}
		}
		if matched != 100 {
			b.Fatalf("matched %d of 100", matched)
		}
	}
}

func BenchmarkCondition(b *testing.B) {
	env, err := conditions.New()
	require.NoError(b, err)
	in, err := conditions.NewInput(event())
	require.NoError(b, err)
	for name, expression := range map[string]string{
		"comparison": `type == "package.added"`,
		"package":    `pkg.name.startsWith("MyCorp.") && pkg.version != ""`,
		"data":       `has(data.package_type) && data.package_type == "nuget"`,
		"glob":       `pkg.name.glob("mycorp.*")`,
	} {
		b.Run(name, func(b *testing.B) {
			condition, err := env.Compile(expression)
			require.NoError(b, err)
			b.ReportAllocs()
			for b.Loop() {
				if ok, err := condition.Match(b.Context(), in); err != nil || !ok {
					b.Fatal(ok, err)
				}
			}
		})
	}
	b.Run("compile", func(b *testing.B) {
		for b.Loop() {
			if _, err := env.Compile(`pkg.name.startsWith("MyCorp.") && data.score >= 7.5`); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkRender(b *testing.B) {
	format, ok := formats.Lookup("standard")
	require.True(b, ok)
	e := event()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := format.Render(formats.Request{Event: e}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSignature(b *testing.B) {
	key, err := signature.ParseKey(signature.NewSecret())
	require.NoError(b, err)
	keys := []signature.Key{key}
	for _, size := range []int{1 << 10, 256 << 10} {
		payload := make([]byte, size)
		header := http.Header{}
		header.Set("Webhook-Id", "evt_1")
		header.Set("Webhook-Timestamp", strconv.FormatInt(now.Unix(), 10))
		header.Set("Webhook-Signature", signature.Sign(keys, "evt_1", now, payload))
		b.Run(fmt.Sprintf("sign/%dKiB", size>>10), func(b *testing.B) {
			b.SetBytes(int64(size))
			for b.Loop() {
				signature.Sign(keys, "evt_1", now, payload)
			}
		})
		b.Run(fmt.Sprintf("verify/%dKiB", size>>10), func(b *testing.B) {
			b.SetBytes(int64(size))
			for b.Loop() {
				if err := signature.Verify(keys, header, payload, now, time.Minute); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkFingerprint(b *testing.B) {
	e := event()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := carillon.Fingerprint(e); err != nil {
			b.Fatal(err)
		}
	}
}
