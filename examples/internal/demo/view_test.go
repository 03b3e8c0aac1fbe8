package demo_test

import (
	"strings"
	"testing"

	"github.com/redtick/redtick/examples/internal/demo"
)

// screen is as much of a terminal as the view uses.
type screen struct {
	lines []string
	row   int
}

func (s *screen) Write(p []byte) (int, error) {
	text := strings.NewReplacer("\x1b[?7l", "", "\x1b[?7h", "", "\r", "").Replace(string(p))
	for text != "" {
		if rest, ok := strings.CutPrefix(text, "\x1b["); ok {
			end := strings.IndexAny(rest, "AJ")
			if rest[end] == 'A' {
				s.row -= int(rest[0] - '0')
			} else {
				s.lines = s.lines[:s.row]
			}
			text = rest[end+1:]
			continue
		}
		line, rest, _ := strings.Cut(text, "\n")
		s.lines = append(s.lines[:s.row], line)
		s.row++
		text = rest
	}
	return len(p), nil
}

// Seen to fail when print does not erase the block, when it erases one line
// less, and when it does not draw the block again.
func TestView_lines_stay_above_the_block(t *testing.T) {
	s := &screen{}
	v := demo.NewView(s)
	for _, step := range []struct {
		name string
		do   func()
		want string
	}{
		{"first line", func() { v.Print("one") }, "one"},
		{"block", func() { v.Draw("x", "y") }, "one x y"},
		{"line while there is a block", func() { v.Print("two", "three") }, "one two three x y"},
		{"longer block", func() { v.Draw("x", "y", "z") }, "one two three x y z"},
		{"shorter block", func() { v.Draw("x") }, "one two three x"},
		{"no block", func() { v.Draw() }, "one two three"},
		{"last line", func() { v.Print("four") }, "one two three four"},
	} {
		step.do()
		if got := strings.Join(s.lines, " "); got != step.want {
			t.Fatalf("%s: the screen shows %q, want %q", step.name, got, step.want)
		}
	}
}
