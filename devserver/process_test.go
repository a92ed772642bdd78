package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
)

// roleVariable makes the test binary play a part: a server in a process of its
// own, which can be killed.
const roleVariable = "CARILLON_DEVSERVER_ROLE"

const (
	roleServer = "server"
	// roleOldServer is the server of a version that had one search attribute less.
	roleOldServer = "old-server"
	// roleParent starts a server as carillon does, and waits to be killed.
	roleParent = "parent"
)

// patience is how long a test waits for what takes a second.
const patience = 60 * time.Second

func TestMain(m *testing.M) {
	switch os.Getenv(roleVariable) {
	case roleServer:
		main()
	case roleOldServer:
		delete(searchAttributes, "CarillonFailing")
		main()
	case roleParent:
		parent()
	default:
		os.Exit(m.Run())
	}
}

func parent() {
	cmd := exec.Command(os.Args[0], os.Args[1:]...)
	cmd.Env = append(os.Environ(), roleVariable+"="+roleServer)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if _, err := cmd.StdinPipe(); err != nil {
		panic(err)
	}
	if err := cmd.Start(); err != nil {
		panic(err)
	}
	_ = cmd.Wait()
}

// process is a server, or a server's parent, that a test started.
type process struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	output *bufio.Reader
	stderr bytes.Buffer // to be read after wait
}

func startProcess(t *testing.T, role string, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(os.Args[0], args...)}
	p.cmd.Env = append(os.Environ(), roleVariable+"="+role)
	p.cmd.Stderr = &p.stderr
	var err error
	p.stdin, err = p.cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := p.cmd.StdoutPipe()
	require.NoError(t, err)
	p.output = bufio.NewReader(stdout)
	require.NoError(t, p.cmd.Start())
	// Also the only limit on reading output: nothing here outlives it.
	guard := time.AfterFunc(patience, func() { _ = p.cmd.Process.Kill() })
	t.Cleanup(func() {
		guard.Stop()
		_ = p.stdin.Close()
		_ = p.cmd.Process.Kill()
	})
	return p
}

// ready waits for the ready line and returns the two addresses.
func (p *process) ready(t *testing.T) (address, web string) {
	t.Helper()
	line, err := p.output.ReadString('\n')
	if err != nil {
		_ = p.cmd.Wait()
		require.NoError(t, err, "no ready line: %s", p.stderr.String())
	}
	_, err = fmt.Sscanf(line, "ready address=%s web=%s\n", &address, &web)
	require.NoError(t, err, line)
	return address, web
}

// wait waits for the end and returns the exit code.
func (p *process) wait(t *testing.T) int {
	t.Helper()
	_, err := io.Copy(io.Discard, p.output)
	require.NoError(t, err)
	_ = p.cmd.Wait()
	return p.cmd.ProcessState.ExitCode()
}

// startServer starts a server on free ports and waits until it is ready.
func startServer(t *testing.T, role, dir string, args ...string) (p *process, c client.Client, web string) {
	t.Helper()
	p = startProcess(t, role, append([]string{"--dir", dir, "--port", "0", "--web-port", "0"}, args...)...)
	address, web := p.ready(t)
	return p, dial(t, address), web
}

func dial(t *testing.T, address string) client.Client {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, err := client.DialContext(ctx, client.Options{HostPort: address, Logger: quiet{}})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

type quiet struct{}

func (quiet) Debug(string, ...any) {}
func (quiet) Info(string, ...any)  {}
func (quiet) Warn(string, ...any)  {}
func (quiet) Error(string, ...any) {}

// oddFolder has every character that means something in the URI of a database.
func oddFolder(t *testing.T) string {
	t.Helper()
	return filepath.Join(t.TempDir(), strings.Join([]string{"a folder", "%41", "#1?x=y&z"}, " "))
}
