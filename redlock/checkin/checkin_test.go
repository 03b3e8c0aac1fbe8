package checkin_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/checkin"
	"github.com/redtick/redtick/redlock/redlocktest"
)

// site records its requests.
type site struct {
	*httptest.Server
	mu     sync.Mutex
	paths  []string
	ids    map[string]bool
	status int
}

func newSite(t *testing.T) *site {
	s := &site{ids: map[string]bool{}, status: http.StatusOK}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		q := r.URL.Query()
		s.paths = append(s.paths, strings.TrimSuffix(r.URL.Path+"?"+q.Get("state")+q.Get("status"), "?"))
		s.ids[q.Get("rid")+q.Get("check_in_id")+q.Get("series")] = true
		w.WriteHeader(s.status)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *site) asked() ([]string, int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.paths), len(s.ids)
}

func closeAll(t *testing.T, c *checkin.Calls) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := c.Close(ctx); err != nil {
		t.Fatal(err)
	}
}

// Seen to fail with /ok for a success or without the URL's last slash, and when a run's calls have ids of their own.
func TestCalls_Observer(t *testing.T) {
	s := newSite(t)
	calls := checkin.New()
	locker, err := redlock.New(redlocktest.Nodes(redlocktest.Servers(1), "a"), redlock.WithObserver(calls.Observer(func(job string) string {
		return map[string]string{"good": s.URL + "/good/", "bad": s.URL + "/bad/", "sentry": s.URL + "/api/1/cron/x/key/"}[job]
	})))
	if err != nil {
		t.Fatal(err)
	}
	failure := errors.New("disk full")
	for _, run := range []struct {
		name string
		err  error
	}{{"good", nil}, {"bad", failure}, {"sentry", failure}, {"other", nil}} {
		job, err := locker.NewJob(run.name)
		if err != nil {
			t.Fatal(err)
		}
		_ = job.Run(t.Context(), time.Now(), func(context.Context) error { return run.err })
	}
	if err := locker.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	closeAll(t, calls)
	want := []string{"/good/start", "/good/", "/bad/start", "/bad/fail", "/api/1/cron/x/key/?in_progress", "/api/1/cron/x/key/?error"}
	if got, ids := s.asked(); !slices.Equal(got, want) || ids != 3 {
		t.Errorf("%d ids, called %q, want 3 and %q", ids, got, want)
	}
}

// Seen to fail when every failure is logged, and when the URL is.
func TestCalls_failures_once(t *testing.T) {
	var text bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&text, nil)))
	defer slog.SetDefault(before)
	s := newSite(t)
	s.status = http.StatusBadGateway
	calls := checkin.New()
	for range 5 {
		_ = calls.Call("http://127.0.0.1:1/secret", checkin.Success, "run")
		_ = calls.Call(s.URL+"/secret", checkin.Success, "run")
	}
	closeAll(t, calls)
	if log := text.String(); strings.Count(log, "level=WARN") != 1 || strings.Contains(log, "secret") {
		t.Error(log)
	}
	if got, _ := s.asked(); len(got) != 5 {
		t.Errorf("%q", got)
	}
}

// Seen to fail when Call waits for a place in the queue.
func TestCalls_Call_neverBlocks(t *testing.T) {
	hung := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hung }))
	defer s.Close()
	calls := checkin.New()
	for range 2 * 256 {
		if err := calls.Call(s.URL, checkin.Start, "run"); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := calls.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	close(hung)
	closeAll(t, calls) // or its failures would be logged in another test
}

// Seen to fail with the URL in the text.
func TestCheck(t *testing.T) {
	for _, bad := range []string{"", "secret", "ftp://host/secret", "https:///secret", "http://[secret"} {
		if err := checkin.Check(bad); !errors.Is(err, redlock.ErrInvalid) || strings.Contains(err.Error(), "secret]") || bad != "" && strings.Contains(err.Error(), bad) && bad != "secret" {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if err := checkin.Check("https://hc-ping.com/uuid"); err != nil {
		t.Error(err)
	}
}
