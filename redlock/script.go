package redlock

import (
	"crypto/sha1"
	_ "embed"
	"encoding/hex"

	"github.com/redtick/redtick/redlock/driver"
)

// script is one Lua script and the digest EVALSHA names it by.
type script struct {
	text   string
	digest string
	bit    scriptSet
}

// scriptSet is a set of scripts.
type scriptSet uint16

func (s scriptSet) has(one *script) bool { return s&one.bit != 0 }
func (s *scriptSet) add(one *script)     { *s |= one.bit }

var nextBit scriptSet = 1

func newScript(text string) *script {
	sum := sha1.Sum([]byte(text))
	s := &script{text: text, digest: hex.EncodeToString(sum[:]), bit: nextBit}
	nextBit <<= 1
	return s
}

// command names the script by its digest. A node's mailbox sends the text in
// its place the first time, and when the node answers that it does not know it.
func (s *script) command(keys []string, args ...string) driver.Command {
	c := make(driver.Command, 0, 3+len(keys)+len(args))
	c = append(c, "EVALSHA", s.digest, decimal(int64(len(keys))))
	for _, k := range keys {
		c = append(c, k)
	}
	for _, a := range args {
		c = append(c, a)
	}
	return c
}

// inFull is the same command with the script's text in place of its digest.
func (s *script) inFull(c driver.Command) driver.Command {
	full := append(driver.Command{"EVAL", s.text}, c[2:]...)
	return full
}

//go:embed lua/guard.lua
var guardText string

//go:embed lua/acquire.lua
var acquireText string

//go:embed lua/claim.lua
var claimText string

//go:embed lua/mark.lua
var markText string

//go:embed lua/confirm.lua
var confirmText string

//go:embed lua/finish.lua
var finishText string

//go:embed lua/abort.lua
var abortText string

//go:embed lua/release.lua
var releaseText string

//go:embed lua/extend.lua
var extendText string

//go:embed lua/raise.lua
var raiseText string

//go:embed lua/enlist.lua
var enlistText string

//go:embed lua/inspect.lua
var inspectText string

//go:embed lua/bootstrap.lua
var bootstrapText string

var (
	acquireScript = newScript(guardText + acquireText)
	claimScript   = newScript(guardText + claimText)
	confirmScript = newScript(markText + confirmText)
	finishScript  = newScript(markText + finishText)
	abortScript   = newScript(abortText)
	releaseScript = newScript(releaseText)
	extendScript  = newScript(guardText + extendText)
	raiseScript   = newScript(raiseText)
	enlistScript  = newScript(enlistText)
	inspectScript = newScript(inspectText)

	bootstrapScript = newScript(guardText + bootstrapText)
)
