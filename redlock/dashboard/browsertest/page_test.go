package browsertest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/dashboard"
	"github.com/redtick/redtick/redlock/inspect"
	"github.com/redtick/redtick/redlock/redlocktest"
)

// Mutations that were made and seen to fail here:
//   - element() with innerHTML for textContent, put() without visible: TestPage_names_are_text
//   - without the dark half of style.css, or with rows of a fixed width: TestPage_views, TestScenes
//   - rows that go, or are not marked, in an outage: TestPage_no_quorum
//   - update() that fills all rows, or list() that moves them: TestPage_only_what_changed
//   - rove() that leaves all rows in the order of the Tab key, no focusAgain: TestPage_keyboard
//   - obey() without waiting for the question: TestPage_orders
//   - claim() that does not wait for all nodes: TestPage_three_replicas, in most runs

const evil = `<img src=x onerror="window.ran=1">`

// stage is a page over in-memory nodes, with replicas at work.
type stage struct {
	*testing.T
	servers []*redlocktest.Server
	command func(args ...string) // on each node
	url     string
}

func newStage(t *testing.T, opts ...dashboard.Option) *stage {
	t.Helper()
	s := &stage{T: t, servers: redlocktest.Servers(3)}
	s.command = func(args ...string) {
		for _, server := range s.servers {
			server.Do(args...)
		}
	}
	s.url = serve(t, s.inspector(), append(opts, dashboard.WithInterval(200*time.Millisecond))...).URL
	return s
}

// serve serves a page until the test ends.
func serve(t *testing.T, inspector *inspect.Inspector, opts ...dashboard.Option) *httptest.Server {
	t.Helper()
	page, err := dashboard.New(inspector, opts...)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(page)
	t.Cleanup(server.Close)
	t.Cleanup(server.CloseClientConnections)
	return server
}

func (s *stage) inspector() *inspect.Inspector {
	s.Helper()
	i, err := inspect.New(redlocktest.Nodes(s.servers, "page"))
	if err != nil {
		s.Fatal(err)
	}
	return i
}

func (s *stage) locker(holder string) *redlock.Locker {
	s.Helper()
	l, err := redlock.New(redlocktest.Nodes(s.servers, holder), redlock.WithHolder(holder))
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { _ = l.Close(context.Background()) })
	return l
}

func (s *stage) mutex(holder, name string) *redlock.Mutex {
	s.Helper()
	m, err := s.locker(holder).NewMutex(name)
	if err != nil {
		s.Fatal(err)
	}
	return m
}

// claim runs a tick and waits until all nodes know it. Two of three suffice for the
// claim, but if one of these is frozen, a majority no longer knows who ran it.
func (s *stage) claim(holder, name string, tick time.Time) {
	s.Helper()
	m, err := s.locker(holder).NewJob(name)
	if err != nil {
		s.Fatal(err)
	}
	lease, err := m.Claim(s.Context(), tick)
	if err != nil {
		s.Fatal(err)
	}
	s.everywhere(m.Name(), lease.Token())
	if err := lease.Unlock(s.Context()); err != nil {
		s.Error(err)
	}
	s.everywhere(m.Name(), "")
}

// everywhere waits until each node holds the token for the name.
func (s *stage) everywhere(name, token string) {
	s.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for n, server := range s.servers {
		for held, _ := server.Get(name); held != token; held, _ = server.Get(name) {
			if time.Now().After(deadline) {
				s.Fatalf("after 10 s node %d holds %q for %q, want %q", n+1, held, name, token)
			}
			time.Sleep(time.Millisecond)
		}
	}
}

// run makes each holder run a tick of the name, in turn.
func (s *stage) run(name string, ticks int, holders ...string) {
	s.Helper()
	begin := time.Now().Add(-time.Minute)
	for i := range ticks {
		s.claim(holders[i%len(holders)], name, begin.Add(time.Duration(i)*100*time.Millisecond))
	}
}

