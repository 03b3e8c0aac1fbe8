//go:build unix

package main_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// pinged records the calls.
type pinged struct {
	*httptest.Server
	mu    sync.Mutex
	paths []string
}

func newPinged(t *testing.T) *pinged {
	p := &pinged{}
	p.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		time.Sleep(200 * time.Millisecond) // longer than a command that does not wait needs to end
		p.mu.Lock()
		defer p.mu.Unlock()
		p.paths = append(p.paths, r.URL.Path)
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *pinged) take() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := p.paths
	p.paths = nil
	return all
}

// Seen to fail when the result is not that of the command, and when the last call is not waited for.
func TestRun_ping(t *testing.T) {
	t.Parallel()
	f, site := newFleet(t), newPinged(t)
	for _, c := range []struct {
		command string
		code    int
		want    []string
	}{
		{"exit 0", 0, []string{"/x/start", "/x"}},
		{"exit 3", 3, []string{"/x/start", "/x/fail"}},
	} {
		if o := f.redtick("run", "-name", "a", "-ping", site.URL+"/x", "--", "sh", "-c", c.command); o.code != c.code || o.stderr != "" {
			t.Errorf("%+v", o)
		}
		if got := site.take(); !slices.Equal(got, c.want) {
			t.Errorf("%s: called %q, want %q", c.command, got, c.want)
		}
	}
	p := f.prepare("run", "-name", "a", "--", "sh", "-c", "test -z $REDTICK_PING")
	p.Env = append(p.Env, "REDTICK_PING="+site.URL+"/y")
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	if o, got := p.end(), site.take(); o.code != 0 || !slices.Equal(got, []string{"/y/start", "/y"}) {
		t.Errorf("by the environment: %+v, called %q", o, got)
	}
	f.hold("taken")
	if o := f.redtick("run", "-name", "taken", "-try", "-ping", site.URL+"/x", "--", "true"); o.code != 75 || site.take() != nil {
		t.Errorf("called though it was not run: %+v", o)
	}
	if o := f.redtick("run", "-name", "a", "-ping", "http://127.0.0.1:1/secret", "--", "true"); o.code != 0 || strings.Count(o.stderr, "check-ins fail") != 1 || strings.Contains(o.stderr, "secret") {
		t.Errorf("a site that is down: %+v", o)
	}
	if o := f.redtick("run", "-name", "a", "-ping", "secret", "--", "true"); o.code != 64 || strings.Contains(o.stderr, `"secret"`) {
		t.Errorf("no URL: %+v", o)
	}
}

// Seen to fail when work does not call.
func TestCron_ping(t *testing.T) {
	t.Parallel()
	f, site := newFleet(t), newPinged(t)
	f.crontab("# redtick: name=good ping="+site.URL+"/good", "@every 1h true", "# redtick: name=bad ping="+site.URL+"/bad", "@every 1h false")
	if o := f.redtick("cron", "--check", "crontab"); o.code != 0 || strings.Contains(o.stdout, site.URL) {
		t.Errorf("%+v", o)
	}
	if o := f.redtick("cron", "--once", "crontab"); o.code != 1 {
		t.Errorf("%+v", o)
	}
	got := site.take()
	slices.Sort(got)
	if want := []string{"/bad/fail", "/bad/start", "/good", "/good/start"}; !slices.Equal(got, want) {
		t.Errorf("called %q, want %q", got, want)
	}
}
