package browsertest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/dashboard"
	"github.com/redtick/redtick/redlock/inspect"
	"github.com/redtick/redtick/redlock/internal/protocol"
)

// scene is a fleet's state on the nodes, written directly instead of in hours of runs.
type scene struct {
	name string
	jobs int
	set  func(s *stage)
	// awaited is the text that the page must show.
	awaited string
}

var scenes = []scene{
	{"healthy-5", 5, func(s *stage) { s.fill(5, nil) }, `/All is well/.test(headline)`},
	{"healthy-500", 500, func(s *stage) { s.fill(500, nil) }, `/All is well/.test(headline) && /500 jobs/.test(cause)`},
	{"failing-5", 5, func(s *stage) { s.fill(5, func(i int, h *history) { h.failing = i == 2 }) }, `/^1 job fails$/.test(headline)`},
	{"trouble-500", 500, func(s *stage) { s.fill(500, trouble); s.pause() }, `/jobs fail, 2 overdue, 1 paused/.test(headline)`},
	{"overdue-5", 5, func(s *stage) { s.fill(5, func(i int, h *history) { h.skipped = i == 3 }) }, `/^1 job is overdue$/.test(headline)`},
	{"dead-500", 500, func(s *stage) { s.fill(500, func(_ int, h *history) { h.standing = true }) }, `/No run has begun/.test(headline)`},
	{"hung-5", 5, func(s *stage) { s.fill(5, nil) }, `/All is well/.test(headline)`},
}

func trouble(i int, h *history) {
	h.failing, h.skipped, h.vanished = i%120 == 7, i == 130 || i == 311, i == 42
}

const said = `((headline, cause) => %s)(document.querySelector("#headline").textContent, document.querySelector("#cause").textContent)`

// history is the history of a job to write to the nodes.
type history struct {
	name, schedule    string
	every, took       time.Duration
	failing, vanished bool
	standing          bool // for five minutes
	skipped           bool // its last two ticks
}

var templates = []history{
	{name: "billing/invoices", schedule: "*/5 * * * *", every: 5 * time.Minute, took: 42 * time.Second},
	{name: "billing/dunning", schedule: "0 9 * * * Europe/Berlin", every: 24 * time.Hour, took: 4 * time.Minute},
	{name: "search/reindex", schedule: "0 * * * *", every: time.Hour, took: 11 * time.Minute},
	{name: "mail/digest", schedule: "*/15 * * * *", every: 15 * time.Minute, took: 3200 * time.Millisecond},
	{name: "sessions/cleanup", schedule: "every 5m0s", every: 5 * time.Minute, took: 180 * time.Millisecond},
	{name: "exports/partner-feed", schedule: "30 2 * * *", every: 24 * time.Hour, took: 27 * time.Minute},
	{name: "metrics/rollup", schedule: "*/5 * * * *", every: 5 * time.Minute, took: 900 * time.Millisecond},
	{name: "cache/warm", schedule: "*/10 * * * *", every: 10 * time.Minute, took: 8 * time.Second},
}

// fill makes n jobs. change may alter some of them.
func (s *stage) fill(n int, change func(i int, h *history)) {
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range n {
		h := templates[i%len(templates)]
		if i >= len(templates) {
			h.name += "-" + strconv.Itoa(i/len(templates))
		}
		h.took = time.Duration(float64(h.took) * (0.5 + rng.Float64()))
		if change != nil {
			change(i, &h)
		}
		s.remember(h, rng)
	}
}

// remember writes the keys that runs of the last ticks would have left.
func (s *stage) remember(h history, rng *rand.Rand) {
	keys := protocol.KeysOf(h.name)
	// No job becomes due during a test.
	last := time.Now().Truncate(time.Minute).Add(-(h.every / 3).Truncate(time.Minute))
	switch {
	case h.standing:
		last = last.Add(-6 * time.Minute)
	case h.skipped:
		last = last.Add(-2 * h.every)
	}
	for k := range 20 {
		tick := last.Add(-time.Duration(k) * h.every)
		took := time.Duration(float64(h.took) * (0.6 + 0.8*rng.Float64()*rng.Float64()))
		late := time.Duration(5+rng.IntN(120)) * time.Millisecond
		random, _ := protocol.Random()
		r := protocol.Record{
			Token: protocol.Token(fmt.Sprintf("api-%d:%d", 1+rng.IntN(3), 4000+rng.IntN(3)), random, tick.UnixMilli()),
			Began: tick.Add(late).UnixMilli(), Took: took, Next: tick.Add(h.every).UnixMilli(), Result: "ok", Schedule: h.schedule,
		}
		switch {
		case h.failing && k < 3, k == 11 && rng.IntN(9) == 0:
			r.Result, r.Error, r.Took = "failed", "dial tcp 10.0.4.17:5432: connect: connection refused", took/7
		case h.vanished && k == 0:
			r.Result, r.Took = "", 0
		case tick.Add(late + took).After(time.Now()):
			r.Result = "running" // the page shows it as one that vanished unless it is held
		}
		s.write(keys, r, k == 0)
	}
}

