//go:build unix

package browsertest

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/redis/go-redis/v9"

	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/goredis"
	"github.com/redtick/redtick/redlock/inspect"
	"github.com/redtick/redtick/redlock/redlocktest/redisserver"
)

// The figures of a page of 500 jobs of 20 runs, on three real servers, for the documentation:
//
//	REDTICK_MEASURE=1 go test -run TestMeasure -v .

// TestMeasure_cost adds 1,000,000 foreign keys to each node.
func TestMeasure_cost(t *testing.T) {
	m := newMeasurement(t, 1_000_000)
	first := m.look()
	t.Logf("the jobs show after %v", first.after(func(rows int, _ string) bool { return rows >= 500 }))
	t.Logf("a lock shows after %v", first.after(func(_ int, text string) bool { return strings.Contains(text, `"scheduler/leader"`) }))
	m.cost("1 viewer")
	for range 49 {
		m.look()
	}
	m.cost("50 viewers")
	t.Logf("a viewer gets %d bytes at first, %.0f a second while nothing changes", m.look().first(), first.idle())
	t.Logf("the row of a job that has changed has %d bytes", m.changed())
}

// changed returns the size in bytes of the message that a run has begun.
func (m *measurement) changed() int {
	m.Helper()
	v := m.look()
	v.after(func(rows int, _ string) bool { return rows >= 500 })
	job, err := m.locker.NewJob("mail/digest-3")
	if err != nil {
		m.Fatal(err)
	}
	lease, err := job.Claim(m.Context(), time.Now())
	if err != nil {
		m.Fatal(err)
	}
	defer lease.Unlock(m.Context())
	size := 0
	v.after(func(_ int, text string) bool { size = len(text); return strings.Contains(text, "mail/digest-3") })
	return size
}

// TestMeasure_render measures from the message with the rows until they are painted.
func TestMeasure_render(t *testing.T) {
	m := newMeasurement(t, 0)
	m.look().after(func(rows int, _ string) bool { return rows >= 500 })
	m.render(openBrowser(t))
}

type measurement struct {
	*testing.T
	clients []*redis.Client
	locker  *redlock.Locker
	url     string
}

func newMeasurement(t *testing.T, foreignKeys int) *measurement {
	t.Helper()
	if os.Getenv("REDTICK_MEASURE") == "" {
		t.Skip("REDTICK_MEASURE is not set")
	}
	m := &measurement{T: t}
	for range 3 {
		server := redisserver.Start(t, "--enable-debug-command", "yes")
		client := redis.NewClient(&redis.Options{Addr: server.Addr()})
		t.Cleanup(func() { _ = client.Close() })
		m.clients = append(m.clients, client)
		m.do(client, "DEBUG", "POPULATE", foreignKeys, "foreign")
	}
	nodes := goredis.Nodes(m.clients[0], m.clients[1], m.clients[2])
	(&stage{T: t, command: func(args ...string) {
		for _, client := range m.clients {
			m.do(client, anyOf(args)...)
		}
	}}).fill(500, nil)
	locker, err := redlock.New(nodes)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = locker.Close(t.Context()) })
	m.locker = locker
	leader, err := locker.NewMutex("scheduler/leader")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := leader.TryLock(t.Context()); err != nil {
		t.Fatal(err)
	}
	inspector, err := inspect.New(nodes)
	if err != nil {
		t.Fatal(err)
	}
	m.url = serve(t, inspector).URL
	return m
}

func anyOf(args []string) (all []any) {
	for _, a := range args {
		all = append(all, a)
	}
	return all
}

func (m *measurement) do(client *redis.Client, args ...any) {
	m.Helper()
	if err := client.Do(m.Context(), args...).Err(); err != nil {
		m.Fatal(err)
	}
}

// viewer reads the stream as a browser does.
type viewer struct {
	*testing.T
	begin    time.Time
	messages chan string
	begun    int // bytes of the first message
	bytes    atomic.Int64
	since    time.Time
}

