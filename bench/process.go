package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
)

// process is a program that was started.
type process struct {
	name  string
	cmd   *exec.Cmd
	input io.Closer
	ended chan struct{}
	said  *output
}

// output keeps the last of what a process printed.
type output struct {
	mu   sync.Mutex
	text []byte
}

// keptOutput is how many bytes of output are kept: the reason of a failure.
const keptOutput = 8 << 10

// Write keeps the end of what was written.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text = append(o.text, p...)
	if excess := len(o.text) - keptOutput; excess > 0 {
		o.text = bytes.Clone(o.text[excess:])
	}
	return len(p), nil
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.text)
}

// run starts a program, which ends with ctx at the latest.
func run(ctx context.Context, name, program string, env []string, args ...string) (*process, error) {
	p := &process{name: name, ended: make(chan struct{}), said: &output{}}
	p.cmd = exec.CommandContext(ctx, program, args...) //nolint:gosec // G204: the programs that are measured
	p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = env, p.said, p.said
	// The embedded server lives as long as its input is open.
	input, err := p.cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	p.input = input
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w; `make build` makes it", name, err)
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

// await waits until ready, and says why the process ended if it did.
func (p *process) await(ctx context.Context, ready func(context.Context) bool) error {
	for !ready(ctx) {
		select {
		case <-p.ended:
			return fmt.Errorf("%s ended: %s", p.name, strings.TrimSpace(p.said.String()))
		default:
		}
		if err := pause(ctx, pollInterval); err != nil {
			return fmt.Errorf("%s is not ready: %w: %s", p.name, err, strings.TrimSpace(p.said.String()))
		}
	}
	return nil
}

// kill ends the process as kill -9 does.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.ended
	_ = p.input.Close()
}

// usage is what the process took so far.
func (p *process) usage() (usage, error) { return readUsage("/proc", p.cmd.Process.Pid) }

// inherited are the variables that the programs get of this environment.
func inherited() []string {
	var env []string
	for _, name := range []string{"PATH", "TMPDIR", "TZ", "GOMAXPROCS", "GOMEMLIMIT"} {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// freePorts returns loopback ports that nobody listens on.
func freePorts(ctx context.Context, n int) ([]int, error) {
	ports := make([]int, n)
	for i := range ports {
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("choose a port: %w", err)
		}
		defer func() { _ = l.Close() }() // open until all are chosen
		addr, ok := l.Addr().(*net.TCPAddr)
		if !ok {
			return nil, fmt.Errorf("choose a port: %s has none", l.Addr())
		}
		ports[i] = addr.Port
	}
	return ports, nil
}
