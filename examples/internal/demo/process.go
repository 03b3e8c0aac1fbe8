package demo

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

// exitedWell is the Text of gone for a process that exited without an error.
const exitedWell = "exit status 0"

// process is one replica, as the parent sees it.
type process struct {
	identity
	cmd    *exec.Cmd
	stdin  io.Closer
	stderr tail

	// Used by the show's goroutine only:
	alive   bool
	running int // runs in progress
	ran     int
	refused int
	fate    string // "killed" or "ended"; "" while alive
}

// startProcess starts this program again as a replica. Its events, and finally its end,
// are sent to events.
func startProcess(id identity, events chan<- event) (*process, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(id)
	if err != nil {
		return nil, err
	}
	p := &process{identity: id, alive: true}
	p.cmd = exec.Command(program, os.Args[1:]...)
	p.cmd.Env = append(os.Environ(), replicaEnv+"="+string(text))
	p.cmd.Stderr = &p.stderr
	p.cmd.WaitDelay = time.Second
	stdin, err := p.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	p.stdin = stdin
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start replica %s: %w", id.Name, err)
	}
	go p.follow(stdout, events)
	return p, nil
}

// follow passes events on until the process has ended.
func (p *process) follow(stdout io.Reader, events chan<- event) {
	decoder := json.NewDecoder(stdout)
	var err error
	for err == nil {
		var e event
		if err = decoder.Decode(&e); err == nil {
			events <- e
		}
	}
	_, _ = io.Copy(io.Discard, stdout)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil // the last line of a killed process may be half written
	}
	err = errors.Join(err, p.cmd.Wait())
	e := event{Kind: gone, Replica: p.Name, At: time.Now(), Text: exitedWell}
	if err != nil {
		e.Text = strings.TrimSpace(err.Error() + "\n" + p.stderr.String())
	}
	events <- e
}

// kill ends the process as a crash would, without releasing locks.
func (p *process) kill() { _ = p.cmd.Process.Kill() }

// stop asks the process to stop, which it does within stopLimit.
func (p *process) stop() { _ = p.stdin.Close() }

const maxTail = 4096

// tail keeps the last maxTail bytes written to it. String must not be called before the
// last Write.
type tail struct{ kept bytes.Buffer }

func (t *tail) Write(p []byte) (int, error) {
	t.kept.Write(p)
	if over := t.kept.Len() - maxTail; over > 0 {
		t.kept.Next(over)
	}
	return len(p), nil
}

func (t *tail) String() string { return t.kept.String() }
