package main

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/inspect"
)

// The exit codes are part of the interface: each command's help lists its own.
// Those of run lie where programs seldom put theirs (sysexits.h, and 79 after its end).
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

// exitError ends the command with a code. Without err there is nothing more to say.
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

// usage is an error in the command line.
func usage(format string, args ...any) error {
	return exit(exitUsage, fmt.Errorf(format, args...))
}

// codeOf is the exit code of a command that ended with err. Whatever cobra
// finds wrong with the command line is an error without a code.
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
