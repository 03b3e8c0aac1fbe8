package main

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/inspect"
)

// The exit codes are part of the interface: each command's help lists its own. Those
// of run are ones that programs rarely use: from sysexits.h, and 79, the first after
// them.
const (
	exitWarning     = 1
	exitNoQuorum    = 2
	exitUsage       = 64
	exitRunNoQuorum = 69
	exitTaken       = 75
	exitLost        = 79
	exitCannotRun   = 126
	exitNotFound    = 127
	exitSignal      = 128 // and the signal's number
)

// exitError ends the command with a code. If err is nil, nothing is printed.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

func exit(code int, err error) error { return &exitError{code, err} }

// usage returns an error about the command line.
func usage(format string, args ...any) error {
	return exit(exitUsage, fmt.Errorf(format, args...))
}

// codeOf returns the exit code of a command that ended with err. An error without a
// code is cobra's, about the command line.
func codeOf(err error) int {
	var coded *exitError
	var file *fs.PathError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &coded):
		return coded.code
	case errors.Is(err, redlock.ErrNoQuorum), errors.Is(err, inspect.ErrSomeNodes):
		return exitNoQuorum
	case errors.As(err, &file):
		return exitWarning // stdout is full, or gone
	}
	return exitUsage
}