func (s *stage) lock(holder, name string) *redlock.Lease {
	s.Helper()
	lease, err := s.mutex(holder, name).TryLock(s.Context())
	if err != nil {
		s.Fatal(err)
	}
	return lease
}

const settled = `document.querySelectorAll("#rows .row").length > 0`

const row = `((name) => document.querySelector('#rows [data-name="' + name + '"]'))`

func TestPage_three_replicas(t *testing.T) {
	ctx, s := openBrowser(t), newStage(t)
	s.run("job", 6, "replica-a", "replica-b", "replica-c")
	s.lock("replica-b", "leader")
	s.servers[2].Freeze()
	do(t, ctx, chromedp.Navigate(s.url))
	await(t, ctx, settled)
	for what, want := range map[string]string{
		"the strip":     row + `("job").querySelector(".strip").getAttribute("aria-label") === "6 runs: 6 ended"`,
		"who ran last":  row + `("job").querySelector(".holder").textContent === "replica-c"`,
		"the leader":    row + `("leader").querySelector(".holder.held").textContent === "replica-b" && ` + row + `("leader").innerText.includes("held")`,
		"a node out":    `document.querySelectorAll("#nodes .out").length === 1 && document.querySelector("#headline").textContent === "1 node is out"`,
		"a majority is": `/2 of 3 nodes answer; out: page.3. A majority answers/.test(document.querySelector("#cause").textContent)`,
	} {
		t.Log(what)
		await(t, ctx, want)
	}
	s.servers[2].Thaw()
	s.claim("replica-a", "job", time.Now())
	await(t, ctx, row+`("job").querySelector(".strip").getAttribute("aria-label") === "7 runs: 7 ended"`)
	await(t, ctx, `document.querySelectorAll("#nodes .out").length === 0 && document.querySelector("#headline").textContent === "All is well"`)
	do(t, ctx, chromedp.Navigate(s.url+"/#/job/leader"))
	await(t, ctx, `document.querySelectorAll("table.votes tbody tr").length === 3 && document.querySelectorAll("#job button").length === 0`)
}

