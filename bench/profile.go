package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

// profileTime is how long the CPU is looked at, from the first counted post on.
const profileTime = 5 * time.Second

// profiles takes profiles of both programs while work goes on: of the CPU while
// it lasts, and of what was allocated by the end of it.
func (s *stack) profiles(ctx context.Context, name string, work func() error) error {
	if s.profileDir == "" {
		return work()
	}
	if err := os.MkdirAll(s.profileDir, 0o750); err != nil {
		return fmt.Errorf("take profiles: %w", err)
	}
	programs := map[string]int{"carillon": s.ports.carillonProfiles, "temporal": s.ports.temporalProfiles}
	var taking sync.WaitGroup
	failures := make(chan error, len(programs))
	for program, port := range programs {
		taking.Go(func() {
			failures <- s.profile(ctx, port, "profile?seconds="+strconv.Itoa(int(profileTime.Seconds())), name+"-"+program+"-cpu.pprof")
		})
	}
	err := work()
	taking.Wait()
	for range programs {
		if failed := <-failures; err == nil {
			err = failed
		}
	}
	for program, port := range programs {
		for _, kind := range []string{"allocs", "heap", "goroutine"} {
			if failed := s.profile(ctx, port, kind, name+"-"+program+"-"+kind+".pprof"); err == nil {
				err = failed
			}
		}
	}
	return err
}

// profile keeps one profile.
func (s *stack) profile(ctx context.Context, port int, kind, file string) error {
	url := fmt.Sprintf("http://127.0.0.1:%d/debug/pprof/%s", port, kind)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return fmt.Errorf("take a profile: %w", err)
	}
	resp, err := (&http.Client{Timeout: time.Minute}).Do(req)
	if err != nil {
		return fmt.Errorf("take a profile: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("take a profile: %w", err)
	}
	if err := os.WriteFile(filepath.Join(s.profileDir, file), body, 0o600); err != nil {
		return fmt.Errorf("keep a profile: %w", err)
	}
	return nil
}