func (m *measurement) look() *viewer {
	m.Helper()
	v := &viewer{T: m.T, begin: time.Now(), messages: make(chan string, 1000)}
	response, err := http.Get(m.url + "/events")
	if err != nil {
		m.Fatal(err)
	}
	m.Cleanup(func() { _ = response.Body.Close() })
	go func() {
		lines := bufio.NewScanner(response.Body)
		lines.Buffer(nil, 1<<24)
		for lines.Scan() {
			v.bytes.Add(int64(len(lines.Bytes()) + 1))
			if text, found := strings.CutPrefix(lines.Text(), "data: "); found {
				select {
				case v.messages <- text:
				default:
				}
			}
		}
	}()
	return v
}

// after waits until the messages so far are enough.
func (v *viewer) after(enough func(rows int, text string) bool) time.Duration {
	v.Helper()
	rows := 0
	for deadline := time.After(5 * time.Minute); ; {
		select {
		case text := <-v.messages:
			var message struct{ Rows []json.RawMessage }
			if err := json.Unmarshal([]byte(text), &message); err != nil {
				v.Fatal(err)
			}
			if rows += len(message.Rows); enough(rows, text) {
				v.bytes.Store(0)
				v.since = time.Now()
				return time.Since(v.begin).Round(100 * time.Millisecond)
			}
		case <-deadline:
			v.Fatal("not within five minutes")
		}
	}
}

func (v *viewer) first() int { return len(<-v.messages) }

func (v *viewer) idle() float64 { return float64(v.bytes.Load()) / time.Since(v.since).Seconds() }

// cost prints the load on the nodes in a minute, which includes a part of the scans.
func (m *measurement) cost(who string) {
	m.Helper()
	const span = time.Minute
	commands, cpu := m.used()
	time.Sleep(span)
	commandsAfter, cpuAfter := m.used()
	n := float64(len(m.clients)) * span.Seconds()
	m.Logf("%s: %.0f commands a second on each node, %.1f %% of a core", who, (commandsAfter-commands)/n, 100*(cpuAfter-cpu)/n)
}

// used returns how many commands all nodes have executed, and their CPU time in seconds.
func (m *measurement) used() (commands, cpu float64) {
	m.Helper()
	for _, client := range m.clients {
		info, err := client.Info(m.Context()).Result()
		if err != nil {
			m.Fatal(err)
		}
		commands += field(info, "total_commands_processed")
		cpu += field(info, "used_cpu_user") + field(info, "used_cpu_sys")
	}
	return commands, cpu
}

func field(info, name string) float64 {
	_, rest, _ := strings.Cut(info, "\n"+name+":")
	text, _, _ := strings.Cut(rest, "\r")
	value, _ := strconv.ParseFloat(text, 64)
	return value
}

func (m *measurement) render(ctx context.Context) {
	m.Helper()
	type times struct{ Script, Painted float64 }
	var scripts, painted []float64
	for range 21 {
		do(m.T, ctx, views[0].use(), chromedp.Navigate("about:blank"), chromedp.Navigate(m.url))
		await(m.T, ctx, `(window.redtick || []).some((m) => m.changed.length >= 500 && m.painted)`)
		text := evaluate[string](m.T, ctx, `JSON.stringify(redtick.find((m) => m.changed.length >= 500))`)
		var one times
		if err := json.Unmarshal([]byte(text), &one); err != nil {
			m.Fatal(err)
		}
		scripts, painted = append(scripts, one.Script), append(painted, one.Painted)
	}
	m.Logf("500 rows: %s in the script, %s until they are painted", spread(scripts), spread(painted))
}

func spread(all []float64) string {
	slices.Sort(all)
	return fmt.Sprintf("%.0f ms (best %.0f, worst %.0f)", all[len(all)/2], all[0], all[len(all)-1])
}
