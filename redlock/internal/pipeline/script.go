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
}

// NewScript returns a script.
func NewScript(text string) *Script {
	sum := sha1.Sum([]byte(text))
	return &Script{text: text, digest: hex.EncodeToString(sum[:])}
}

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
