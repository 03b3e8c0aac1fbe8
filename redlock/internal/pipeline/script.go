package pipeline

import (
	"crypto/sha1"
	"encoding/hex"

	"github.com/redtick/redtick/redlock/driver"
)

// Script is one Lua script and the digest by which EVALSHA names it.
type Script struct {
	text   string
	digest any // a string
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

// counts are the numbers of keys that a script may have.
var counts = [...]any{"0", "1", "2", "3", "4", "5", "6", "7"}

// Command returns an EVALSHA of the script. The pipeline sends the text instead
// the first time, and again when the node answers NOSCRIPT. All keys and args are
// strings: one that is an any already is not allocated again.
func (s *Script) Command(keys []any, args ...any) driver.Command {
	c := append(make(driver.Command, 0, 3+len(keys)+len(args)), "EVALSHA", s.digest, counts[len(keys)])
	return append(append(c, keys...), args...)
}

// inFull returns the same command with the script's text in place of its digest.
func (s *Script) inFull(c driver.Command) driver.Command {
	return append(driver.Command{"EVAL", s.text}, c[2:]...)
}

// of returns an EVALSHA of the script in place of a plain command, whose first argument becomes the key.
func (s *Script) of(c driver.Command) driver.Command {
	return append(driver.Command{"EVALSHA", s.digest, "1"}, c[1:]...)
}
