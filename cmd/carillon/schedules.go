package main

import (
	"context"
	"time"
)

const (
	// schedulesTimeout bounds one try to set the schedules.
	schedulesTimeout = 10 * time.Second
	// schedulesRetry is how soon it is tried again: the server may have been
	// away, or the permission may come later.
	schedulesRetry = time.Minute
)

// keepSchedules sets the schedules of housekeeping. Everything else works
// without them, so a server that has none, or does not let us, is a warning.
func (s *service) keepSchedules(ctx context.Context) {
	for said := ""; ; {
		tryCtx, cancel := context.WithTimeout(ctx, schedulesTimeout)
		err := s.publisher.KeepSchedules(tryCtx, s.cfg.Retention)
		cancel()
		if err == nil || ctx.Err() != nil {
			return
		}
		if err.Error() != said {
			s.log.Warn("the schedules that prune and sweep the index are not set", "error", err)
			said = err.Error()
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(schedulesRetry):
		}
	}
}
