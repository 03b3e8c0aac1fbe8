package demo

import (
	"fmt"
	"io"
	"os"
	"strings"
)

// colour is the parameter of the ANSI sequence that selects it.
type colour string

const (
	dim    colour = "2"
	bold   colour = "1"
	green  colour = "1;32"
	red    colour = "1;31"
	yellow colour = "33"
)

// view writes lines that stay and, on a terminal, a block below them that is redrawn.
type view struct {
	out    io.Writer
	live   bool
	colour bool
	block  []string
	drawn  int // lines of the block that are on the screen
}

// newView returns a view on out. It respects NO_COLOR and TERM=dumb.
func newView(out *os.File) *view {
	info, err := out.Stat()
	live := err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "dumb"
	return &view{out: out, live: live, colour: live && os.Getenv("NO_COLOR") == ""}
}

// print adds lines that stay.
func (v *view) print(lines ...string) { v.write(lines) }

// draw replaces the block.
func (v *view) draw(block ...string) {
	if v.live {
		v.block = block
		v.write(nil)
	}
}

// write makes one call to out, so that a terminal never shows half of it.
func (v *view) write(stay []string) {
	var b strings.Builder
	if v.drawn > 0 {
		fmt.Fprintf(&b, "\r\x1b[%dA\x1b[J", v.drawn)
	}
	for _, line := range stay {
		b.WriteString(line + "\n")
	}
	if len(v.block) > 0 {
		// No wrapping: a wrapped line would be two lines to go up.
		b.WriteString("\x1b[?7l")
		for _, line := range v.block {
			b.WriteString(line + "\n")
		}
		b.WriteString("\x1b[?7h")
	}
	v.drawn = len(v.block)
	_, _ = io.WriteString(v.out, b.String())
}

func (v *view) paint(c colour, text string) string {
	if !v.colour {
		return text
	}
	return "\x1b[" + string(c) + "m" + text + "\x1b[0m"
}
