package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/carillon-dev/carillon/config"
)

const (
	// devserver is the binary of the embedded Temporal server, beside this one.
	devserver = "carillon-devserver"
	// devserverUsage is its exit code for what the operator can mend.
	devserverUsage = 2
	// maxTemporalLog is the size in bytes at which a start sets the log aside.
	maxTemporalLog = 8 << 20
)

// devserverSettings turn a message about the server's flags into one about the
// variables that they come from.
var devserverSettings = strings.NewReplacer(
	"--web-port", "CARILLON_DEV_TEMPORAL_WEB_PORT",
	"--port", "CARILLON_DEV_TEMPORAL_PORT",
	"--dir", "CARILLON_DATA_DIR",
)

// temporalServer is a Temporal server that runs as a child process. The child
// lives as long as the pipe that is its standard input, so it ends with this
// process, however this process ends.
type temporalServer struct {
	// Address is where the server listens, and WebURL where Temporal Web is.
	Address string
	WebURL  string
	// LogFile is what the server has to say.
	LogFile string

	cmd   *exec.Cmd
	stdin io.Closer
	done  chan struct{}
	err   error // why it ended; set before done is closed
}

// startTemporal starts the server and returns when it is ready for the first
// workflow. ctx bounds the start only.
func startTemporal(ctx context.Context, cfg config.Config) (*temporalServer, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find the embedded Temporal server: %w", err)
	}
	return startDevserver(ctx, filepath.Join(filepath.Dir(self), devserver), cfg)
}

func startDevserver(ctx context.Context, binary string, cfg config.Config) (*temporalServer, error) {
	if _, err := os.Stat(binary); err != nil {
		return nil, usagef("the embedded Temporal server is not there (%w); `make build` makes it, "+
			"or set TEMPORAL_ADDRESS to use a server that runs", err)
	}
	s := &temporalServer{LogFile: filepath.Join(cfg.DataDir, "temporal.log"), done: make(chan struct{})}
	logFile, err := openLog(s.LogFile)
	if err != nil {
		return nil, err
	}
	// The child has a descriptor of its own.
	defer func() { _ = logFile.Close() }()
	logged, err := logFile.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, fmt.Errorf("open the log of the embedded Temporal server: %w", err)
	}

	//nolint:gosec // G204: the program is the one beside this one
	s.cmd = exec.CommandContext(context.WithoutCancel(ctx), binary,
		"--dir", filepath.Join(cfg.DataDir, "temporal"),
		"--port", strconv.Itoa(cfg.DevTemporalPort),
		"--web-port", strconv.Itoa(cfg.DevTemporalWebPort),
		// A terminal's Ctrl-C reaches both, but the worker needs the server to
		// end in order.
		"--ignore-interrupt")
	s.cmd.Env = childEnv()
	// A file rather than a pipe, so that it can still write after this process.
	s.cmd.Stderr = logFile
	if s.stdin, err = s.cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("start the embedded Temporal server: %w", err)
	}
	stdout, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start the embedded Temporal server: %w", err)
	}
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the embedded Temporal server: %w", err)
	}
	ready := make(chan error, 1)
	go func() {
		ready <- s.awaitReady(stdout)
		_, _ = io.Copy(io.Discard, stdout)
		s.err = s.cmd.Wait()
		close(s.done)
	}()

	select {
	case err = <-ready:
	case <-ctx.Done():
		err = fmt.Errorf("the embedded Temporal server is not ready: %w", ctx.Err())
	}
	if err == nil {
		return s, nil
	}
	_ = s.stdin.Close()
	_ = s.cmd.Process.Kill() // its databases take an end at any moment
	<-s.done
	reason := lastWords(s.LogFile, logged)
	if s.cmd.ProcessState.ExitCode() == devserverUsage && reason != "" {
		return nil, usagef("%s", devserverSettings.Replace(reason))
	}
	return nil, fmt.Errorf("%w; its log is %s", err, s.LogFile)
}

// awaitReady reads the line that says that the server is ready, and where.
func (s *temporalServer) awaitReady(stdout io.Reader) error {
	lines := bufio.NewReader(stdout)
	line, err := lines.ReadString('\n')
	if err != nil {
		return errors.New("the embedded Temporal server ended before it was ready")
	}
	if _, err := fmt.Sscanf(line, "ready address=%s web=%s\n", &s.Address, &s.WebURL); err != nil {
		return fmt.Errorf("the embedded Temporal server says %q instead of being ready: `make build` makes one that fits", line)
	}
	return nil
}

// Done is closed when the process has ended; [temporalServer.Err] then says how.
func (s *temporalServer) Done() <-chan struct{} { return s.done }

// Err returns the error that the process ended with: nil after an orderly end,
// and until it has ended.
func (s *temporalServer) Err() error {
	select {
	case <-s.done:
		return s.err
	default:
		return nil
	}
}

// Stop ends the server and waits for it; when ctx ends first, it is killed,
// which loses nothing that it had acknowledged. It returns [temporalServer.Err].
func (s *temporalServer) Stop(ctx context.Context) error {
	_ = s.stdin.Close()
	select {
	case <-s.done:
	case <-ctx.Done():
		_ = s.cmd.Process.Kill()
		<-s.done
	}
	return s.err
}

// childEnv is what the server gets of this process's environment: neither keys,
// nor settings of proxies and exporters, which it would heed.
func childEnv() []string {
	env := []string{}
	for _, name := range []string{"TMPDIR", "TZ", "GOMAXPROCS", "GOMEMLIMIT"} {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// openLog opens a log to append to, after setting one aside that has grown.
func openLog(name string) (*os.File, error) {
	if info, err := os.Stat(name); err == nil && info.Size() > maxTemporalLog {
		if err := os.Rename(name, name+".old"); err != nil {
			return nil, fmt.Errorf("set the log of the embedded Temporal server aside: %w", err)
		}
	}
	file, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the log of the embedded Temporal server: %w", err)
	}
	return file, nil
}

// lastWords returns what the server itself, not its parts, said last after the
// offset of its log; empty when it said nothing.
func lastWords(logFile string, offset int64) string {
	text, err := os.ReadFile(logFile)
	if err != nil || int64(len(text)) < offset {
		return ""
	}
	words := ""
	for line := range bytes.Lines(text[offset:]) {
		if after, ok := bytes.CutPrefix(line, []byte(devserver+": ")); ok {
			words = string(bytes.TrimSpace(after))
		}
	}
	return words
}
