package channels

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTurnsAreTakenOneAtATime(t *testing.T) {
	t.Parallel()
	var all turns
	release, ok := all.take(t.Context(), "a")
	require.True(t, ok)
	other, ok := all.take(t.Context(), "b")
	require.True(t, ok, "another key waits for nobody")
	other()

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, ok = all.take(ended, "a")
	require.False(t, ok)

	next := make(chan func())
	go func() {
		release, _ := all.take(t.Context(), "a")
		next <- release
	}()
	select {
	case <-next:
		t.Fatal("two have it")
	default:
	}
	release()
	(<-next)()
	require.Empty(t, all.taken, "nothing is left behind")
}
