package browsertest

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/dashboard"
	"github.com/redtick/redtick/redlock/inspect"
	"github.com/redtick/redtick/redlock/redlocktest"
)

// Mutations that were made and seen to fail here:
//   - element() with innerHTML for textContent: TestPage_names_are_text
//   - without the dark half of style.css, or with ticks of a fixed width: TestPage_views
//   - "idle" and "Nothing is locked" also without a majority: TestPage_no_quorum
//   - show() does nothing after its first call: TestPage_three_replicas
//   - claim() that does not wait for all nodes: TestPage_three_replicas, in most runs

const evil = `<img src=x onerror="window.ran=1">`

// stage is a page over in-memory nodes, with replicas at work.
type stage struct {
	*testing.T
	servers []*redlocktest.Server
	url     string
}

func newStage(t *testing.T, opts ...dashboard.Option) *stage {
	t.Helper()
	s := &stage{T: t, servers: redlocktest.Servers(3)}
	page, err := dashboard.New(s.inspector(), append(opts, dashboard.WithInterval(200*time.Millisecond))...)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(page)
	t.Cleanup(server.Close)
	t.Cleanup(server.CloseClientConnections)
	s.url = server.URL
	return s
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

// claim runs a tick that all nodes know. Two of three would do for the claim,
// but while one of these two is frozen nobody could tell who ran it.
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

// run lets the holders run a tick of the name each, in turn.
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

const settled = `document.querySelectorAll(".tick").length > 0`

func TestPage_three_replicas(t *testing.T) {
	ctx, s := openBrowser(t), newStage(t)
	s.run("job", 6, "replica-a", "replica-b", "replica-c")
	s.lock("replica-b", "leader")
	s.servers[2].Freeze()
	do(t, ctx, chromedp.Navigate(s.url))
	await(t, ctx, settled)
	for what, want := range map[string]string{
		"the strip":     `[...document.querySelectorAll("#jobs .tick")].map((e) => e.textContent).join("") === "ABCABC"`,
		"the legend":    `document.querySelector("#legend").innerText.replaceAll("\n", "") === "Areplica-aBreplica-bCreplica-c"`,
		"three colours": `new Set([...document.querySelectorAll("#jobs .tick")].map((e) => getComputedStyle(e).backgroundColor)).size === 3`,
		"the leader":    `/leader.*held by.*replica-b/s.test(document.querySelector("#locks").innerText)`,
		"a node out":    `document.querySelectorAll("#nodes .pill.bad").length === 1 && /2 of 3 nodes answer, out: page.3 /.test(document.querySelector("#status").innerText)`,
		"read-only":     `document.querySelectorAll("button").length === 0`,
	} {
		t.Log(what)
		await(t, ctx, want)
	}
	s.servers[2].Thaw()
	s.claim("replica-a", "job", time.Now())
	await(t, ctx, `document.querySelectorAll("#jobs .tick").length === 7`)
	await(t, ctx, `document.querySelectorAll("#nodes .pill.bad").length === 0 && /^3 of 3 nodes answer · /.test(document.querySelector("#status").innerText)`)
}

func TestPage_no_quorum(t *testing.T) {
	ctx, s := openBrowser(t), newStage(t)
	s.run("job", 3, "replica-a")
	do(t, ctx, chromedp.Navigate(s.url))
	await(t, ctx, settled+` && /idle/.test(document.body.innerText) && /Nothing is locked/.test(document.body.innerText)`)
	s.servers[0].Freeze()
	s.servers[1].Freeze()
	await(t, ctx, `/no quorum/.test(document.querySelector("#error").innerText) && /1 of 3 nodes answer, out: page.1, page.2 /.test(document.querySelector("#status").innerText)`)
	await(t, ctx, `/unknown/.test(document.querySelector("#jobs").innerText) && !/idle|Nothing is locked/.test(document.body.innerText)`)
	s.servers[0].Thaw()
	s.servers[1].Thaw()
	await(t, ctx, `document.querySelector("#error").hidden && /idle/.test(document.body.innerText)`)
}

func TestPage_views(t *testing.T) {
	ctx, s := openBrowser(t), newStage(t, dashboard.WithRelease())
	s.run("job", 45, "replica-a", "replica-b", strings.Repeat("a-long-name", 20))
	s.lock("replica-b", "leader")
	s.lock("replica-a", strings.Repeat("a-long-name", 20))
	grounds := map[string]string{}
	for _, v := range views {
		do(t, ctx, v.use(), chromedp.Navigate(s.url))
		await(t, ctx, settled)
		sizes := evaluate[[]float64](t, ctx, `[document.documentElement.scrollWidth, window.innerWidth, document.querySelector(".tick").getBoundingClientRect().width]`)
		if sizes[0] > float64(v.width) || sizes[1] != float64(v.width) || sizes[2] < 4 {
			t.Errorf("%s: the page is %v wide in a window of %v, a tick %v", v.name, sizes[0], sizes[1], sizes[2])
		}
		grounds[v.scheme] = evaluate[string](t, ctx, `getComputedStyle(document.body).backgroundColor`)
		checkContrast(t, ctx, v)
	}
	if grounds["light"] == grounds["dark"] {
		t.Errorf("light and dark have one ground: %v", grounds)
	}
}

// checkContrast holds text against what it stands on: WCAG asks for 4.5, and 3 for what is bold or large.
func checkContrast(t *testing.T, ctx context.Context, v view) {
	t.Helper()
	const script = `(() => {
		const rgb = (c) => c.match(/[\d.]+/g).map(Number);
		const light = (c) => { const [r, g, b] = rgb(c).map((x) => (x /= 255) <= 0.03928 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
		const ground = (e) => { const c = getComputedStyle(e).backgroundColor; return rgb(c)[3] === 0 ? ground(e.parentElement) : c; };
		const bad = new Set();
		for (const e of document.querySelectorAll("h1, h2, p, strong, span, button")) {
			if (!e.textContent || e.children.length > 0) continue;
			const a = light(getComputedStyle(e).color), b = light(ground(e));
			const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
			if (ratio < (e.className.includes("tick") || e.className.includes("dot") ? 3 : 4.5)) bad.add((e.className || e.tagName) + " " + ratio.toFixed(2));
		}
		return [...bad].join(", ");
	})()`
	if bad := evaluate[string](t, ctx, script); bad != "" {
		t.Errorf("%s: too little contrast: %s", v.name, bad)
	}
}

func TestPage_names_are_text(t *testing.T) {
	ctx, s := openBrowser(t), newStage(t, dashboard.WithRelease())
	s.run("job"+evil, 3, "holder"+evil)
	s.lock("other"+evil, "lock"+evil)
	do(t, ctx, chromedp.Navigate(s.url))
	await(t, ctx, settled)
	for _, name := range []string{"job", "holder", "lock", "other"} {
		await(t, ctx, fmt.Sprintf(`document.body.innerText.includes(%q)`, name+evil))
	}
	if n := evaluate[int](t, ctx, `document.images.length + (window.ran || 0)`); n != 0 {
		t.Error("a name has become markup")
	}
	// Even if it had: the policy lets no script of a name run.
	await(t, ctx, `document.body.insertAdjacentHTML("beforeend", '<img id="planted" src=x>'+`+"`"+evil+"`"+`), document.images.length === 2`)
	time.Sleep(300 * time.Millisecond)
	if evaluate[int](t, ctx, `window.ran || 0`) != 0 {
		t.Error("the policy lets markup run scripts")
	}
}

func TestPage_release(t *testing.T) {
	ctx, s := openBrowser(t), newStage(t, dashboard.WithRelease())
	s.run("job", 1, "replica-a")
	lease := s.lock("replica-b", "leader")
	next, taken := s.mutex("replica-c", "leader"), make(chan error, 1)
	go func() {
		_, err := next.Lock(t.Context())
		taken <- err
	}()
	do(t, ctx, chromedp.Navigate(s.url))
	await(t, ctx, `document.querySelectorAll("#locks button").length === 1 && /1 waiting/.test(document.querySelector("#locks").innerText)`)
	evaluate[bool](t, ctx, `window.confirm = (text) => { window.asked = text; return true; }, document.querySelector("#locks button").click(), true`)
	await(t, ctx, `/leader from replica-b/.test(window.asked) && /held by.*replica-c/s.test(document.querySelector("#locks").innerText)`)
	if err := <-taken; err != nil {
		t.Error(err)
	}
	if err := lease.Extend(t.Context()); err == nil {
		t.Error("the released lease could be extended")
	}
}

func TestPage_tells_that_it_lost_the_server(t *testing.T) {
	ctx := openBrowser(t)
	page, err := dashboard.New((&stage{T: t, servers: redlocktest.Servers(1)}).inspector())
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(page)
	do(t, ctx, chromedp.Navigate(server.URL))
	await(t, ctx, `/1 of 1 nodes answer/.test(document.querySelector("#status").innerText)`)
	server.CloseClientConnections()
	server.Listener.Close()
	await(t, ctx, `/connection lost/.test(document.querySelector("#status").innerText)`)
	server.Close()
}
