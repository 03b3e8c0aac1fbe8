package dashboard_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redtick/redtick/redlock/dashboard"
	"github.com/redtick/redtick/redlock/inspect"
)

// Mutations that were made and seen to fail here:
//   - without the case !p.control, or without http.NewCrossOriginProtection,
//     kind, or the prefix: TestPage_release
//   - without one of the headers: TestPage_headers
//   - New without one of its checks: TestNew

func TestNew(t *testing.T) {
	inBubble(t, func(fl *fleet) {
		if _, err := dashboard.New(nil); err == nil || !strings.Contains(err.Error(), "inspector is nil") {
			t.Errorf("no inspector: %v", err)
		}
		l, err := inspect.New(fl.nodes("page"))
		if err != nil {
			fl.Fatal(err)
		}
		if _, err := dashboard.New(l, nil); err == nil || !strings.Contains(err.Error(), "option 1 is nil") {
			t.Errorf("a nil option: %v", err)
		}
		if _, err := dashboard.New(l, dashboard.WithInterval(99*time.Millisecond)); err == nil || !strings.Contains(err.Error(), "99ms, must be at least 100ms") {
			t.Errorf("a short interval: %v", err)
		}
		if _, err := dashboard.New(l, dashboard.WithInterval(100*time.Millisecond)); err != nil {
			t.Error(err)
		}
	})
}

func TestPage_release(t *testing.T) {
	const good, wrong = `{"Name":"app:job","Token":"%s"}`, `{"Name":"app:job","Token":"another"}`
	type header = map[string]string
	ours := header{"Content-Type": "application/json", "Sec-Fetch-Site": "same-origin"}
	open := []dashboard.Option{dashboard.WithControl(nil)}
	for _, c := range []struct {
		name   string
		opts   []dashboard.Option
		header header
		body   string
		want   int
	}{
		{"read-only by default", nil, ours, good, 403},
		{"the page itself", open, ours, good, 204},
		{"with a charset", open, header{"Content-Type": "application/json; charset=utf-8", "Sec-Fetch-Site": "same-origin"}, good, 204},
		{"a program", open, header{"Content-Type": "application/json"}, good, 204},
		{"its names", append(open, dashboard.WithNames("app:")), ours, good, 204},
		{"not its names", append(open, dashboard.WithNames("other:")), ours, good, 403},
		{"a wrong token", open, ours, wrong, 409},
		{"another site", open, header{"Content-Type": "application/json", "Sec-Fetch-Site": "cross-site"}, good, 403},
		{"a sister site", open, header{"Content-Type": "application/json", "Sec-Fetch-Site": "same-site"}, good, 403},
		{"another site, old browser", open, header{"Content-Type": "application/json", "Origin": "https://evil.example"}, good, 403},
		{"a form", open, header{"Content-Type": "text/plain", "Sec-Fetch-Site": "same-origin"}, good, 415},
		{"no type", open, header{}, good, 415},
		{"no token", open, ours, `{"Name":"app:job"}`, 400},
		{"an endless pause", open, ours, `{"Name":"app:job","Token":"%s","For":9223372036854775807}`, 400},
		{"a name that is no UTF-8", open, ours, `{"Name":"app:job\ufffd","Token":"%s"}`, 400},
		{"not JSON", open, ours, `Name=job`, 400},
		{"too long", open, ours, `{"Name":"` + strings.Repeat("x", 1<<14) + `","Token":"%s"}`, 400},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, func(fl *fleet) {
				page, lease := fl.page(c.opts...), fl.hold(fl.locker("a"), "app:job")
				r := httptest.NewRequest("POST", "/release", strings.NewReader(strings.Replace(c.body, "%s", lease.Token(), 1)))
				for k, v := range c.header {
					r.Header.Set(k, v)
				}
				w := httptest.NewRecorder()
				page.ServeHTTP(w, r)
				if w.Code != c.want {
					t.Errorf("answered %d %s, want %d", w.Code, w.Body, c.want)
				}
				if free := fl.state(fl.page()).row("app:job").Holder == ""; free != (c.want == 204) {
					t.Errorf("the name is free: %v", free)
				}
				_ = lease.Unlock(fl.Context())
			})
		})
	}
}

// Mutations that were made and seen to fail here: Pause without By, or without
// For; no board.ask; forget that does not reach the nodes.
func TestPage_orders(t *testing.T) {
	inBubble(t, func(fl *fleet) {
		a := fl.locker("a")
		page := fl.page(dashboard.WithControl(func(r *http.Request) string { return r.Header.Get("Sec-Fetch-Site") }))
		fl.run(a, "job")
		fl.state(page)
		fl.order(page, "pause", `{"Name": "job", "For": 60000, "Why": "migration"}`)
		paused := fl.state(page).row("job")
		if p := paused.Paused; paused.State != "paused" || p == nil || p.By != "same-origin" || p.Why != "migration" || p.Until == 0 {
			t.Errorf("paused: %+v", paused)
		}
		if again := fl.state(page).row("job"); again.Paused.Until != paused.Paused.Until {
			t.Errorf("the end of the pause moves: %d, then %d", paused.Paused.Until, again.Paused.Until)
		}
		fl.order(page, "resume", `{"Name": "job"}`)
		if r := fl.state(page).row("job"); r.Paused != nil || r.State != "ok" {
			t.Errorf("resumed: %+v", r)
		}
		fl.order(page, "pause", `{"Name": "job"}`)
		if p := fl.state(page).row("job").Paused; p == nil || p.Until != 0 {
			t.Errorf("paused for good: %+v", p)
		}
		fl.order(page, "forget", `{"Name": "job"}`)
		if got := fl.state(page).states(); got != "" {
			t.Errorf("forgotten: %s", got)
		}
	})
}

