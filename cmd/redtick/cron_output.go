package main

import (
	"bufio"
	"io"
	"os"
	"sync"
	"time"
)

// output writes the jobs' output to stdout and stderr.
type output struct {
	raw bool
	mu  sync.Mutex // one line at a time
}

// pipes are the stdout and stderr of one run. They are read until their write ends
// are closed, which may be long after the run if it leaves a background process:
// closing them would kill that with SIGPIPE.
type pipes struct {
	stdout, stderr *os.File
	ours           []*os.File // our write ends
	read           sync.WaitGroup
}

func (o *output) pipes(name string) (*pipes, error) {
	p := &pipes{stdout: os.Stdout, stderr: os.Stderr}
	if o.raw {
		return p, nil
	}
	for _, end := range []**os.File{&p.stdout, &p.stderr} {
		from, write, err := os.Pipe()
		if err != nil {
			p.handedOver()
			return nil, err
		}
		to := *end
		p.read.Go(func() { o.pass(to, from, name) })
		p.ours, *end = append(p.ours, write), write
	}
	return p, nil
}

// handedOver closes our write ends once the program has its own.
func (p *pipes) handedOver() {
	for _, end := range p.ours {
		_ = end.Close()
	}
}

const (
	longestLine = 64 << 10
	lastLines   = 100 * time.Millisecond
)

// drain waits briefly for the output of a run that has ended, so that it precedes the
// log of the end.
func (p *pipes) drain() {
	all := make(chan struct{})
	go func() {
		p.read.Wait()
		close(all)
	}()
	select {
	case <-all:
	case <-time.After(lastLines):
	}
}

// pass copies the output line by line, each with the job's name, so that the lines of
// concurrent jobs can be told apart. It splits a line that is too long.
func (o *output) pass(to io.Writer, from *os.File, name string) {
	defer from.Close()
	lines := bufio.NewReaderSize(from, longestLine)
	for {
		text, err := lines.ReadSlice('\n')
		if len(text) > 0 {
			o.write(to, name, text)
		}
		if err != nil && err != bufio.ErrBufferFull {
			return
		}
	}
}

func (o *output) write(to io.Writer, name string, text []byte) {
	line := append([]byte(printable(name)+": "), text...)
	if line[len(line)-1] != '\n' {
		line = append(line, '\n')
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	_, _ = to.Write(line)
}