func (s *stage) write(keys protocol.Keys, r protocol.Record, newest bool) {
	if r.Result == "running" {
		r.Result, r.Took = "ok", time.Since(time.UnixMilli(r.Began))/2
	}
	s.command("ZADD", keys.Runs, strconv.FormatInt(r.Tick(), 10), r.Encode())
	if newest {
		s.command("SET", keys.Last, strconv.FormatInt(r.Tick(), 10))
	}
}

// pause pauses a job, and lets one run.
func (s *stage) pause() {
	s.Helper()
	if err := s.inspector().Pause(s.Context(), "mail/digest-3", inspect.Pause{By: "anna@ops", Why: "mail provider migrates", For: 2 * time.Hour}); err != nil {
		s.Fatal(err)
	}
	if _, err := s.job("api-2:4001", "search/reindex-1").Claim(s.Context(), time.Now()); err != nil {
		s.Fatal(err)
	}
	s.lock("api-1:4000", "scheduler/leader")
}

// job returns an hourly job.
func (s *stage) job(holder, name string) *redlock.Job {
	s.Helper()
	job, err := s.locker(holder).NewJob(name, redlock.WithSchedule("0 * * * *", func(t time.Time) time.Time { return t.Add(time.Hour) }))
	if err != nil {
		s.Fatal(err)
	}
	return job
}

// TestScenes checks each scene in each view: nothing is wider than the window, all text is legible, and the page says what is
// wrong. With REDTICK_SHOTS=directory it saves screenshots.
func TestScenes(t *testing.T) {
	ctx := openBrowser(t)
	for _, sc := range scenes {
		t.Run(sc.name, func(t *testing.T) {
			s := newStage(t, dashboard.WithControl(nil))
			sc.set(s)
			for _, v := range sceneViews {
				do(t, ctx, v.use(), chromedp.Navigate(s.url))
				await(t, ctx, fmt.Sprintf(said, sc.awaited))
				if sc.name == "hung-5" {
					s.servers[0].Freeze()
					s.servers[1].Freeze()
					await(t, ctx, fmt.Sprintf(said, `/No majority/.test(headline) && /1 of 3 answer/.test(cause)`))
				}
				await(t, ctx, fmt.Sprintf(`document.querySelectorAll('#rows [data-name]').length >= %d`, sc.jobs))
				checkView(t, ctx, v)
				shoot(t, ctx, v.name+"-"+sc.name)
				if sc.jobs == 500 && v.name == "1280-light" {
					t.Log(evaluate[string](t, ctx, `JSON.stringify({...redtick.find((m) => m.changed.length > 400), changed: 0})`))
				}
				s.servers[0].Thaw()
				s.servers[1].Thaw()
			}
		})
	}
}

var sceneViews = []view{
	{"1280-light", 1280, 800, "light"}, {"1280-dark", 1280, 800, "dark"}, {"390-light", 390, 844, "light"}, {"390-dark", 390, 844, "dark"}, {"1920-light", 1920, 1080, "light"},
}

// TestScenes_a_job checks the view of one job.
func TestScenes_a_job(t *testing.T) {
	ctx, s := openBrowser(t), newStage(t, dashboard.WithControl(nil))
	s.fill(5, func(i int, h *history) { h.failing = i == 2 })
	for _, v := range sceneViews {
		do(t, ctx, v.use(), chromedp.Navigate(s.url+"/#/job/search%2Freindex"), chromedp.Reload())
		await(t, ctx, `document.querySelectorAll("table.history tbody tr").length === 20 && document.querySelectorAll("table.votes tbody tr").length === 3`)
		checkView(t, ctx, v)
		shoot(t, ctx, v.name+"-job")
	}
	if _, err := s.job("api-2:4001", "mail/digest").Claim(s.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}
	do(t, ctx, chromedp.Navigate(s.url+"/#/job/mail%2Fdigest"))
	await(t, ctx, `/^running for \d+ s on api-2:4001; the run before: it returned without an error$/.test(document.querySelector("#job .story").textContent)`)
	await(t, ctx, `/Held by\s+api-2:4001 on 3 of 3 nodes/.test(document.querySelector("#job .facts").innerText)`)
}

func checkView(t *testing.T, ctx context.Context, v view) {
	t.Helper()
	sizes := evaluate[[]float64](t, ctx, `[document.documentElement.scrollWidth, window.innerWidth]`)
	if sizes[0] > float64(v.width) || sizes[1] != float64(v.width) {
		t.Errorf("%s: the page is %v wide in a window of %v", v.name, sizes[0], sizes[1])
	}
	checkContrast(t, ctx, v)
}

// shoot saves a screenshot in the directory REDTICK_SHOTS.
func shoot(t *testing.T, ctx context.Context, name string) {
	t.Helper()
	dir := os.Getenv("REDTICK_SHOTS")
	if dir == "" {
		return
	}
	png := run(t, ctx, chromedp.CaptureScreenshot())
	if err := os.WriteFile(filepath.Join(dir, filepath.Base(name)+".png"), png, 0o644); err != nil {
		t.Error(err)
	}
}