// A triggered run begins, or the page shows why not.
//
// Seen to fail when the order does nothing.
func TestPage_trigger(t *testing.T) {
	inBubble(t, func(fl *fleet) {
		a := fl.locker("a")
		page := fl.page(dashboard.WithControl(nil))
		fl.run(a, "job")
		job, err := a.NewJob("job")
		if err != nil {
			t.Fatal(err)
		}
		ask := func() *httptest.ResponseRecorder {
			synctest.Wait()
			r := httptest.NewRequest("POST", "/trigger", strings.NewReader(`{"Name": "job"}`))
			r.Header.Set("Content-Type", "application/json")
			w := httptest.NewRecorder()
			page.ServeHTTP(w, r)
			return w
		}
		if w := ask(); w.Code != 409 || !strings.Contains(w.Body.String(), "nobody listens") {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		ran := make(chan error, 1)
		_, err = job.OnTrigger(func(tick time.Time) {
			go func() {
				ran <- job.Triggered().Run(context.Background(), tick, func(context.Context) error { return nil })
			}()
		})
		if err != nil {
			t.Fatal(err)
		}
		if w := ask(); w.Code != 204 {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		if err := <-ran; err != nil {
			t.Error(err)
		}
	})
}

func TestPage_headers(t *testing.T) {
	inBubble(t, func(fl *fleet) {
		page := fl.page()
		for path, want := range map[string]string{
			"GET /": "200 text/html", "GET /page.js": "200 text/javascript", "GET /style.css": "200 text/css", "GET /icon.svg": "200 image/svg+xml",
			"GET /nothing": "404 text/plain", "POST /release": "403 text/plain", "POST /pause": "403 text/plain", "POST /forget": "403 text/plain", "POST /trigger": "403 text/plain", "POST /nothing": "404 text/plain", "GET /job": "404 text/plain", "GET /release": "404 text/plain", "DELETE /job": "405 text/plain",
		} {
			method, target, _ := strings.Cut(path, " ")
			w := httptest.NewRecorder()
			page.ServeHTTP(w, httptest.NewRequest(method, target, nil))
			if got := fmt.Sprint(w.Code, " ", w.Header().Get("Content-Type")); !strings.HasPrefix(got, want) {
				t.Errorf("%s: %s, want %s", path, got, want)
			}
			checkHeaders(t, path, w.Header())
			// net/http removes it from answers about missing files.
			if w.Code == 200 && w.Header().Get("Cache-Control") != "no-store" {
				t.Errorf("%s: may be cached", path)
			}
		}
	})
}

func checkHeaders(t *testing.T, path string, h http.Header) {
	t.Helper()
	csp := h.Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "script-src 'self'", "style-src 'self'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'self'"} {
		if !strings.Contains(csp, want) {
			t.Errorf("%s: the policy %q has no %q", path, csp, want)
		}
	}
	if strings.Contains(csp, "unsafe") || strings.Contains(csp, "*") {
		t.Errorf("%s: the policy %q is loose", path, csp)
	}
	for k, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Access-Control-Allow-Origin": ""} {
		if h.Get(k) != want {
			t.Errorf("%s: %s is %q, want %q", path, k, h.Get(k), want)
		}
	}
}

// Over plain HTTP a browser sends no Sec-Fetch-Site. If a proxy rewrites Host, as nginx does by default, the page's own
// requests seem to come from another site.
func TestPage_proxy(t *testing.T) {
	inBubble(t, func(fl *fleet) {
		page := fl.page(dashboard.WithControl(nil))
		ask := func(host string) string {
			r := httptest.NewRequest("POST", "http://"+host+"/resume", strings.NewReader(`{"Name": "job"}`))
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("Origin", "http://ops.example")
			w := httptest.NewRecorder()
			page.ServeHTTP(w, r)
			return fmt.Sprint(w.Code, " ", w.Body)
		}
		if got := ask("ops.example"); got != "204 " {
			t.Errorf("a proxy that passes Host on: %s", got)
		}
		if got := ask("127.0.0.1:8080"); !strings.HasPrefix(got, "403 ") || !strings.Contains(got, "pass the Host header on") {
			t.Errorf("a proxy that rewrites Host: %s", got)
		}
	})
}

func TestPage_mounted(t *testing.T) {
	inBubble(t, func(fl *fleet) {
		mux := http.NewServeMux()
		mux.Handle("/redtick/", http.StripPrefix("/redtick", fl.page()))
		for path, want := range map[string]int{"/redtick/": 200, "/redtick/page.js": 200, "/redtick/icon.svg": 200, "/redtick": 307} {
			w := httptest.NewRecorder()
			if mux.ServeHTTP(w, httptest.NewRequest("GET", path, nil)); w.Code != want {
				t.Errorf("%s: %d, want %d", path, w.Code, want)
			}
			if path == "/redtick/" && !strings.Contains(w.Body.String(), "<noscript>") {
				t.Error("a browser without scripts shows a page that connects for ever")
			}
		}
	})
}
