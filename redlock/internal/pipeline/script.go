package pipeline

import (
	"crypto/sha1"
	"encoding/hex"
	"strconv"

	"github.com/redtick/redtick/redlock/driver"
)

// Script is one Lua script and the digest by which EVALSHA names it.
type Script struct {
	text   string
	digest string
	bit    scripts
}

// scripts is a set of scripts, one bit each.
type scripts uint32

var nextBit scripts = 1

// NewScript returns a script. It is for package-level variables: it panics when
// there are more than 32, and is not safe for concurrent use.
func NewScript(text string) *Script {
	sum := sha1.Sum([]byte(text))
	s := &Script{text: text, digest: hex.EncodeToString(sum[:]), bit: nextBit}
	if nextBit <<= 1; s.bit == 0 {
		panic("pipeline: more than 32 scripts")
	}
	return s
}

// Text returns the script's source.
func (s *Script) Text() string { return s.text }

// Command returns an EVALSHA of the script. The pipeline sends the text instead
// the first time, and again when the node answers NOSCRIPT.
func (s *Script) Command(keys []string, args ...string) driver.Command {
	c := make(driver.Command, 0, 3+len(keys)+len(args))
	c = append(c, "EVALSHA", s.digest, strconv.Itoa(len(keys)))
	for _, k := range keys {
		c = append(c, k)
	}
	for _, a := range args {
		c = append(c, a)
	}
	return c
}

// inFull returns the same command with the script's text in place of its digest.
func (s *Script) inFull(c driver.Command) driver.Command {
	return append(driver.Command{"EVAL", s.text}, c[2:]...)
}

// of returns an EVALSHA of the script in place of a plain command, whose first argument becomes the key.
func (s *Script) of(c driver.Command) driver.Command {
	return append(driver.Command{"EVALSHA", s.digest, "1"}, c[1:]...)
}
