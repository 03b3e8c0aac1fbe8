package protocol

import (
	"embed"

	"github.com/redtick/redtick/redlock/internal/pipeline"
)

//go:embed lua/*.lua
var lua embed.FS

// script joins Lua files: first the functions that the script uses, then the script itself.
func script(names ...string) *pipeline.Script {
	text := ""
	for _, name := range names {
		part, err := lua.ReadFile("lua/" + name + ".lua")
		if err != nil {
			panic(err) // cannot happen: the names below are constants
		}
		text += string(part)
	}
	return pipeline.NewScript(text)
}

var (
	lockScript      = script("lock")
	acquireScript   = script("guard", "fence", "acquire")
	claimScript     = script("guard", "fence", "claim")
	confirmScript   = script("mark", "note", "confirm")
	finishScript    = script("mark", "note", "wake", "finish")
	abortScript     = script("abort")
	releaseScript   = script("wake", "release")
	extendScript    = script("guard", "extend")
	standScript     = script("stand")
	swapScript      = script("guard", "fence", "swap")
	lookScript      = script("look")
	enqueueScript   = script("enqueue")
	bootstrapScript = script("guard", "bootstrap")
)