// Less than a second is neither "in 0 s" nor "0 s ago".
//
// Seen to fail when it is.
func TestPage_now(t *testing.T) {
	ctx, s := openBrowser(t), newStage(t)
	do(t, ctx, chromedp.Navigate(s.url))
	evaluate[bool](t, ctx, `(import("./text.js").then((text) => { window.text = text; }), true)`)
	await(t, ctx, `window.text !== undefined`)
	const got = `[-1, 0, 999].map((ms) => text.ago(ms) + text.ahead(ms)).concat(text.ago(1000), text.ahead(61000)).join()`
	if got, want := evaluate[string](t, ctx, got), "nownow,nownow,nownow,1 s ago,in 1 m"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got, want := evaluate[string](t, ctx, `[0, 0.4, 1, 999].map(text.took).join()`), "< 1 ms,< 1 ms,1 ms,999 ms"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// In an outage the last known state stays, and is marked as old.
func TestPage_no_quorum(t *testing.T) {
	ctx, s := openBrowser(t), newStage(t)
	s.run("job", 3, "replica-a")
	do(t, ctx, chromedp.Navigate(s.url))
	await(t, ctx, settled+` && document.querySelector("#headline").textContent === "All is well"`)
	s.servers[0].Freeze()
	s.servers[1].Freeze()
	await(t, ctx, `/No majority of the nodes answers/.test(document.querySelector("#headline").textContent) && /out: page.1, page.2/.test(document.querySelector("#cause").textContent)`)
	await(t, ctx, `document.body.classList.contains("old") && /^old/.test(document.querySelector("#live").textContent) && `+row+`("job").textContent.includes("replica-a")`)
	s.servers[0].Thaw()
	s.servers[1].Thaw()
	await(t, ctx, `!document.body.classList.contains("old") && document.querySelector("#headline").textContent === "All is well"`)
}

// Long names, and many runs, in every view.
func TestPage_views(t *testing.T) {
	ctx, s := openBrowser(t), newStage(t, dashboard.WithControl(nil))
	long := strings.Repeat("a-long-name", 20)
	s.run("job", 45, "replica-a", "replica-b", long)
	s.lock("replica-a", long)
	grounds := map[string]string{}
	for _, v := range views {
		for _, view := range []string{"", "#/job/" + long} {
			do(t, ctx, v.use(), chromedp.Navigate(s.url+"/"+view), chromedp.Reload())
			await(t, ctx, settled)
			checkView(t, ctx, v)
		}
		grounds[v.scheme] = evaluate[string](t, ctx, `getComputedStyle(document.body).backgroundColor`)
	}
	if grounds["light"] == grounds["dark"] {
		t.Errorf("light and dark have one ground: %v", grounds)
	}
}

// checkContrast checks the contrast of text: WCAG requires 4.5, or 3 if it is bold or large.
func checkContrast(t *testing.T, ctx context.Context, v view) {
	t.Helper()
	const script = `(() => {
		const rgb = (c) => c.match(/[\d.]+/g).map(Number);
		const light = (c) => { // of a text in an SVG it is the fill that counts
			 const [r, g, b] = rgb(c).map((x) => (x /= 255) <= 0.03928 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
		const ground = (e) => { const c = getComputedStyle(e).backgroundColor; return rgb(c)[3] === 0 ? ground(e.parentElement) : c; };
		const bad = new Set();
		for (const e of document.querySelectorAll("h1 a, h2, h3, p, strong, span, button, a, dt, dd, th, td, label, .cell, text")) {
			if (!e.textContent || e.children.length > 0 || !e.checkVisibility() || e.closest(".hidden, .old, .skip, kbd")) continue;
			const a = light(e.namespaceURI.endsWith("svg") ? getComputedStyle(e).fill : getComputedStyle(e).color), b = light(ground(e));
			const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
			if (ratio < 4.5) bad.add((e.className || e.tagName) + " " + ratio.toFixed(2) + " " + e.textContent);
		}
		return [...bad].join(", ");
	})()`
	if bad := evaluate[string](t, ctx, script); bad != "" {
		t.Errorf("%s: too little contrast: %s", v.name, bad)
	}
}

func TestPage_names_are_text(t *testing.T) {
	ctx, s := openBrowser(t), newStage(t, dashboard.WithControl(nil))
	s.run("job"+evil, 3, "holder"+evil)
	s.lock("other"+evil, "lock"+evil)
	s.run("\u202egnp.boj", 1, "\x1b[31mreplica")
	do(t, ctx, chromedp.Navigate(s.url))
	await(t, ctx, settled)
	for _, name := range []string{"job", "holder", "lock", "other"} {
		await(t, ctx, fmt.Sprintf(`document.querySelector("#rows").textContent.includes(%q)`, name+evil))
	}
	const images = `[...document.images].filter((i) => !i.src.endsWith("/icon.svg")).length`
	do(t, ctx, chromedp.Navigate(s.url+"/#/job/"+url.PathEscape("lock"+evil)))
	await(t, ctx, fmt.Sprintf(`document.querySelector("#job h2").textContent === %q && document.querySelector("#job .votes").innerText.includes(%q)`, "lock"+evil, "other"+evil))
	await(t, ctx, row+`("\u202egnp.boj").textContent.includes("\\u202egnp.boj") && !/[\u202e\x1b]/.test(document.body.textContent)`)
	if n := evaluate[int](t, ctx, images+` + (window.ran || 0)`); n != 0 {
		t.Error("a name has become markup")
	}
	// Even if it had, the content security policy would not run a script in a name.
	await(t, ctx, `document.body.insertAdjacentHTML("beforeend", '<img id="planted" src=x>'+`+"`"+evil+"`"+`), `+images+` === 2`)
	time.Sleep(300 * time.Millisecond)
	if evaluate[int](t, ctx, `window.ran || 0`) != 0 {
		t.Error("the policy lets markup run scripts")
	}
}

const click = `((title) => [...document.querySelectorAll("#job button")].find((b) => b.textContent === title).click())`

func TestPage_orders(t *testing.T) {
	ctx, s := openBrowser(t), newStage(t, dashboard.WithControl(func(*http.Request) string { return "anna" }))
	s.run("job", 1, "replica-a")
	do(t, ctx, chromedp.Navigate(s.url+"/#/job/job"))
	await(t, ctx, `document.querySelectorAll("#job button").length === 3`)
	evaluate[bool](t, ctx, click+`("Pause…"), document.activeElement.value = "migration", true`)
	if text := evaluate[string](t, ctx, `document.querySelector("#ask").innerText`); !strings.Contains(text, "Pause job?") || !strings.Contains(text, "goes on") {
		t.Errorf("the question: %s", text)
	}
	evaluate[bool](t, ctx, `document.querySelector("#ask-no").click(), true`)
	time.Sleep(500 * time.Millisecond)
	if info, err := s.inspector().Show(t.Context(), "job"); err != nil || info.Paused != nil {
		t.Errorf("cancelled, and yet: %v %+v", err, info.Paused)
	}
	evaluate[bool](t, ctx, click+`("Pause…"), document.querySelector("#ask-why").value = "migration", document.querySelector("#ask-yes").click(), true`)
	await(t, ctx, `document.querySelector("#job .pill").textContent === "paused" && /^paused by anna until .*: migration$/.test(document.querySelector("#job .story").textContent)`)
	evaluate[bool](t, ctx, click+`("Resume"), document.querySelector("#ask-yes").click(), true`)
	await(t, ctx, `document.querySelector("#job .pill").textContent === "ended"`)
	evaluate[bool](t, ctx, click+`("Forget…"), document.querySelector("#ask-yes").click(), true`)
	await(t, ctx, `/Nothing is known/.test(document.querySelector("#job .story").textContent)`)
}

// If nobody listens for a trigger, the dialog stays open with the reason. Otherwise the page shows the run.
//
// Seen to fail without the button, and when the order does nothing.
func TestPage_trigger(t *testing.T) {
	ctx, s := openBrowser(t), newStage(t, dashboard.WithControl(nil))
	s.run("job", 1, "replica-a")
	do(t, ctx, chromedp.Navigate(s.url+"/#/job/job"))
	await(t, ctx, `document.querySelectorAll("#job button").length === 3`)
	evaluate[bool](t, ctx, click+`("Run now…"), document.querySelector("#ask-yes").click(), true`)
	await(t, ctx, `/nobody listens/.test(document.querySelector("#ask-error").innerText)`)
	evaluate[bool](t, ctx, `document.querySelector("#ask-no").click(), true`)
	job := s.job("replica-b", "job")
	stop, err := job.OnTrigger(func(tick time.Time) {
		go func() {
			_ = job.Triggered().Run(context.Background(), tick, func(context.Context) error { return errors.New("by hand") })
		}()
	})
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	for range 20 { // until it listens
		evaluate[bool](t, ctx, click+`("Run now…"), document.querySelector("#ask-yes").click(), true`)
		await(t, ctx, `!document.querySelector("#ask").open || !document.querySelector("#ask-error").hidden`)
		if evaluate[bool](t, ctx, `!document.querySelector("#ask").open`) {
			break
		}
		evaluate[bool](t, ctx, `document.querySelector("#ask-no").click(), true`)
	}
	await(t, ctx, `/replica-b/.test(document.querySelector("#job .history").innerText) && /by hand/.test(document.querySelector("#job .history").innerText)`)
}

// A read-only page has no buttons.
//
// Seen to fail when the buttons ignore that.
func TestPage_readOnly(t *testing.T) {
	ctx, s := openBrowser(t), newStage(t)
	s.run("job", 1, "replica-a")
	do(t, ctx, chromedp.Navigate(s.url+"/#/job/job"))
	await(t, ctx, `document.querySelectorAll("#job .history tbody tr").length === 1`)
	if n := evaluate[int](t, ctx, `document.querySelectorAll("#job button").length`); n != 0 {
		t.Errorf("%d buttons", n)
	}
}

func TestPage_release(t *testing.T) {
	ctx, s := openBrowser(t), newStage(t, dashboard.WithControl(nil))
	lease := s.lock("replica-b", "leader")
	next, taken := s.mutex("replica-c", "leader"), make(chan error, 1)
	go func() {
		_, err := next.Lock(t.Context())
		taken <- err
	}()
	do(t, ctx, chromedp.Navigate(s.url+"/#/job/leader"))
	await(t, ctx, `/Waiting\s+1/.test(document.querySelector("#job").innerText)`)
	evaluate[bool](t, ctx, click+`("Release…"), true`)
	await(t, ctx, `document.querySelector("#ask").open && /leader from replica-b/.test(document.querySelector("#ask").innerText)`)
	evaluate[bool](t, ctx, `document.querySelector("#ask-yes").click(), true`)
	await(t, ctx, `document.querySelector("#job .story").textContent === "held by replica-c"`)
	if err := <-taken; err != nil {
		t.Error(err)
	}
	if err := lease.Extend(t.Context()); err == nil {
		t.Error("the released lease could be extended")
	}
}

// press presses a key as a user would.
func press(t *testing.T, ctx context.Context, keys ...string) {
	t.Helper()
	for _, k := range keys {
		do(t, ctx, chromedp.KeyEvent(k))
	}
}

func TestPage_keyboard(t *testing.T) {
	ctx, s := openBrowser(t), newStage(t)
	s.fill(16, nil)
	do(t, ctx, chromedp.Navigate(s.url))
	await(t, ctx, `document.querySelectorAll("#rows .row").length === 16`)
	press(t, ctx, "/")
	// The driver types the slash, too; a browser does not.
	await(t, ctx, `document.activeElement.id === "filter" && (document.activeElement.value = "", true)`)
	press(t, ctx, "m", "a", "i")
	await(t, ctx, `document.activeElement.id === "filter" && [...document.querySelectorAll("#rows a")].map((a) => a.textContent).join() === "mail/digest,mail/digest-1"`)
	press(t, ctx, kb.Escape)
	await(t, ctx, `document.querySelectorAll("#rows .row").length === 16`)
	if n := evaluate[int](t, ctx, `[...document.querySelectorAll("#rows a")].filter((a) => a.tabIndex === 0).length`); n != 1 {
		t.Errorf("%d rows are in the order of the Tab key, want one", n)
	}
	evaluate[bool](t, ctx, `document.querySelector('#rows a[tabindex="0"]').focus(), true`)
	press(t, ctx, kb.Home, kb.ArrowDown, kb.ArrowDown)
	await(t, ctx, `document.activeElement === document.querySelectorAll("#rows a")[2]`)
	press(t, ctx, kb.ArrowLeft, kb.ArrowLeft)
	await(t, ctx, `!document.querySelector("#tip").hidden && /ok · .* · api-\d/.test(document.querySelector("#said").textContent)`)
	press(t, ctx, kb.Enter)
	await(t, ctx, `document.querySelector("#fleet").hidden && document.activeElement === document.querySelector("#job h2") && document.querySelectorAll("table.history tbody tr").length === 20`)
	press(t, ctx, kb.Escape)
	await(t, ctx, `!document.querySelector("#fleet").hidden && document.activeElement === document.querySelectorAll("#rows a")[2]`)
}

// An update changes only the rows that it is about.
func TestPage_only_what_changed(t *testing.T) {
	ctx, s := openBrowser(t), newStage(t)
	s.fill(500, nil)
	do(t, ctx, chromedp.Navigate(s.url))
	await(t, ctx, `document.querySelectorAll("#rows .row").length === 500`)
	time.Sleep(time.Second)
	// Texts such as ages may change; rows must not be recreated, moved or redrawn.
	evaluate[bool](t, ctx, `window.touched = new Set(), window.redtick.length = 0, new MutationObserver((all) => {
		for (const m of all) {
			const nodes = m.target.id === "rows" ? [...m.addedNodes, ...m.removedNodes] : m.target.closest(".strip") || m.type === "attributes" ? [m.target.closest(".row")] : [];
			for (const n of nodes) window.touched.add(n.dataset.name);
		}
	}).observe(document.querySelector("#rows"), { childList: true, attributes: true, subtree: true }), true`)
	s.claim("replica-a", "metrics/rollup-7", time.Now())
	await(t, ctx, row+`("metrics/rollup-7").querySelector(".holder").textContent === "replica-a"`)
	time.Sleep(time.Second)
	if touched := evaluate[string](t, ctx, `[...window.touched].join()`); touched != "metrics/rollup-7" {
		t.Errorf("touched: %s", touched)
	}
	if bytes := evaluate[int](t, ctx, `Math.max(...window.redtick.map((m) => m.bytes))`); bytes > 4000 {
		t.Errorf("the update for one row has %d bytes", bytes)
	}
	t.Log(evaluate[string](t, ctx, `JSON.stringify(window.redtick)`))
}

func TestPage_sort_and_group(t *testing.T) {
	ctx, s := openBrowser(t), newStage(t)
	s.fill(16, func(i int, h *history) { h.failing = i == 4 })
	do(t, ctx, views[0].use(), chromedp.Navigate(s.url))
	await(t, ctx, `document.querySelectorAll("#rows .row").length === 16`)
	const names = `[...document.querySelectorAll("#rows [data-name]")].map((r) => r.dataset.name)`
	await(t, ctx, names+`[0] === "sessions/cleanup" && document.querySelector("#troubles a").textContent === "sessions/cleanup"`)
	evaluate[bool](t, ctx, `[...document.querySelectorAll("#heads button")].find((b) => b.textContent === "Job").click(), true`)
	await(t, ctx, names+`.join() === `+names+`.sort(new Intl.Collator(undefined, { numeric: true }).compare).join() && document.querySelector('#heads [aria-sort="ascending"]').textContent === "Job"`)
	evaluate[bool](t, ctx, `document.querySelector("#group").click(), true`)
	await(t, ctx, `document.querySelectorAll("#rows .grouphead").length === 7 && /sessions.*2 names.*1 wrong/s.test(document.querySelector("#rows").innerText)`)
	evaluate[bool](t, ctx, `document.querySelector("#rows .grouphead button").click(), true`)
	await(t, ctx, names+`.length === 12 && document.querySelector("#rows .grouphead button").getAttribute("aria-expanded") === "false"`)
	evaluate[bool](t, ctx, `document.querySelector("#states .failing").click(), true`)
	await(t, ctx, names+`.join() === "sessions/cleanup"`)
}

// Nodes that answer with errors are not shown as an empty fleet.
func TestPage_nodes_refuse(t *testing.T) {
	ctx, s := openBrowser(t), newStage(t)
	s.run("job", 1, "replica-a")
	for _, server := range s.servers {
		server.Answer("CLUSTERDOWN")
	}
	do(t, ctx, chromedp.Navigate(s.url+"/#/job/%"))
	await(t, ctx, `/Nothing is known/.test(document.querySelector("#job").innerText)`)
	do(t, ctx, chromedp.Navigate(s.url+"/#/"))
	await(t, ctx, `/answer with errors/.test(document.querySelector("#headline").innerText) && /CLUSTERDOWN/.test(document.querySelector("#cause").innerText) && !/No job has run/.test(document.body.innerText)`)
}

func TestPage_tells_that_it_lost_the_server(t *testing.T) {
	ctx := openBrowser(t)
	server := serve(t, (&stage{T: t, servers: redlocktest.Servers(1)}).inspector())
	do(t, ctx, chromedp.Navigate(server.URL))
	await(t, ctx, `/1 of 1 nodes answer/.test(document.querySelector("#cause").innerText)`)
	server.CloseClientConnections()
	server.Listener.Close()
	await(t, ctx, `/connection lost/.test(document.querySelector("#live").innerText) && /lost its server/.test(document.querySelector("#headline").innerText)`)
	server.Close()
}
