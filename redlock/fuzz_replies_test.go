package redlock_test

import (
	"errors"
	"math"
	"strings"
	"sync"
	"testing"

	"github.com/redtick/redtick/redlock/driver"
)

// FuzzReplies lets one node of three, then all of them, answer what the bytes say. The honest two decide as long as
// there are two; after that nothing may panic, take longer than agreed or stay behind.
// The tables of TestHostile say which replies are no votes; this looks for what nobody thought of.
func FuzzReplies(f *testing.F) {
	for _, seed := range []string{
		"", "\x00", "\x01\x05", "\x02\x00\x03\x07", "\x06\x03\x00\x01\x02", "\x05\x02\x02\x05\x02\x00", "\x03\x01\x03\x02\x03\x03\x03\x04",
		"\x05\x04\x02\x00\x01\x04\x01\x05\x00", "\x04\x09\x04\x0a\x04\x0b", "\xff\xfe\xfd\xfc\xfb\xfa", "\x07\x00\x07\x01\x07\x02", strings.Repeat("\x05", 64),
		strings.Repeat("\x05\x03\x02\x01", 20), "\x03\x0cTAKEN", "\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<10 {
			t.Skip("more bytes say nothing new")
		}
		inBubble(t, 3, func(t *testing.T, fl *fleet) {
			stream := &babble{data: data, modest: true}
			a, theirs := fl.turncoats("a")
			b, ours := fl.turncoats("b")
			theirs[0].turn(stream.lie)
			ours[0].turn(stream.lie)
			excludes(t, subjectOn(t, a, "job"), subjectOn(t, b, "job"))
			oncePerTick(t, subjectOn(t, a, "tick"), subjectOn(t, b, "tick"))
			closes(t, fl)
			besiege(t, fl, oddity{lie: (&babble{data: data}).lie, plausible: true}, nil)
		})
	})
}

// babble makes replies out of bytes, over and over.
type babble struct {
	mu     sync.Mutex
	data   []byte
	at     int
	modest bool // it does not say DONE, which one node is believed
}

func (s *babble) lie(commands []driver.Command) []driver.Reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(commands)
	switch s.next() % 16 {
	case 14:
		n++
	case 15:
		n /= 2
	}
	replies := make([]driver.Reply, n)
	for i := range replies {
		replies[i] = s.reply()
	}
	return replies
}

func (s *babble) next() int {
	if len(s.data) == 0 {
		return 0
	}
	s.at++
	return int(s.data[(s.at-1)%len(s.data)])
}

func (s *babble) reply() driver.Reply {
	if s.next()%4 == 0 {
		codes := []string{"NOSCRIPT x", "LOADING x", "READONLY x", "MOVED 1 a:1", "CLUSTERDOWN x", "OOM x", "WRONGTYPE x", "NOSCRIPT", "timeout", "", "ERR x", "BUSY x"}
		return driver.Reply{Err: errors.New(codes[s.next()%len(codes)])}
	}
	return driver.Reply{Value: s.value(4)}
}

func (s *babble) value(depth int) any {
	switch kind := s.next() % 8; {
	case kind == 0:
		return nil
	case kind == 1:
		return int64(s.next()) - 3
	case kind == 2:
		return []int64{math.MinInt64, math.MaxInt64, math.MaxInt64 / 1_000_000, 1 << 53}[s.next()%4]
	case kind == 3:
		return s.word()
	case kind == 4:
		return []any{3.5, true, []byte("x"), map[string]any{}, []string{"GRANTED"}}[s.next()%5]
	case depth == 0:
		return ""
	}
	list := make([]any, s.next()%6)
	for i := range list {
		list[i] = s.value(depth - 1)
		if i == 0 && s.next()%2 == 0 {
			list[0] = s.word()
		}
	}
	return list
}

func (s *babble) word() string {
	words := []string{"GRANTED", "TAKEN", "SEEN", "STALE", "AHEAD", "LOST", "DEAD", "YOUNG", "OK", "", "a/b@1", "a@9223372036854775807", "-1", "\x00\n", "DONE"}
	if s.modest {
		words = words[:len(words)-1]
	}
	return words[s.next()%len(words)]
}
