package protocol_test

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redtick/redtick/redlock/driver"
	"github.com/redtick/redtick/redlock/internal/protocol"
	"github.com/redtick/redtick/redlock/internal/quorum"
	"github.com/redtick/redtick/redlock/redlocktest"
)

// scripts are the parts of each script, in order, as docs/protocol.md lists them.
var scripts = []string{"lock", "guard+fence+acquire", "guard+fence+claim", "mark+note+confirm", "mark+note+wake+finish", "abort", "wake+release",
	"guard+extend", "stand", "guard+fence+swap", "look", "enqueue", "guard+bootstrap"}

func text(t *testing.T, parts string) (text string) {
	for part := range strings.SplitSeq(parts, "+") {
		file, err := os.ReadFile(filepath.Join("lua", part+".lua"))
		if err != nil {
			t.Fatal(err)
		}
		text += string(file)
	}
	return text
}

func doc(t *testing.T) string {
	file, err := os.ReadFile("../../../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(file)
}

// vectors are the document's commands and answers.
func vectors(t *testing.T) (commands, answers []string) {
	_, block, _ := strings.Cut(doc(t), "```vectors\n")
	block, _, _ = strings.Cut(block, "```")
	for line := range strings.Lines(block) {
		if command, ok := strings.CutPrefix(strings.TrimSpace(line), "> "); ok {
			commands = append(commands, command)
		} else if answer, ok := strings.CutPrefix(strings.TrimSpace(line), "< "); ok {
			answers = append(answers, answer)
		}
	}
	if len(commands) == 0 || len(commands) != len(answers) {
		t.Fatalf("%d commands and %d answers", len(commands), len(answers))
	}
	return commands, answers
}

// tokens are what the letters in the vectors stand for.
var tokens = map[string]string{
	"$a": "host-1:1/AAAAAAAAAAAAAAAAAAAAAA", "$b": "host-2:2/BBBBBBBBBBBBBBBBBBBBBB",
	"$c": "host-1:1/CCCCCCCCCCCCCCCCCCCCCC@1767225600000", "$d": "host-2:2/DDDDDDDDDDDDDDDDDDDDDD@1767225600000",
	"$e": "host-2:2/EEEEEEEEEEEEEEEEEEEEEE@1767225660000",
}

const tick, next = 1767225600000, 1767225660000

// spell writes a command as the document does.
func spell(t *testing.T, c driver.Command) string {
	if c[0] == "EVALSHA" {
		i := slices.IndexFunc(scripts, func(parts string) bool {
			sum := sha1.Sum([]byte(text(t, parts)))
			return hex.EncodeToString(sum[:]) == c[1]
		})
		if i < 0 {
			t.Fatalf("docs/protocol.md, and the list here, do not know the script of %v", c)
		}
		c = append(driver.Command{"EVAL", scripts[i]}, c[2:]...)
	}
	return spellWords([]any(c))
}

func spellWords(words []any) string {
	var all []string
	for _, w := range words {
		s := fmt.Sprint(w)
		for letter, token := range tokens {
			s = strings.ReplaceAll(s, token, letter)
		}
		if s == "" || strings.Contains(s, " ") {
			s = "'" + s + "'"
		}
		all = append(all, s)
	}
	return strings.Join(all, " ")
}

func spellReply(r driver.Reply) string {
	if r.Err != nil {
		return "error " + r.Err.Error()
	}
	if fields, isArray := r.Value.([]any); isArray {
		return "[" + spellWords(fields) + "]"
	}
	if r.Value == nil {
		return "null"
	}
	return spellWords([]any{r.Value})
}

// Every vector is what the code sends, in that order, and what a server
// answers. Seen to fail with two arguments of claim.lua swapped in the document.
func TestDoc_vectors(t *testing.T) {
	settings := protocol.Settings{TTL: 30 * time.Second, Retention: 15 * time.Minute, MaxSkew: 5 * time.Minute, Mode: protocol.InOrder}
	n := protocol.NewParameters(settings).Name("report")
	settings.History = 100
	noted := protocol.NewParameters(settings).Name("report")
	run := protocol.Record{Token: tokens["$c"], Began: tick + 3, Next: next, Schedule: "* * * * *"}
	over := run
	over.Took, over.Result = 1500*time.Millisecond, "ok"
	confirm := n.Confirm(&run, "")
	note := noted.Confirm(&run, "")
	a, b, c, d, e := tokens["$a"], tokens["$b"], tokens["$c"], tokens["$d"], tokens["$e"]
	sent := []quorum.Request{
		n.Acquire(a), n.Acquire(b), n.Extend(a), n.Enqueue("host-2", ""), n.Release(a, true), n.Release(a, true),
		n.Claim(tick, c, ""), n.Claim(tick, d, ""), n.Claim(next, e, ""), confirm, n.Claim(tick, d, ""), note, n.Finish(&over, "", true, false), noted.Finish(&over, "", true, true),
		n.Claim(next, e, ""), n.Abort(e, next), n.Claim(next, e, ""),
	}
	commands, answers := vectors(t)
	synctest.Test(t, func(t *testing.T) {
		server := redlocktest.NewServer()
		server.SetClock(time.Until(time.UnixMilli(tick)), 1)
		node := redlocktest.Nodes([]*redlocktest.Server{server}, "doc")[0]
		for i, r := range sent {
			command := spell(t, r.Command)
			if r.Command[0] == "EVALSHA" {
				r.Command = append(driver.Command{"EVAL", text(t, strings.Fields(command)[1])}, r.Command[2:]...)
			}
			answer := spellReply(node.Do(context.Background(), []driver.Command{r.Command})[0])
			if i >= len(commands) || commands[i] != command || answers[i] != answer {
				t.Errorf("vector %d is, in the code:\n> %s\n< %s", i+1, command, answer)
			}
		}
		if len(commands) > len(sent) {
			t.Errorf("vectors that the code does not send: %q", commands[len(sent):])
		}
	})
}

// The document has each key and each script, with the number of its keys and
// arguments as they are in the file.
func TestDoc_scripts(t *testing.T) {
	doc := doc(t)
	files, err := filepath.Glob("lua/*.lua")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		name := strings.TrimSuffix(filepath.Base(f), ".lua")
		if !regexp.MustCompile("`([a-z]+\\+)*" + name + "(\\+[a-z]+)*`").MatchString(doc) {
			t.Errorf("docs/protocol.md does not say what %s is", f)
		}
	}
	for _, parts := range scripts {
		if !strings.Contains(doc, "`"+parts+"`") {
			t.Errorf("docs/protocol.md lacks the script %s", parts)
		}
	}
	keys := protocol.KeysOf("report")
	for _, key := range []string{keys.Last, keys.Fence, keys.Waiters, keys.Runs, keys.Tick(tick), protocol.GuardKey, protocol.WakeChannel("")} {
		if !strings.Contains(doc, key) {
			t.Errorf("docs/protocol.md lacks the key %s", key)
		}
	}
}

// The slot of a name that has braces.
func TestDoc_companions(t *testing.T) {
	for name, want := range map[string]string{"report": "report:redtick:{report}:", "{eu}:report": "{eu}:report:redtick:"} {
		if got := protocol.Companion(name); got != want || !strings.Contains(doc(t), "`"+name+"` | `"+want) {
			t.Errorf("%s: companions begin with %s, and the document says otherwise", name, got)
		}
	}
}
