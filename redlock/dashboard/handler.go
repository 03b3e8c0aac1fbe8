package dashboard

import (
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"time"

	"github.com/redtick/redtick/redlock/inspect"
)

//go:embed page
var files embed.FS

// Option changes a default of [New].
type Option func(*Page)

// WithControl allows the page to pause, resume, trigger and forget jobs, and to
// take a name from its holder. user returns the name of a request's user, for the
// pause and the replicas' logs; it may be nil. Default: the page is read-only.
func WithControl(user func(*http.Request) string) Option {
	if user == nil {
		user = func(*http.Request) string { return "" }
	}
	return func(p *Page) { p.user = user }
}

// WithInterval sets how often the nodes are polled while the page has viewers. At
// least 100 ms, default 1 s.
func WithInterval(d time.Duration) Option { return func(p *Page) { p.interval = d } }

// WithNames limits the page to names that begin with prefix. Default: all.
func WithNames(prefix string) Option { return func(p *Page) { p.names = prefix } }

// Page is an [http.Handler] that serves the dashboard. It is safe for concurrent
// use.
type Page struct {
	inspector *inspect.Inspector
	user      func(*http.Request) string // nil if the page is read-only
	interval  time.Duration
	names     string
	mux       *http.ServeMux
	watch     watch
	roster    roster
	board     board
}

// New returns the page for the nodes of inspector. It does not contact them.
func New(inspector *inspect.Inspector, opts ...Option) (*Page, error) {
	if inspector == nil {
		return nil, errors.New("dashboard: inspector is nil; make one with inspect.New")
	}
	p := &Page{inspector: inspector, interval: time.Second, mux: http.NewServeMux()}
	p.roster.jobs.find, p.roster.all.find = inspector.Jobs, inspector.Names
	p.board.entries, p.board.gone = map[string]*entry{}, map[string]int{}
	for i, o := range opts {
		if o == nil {
			return nil, fmt.Errorf("dashboard: option %d is nil; leave it out", i+1)
		}
		o(p)
	}
	if p.interval < 100*time.Millisecond {
		return nil, fmt.Errorf("dashboard: interval is %v, must be at least 100ms; leave WithInterval out for 1s", p.interval)
	}
	static, err := fs.Sub(files, "page")
	if err != nil {
		return nil, err
	}
	p.mux.Handle("GET /", http.FileServerFS(static))
	p.mux.HandleFunc("GET /events", p.events)
	p.mux.HandleFunc("GET /job", p.job)
	p.mux.HandleFunc("POST /{order}", p.obey)
	return p, nil
}

// ServeHTTP serves the page, its files, its event stream and its control requests.
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	p.mux.ServeHTTP(w, r)
}

// job serves what is known of one name. It does not contact the nodes.
func (p *Page) job(w http.ResponseWriter, r *http.Request) {
	name := r.URL.Query().Get("name")
	d, ok := p.board.detail(name)
	if !ok {
		http.Error(w, fmt.Sprintf("nothing is known of %q; it may have been forgotten, or the page has no viewers", name), http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(d)
}

// writeLimit is how long a viewer may take to read one event before it is
// disconnected.
const writeLimit = 10 * time.Second

// events streams server-sent events: first all that is known, then the changes.
func (p *Page) events(w http.ResponseWriter, r *http.Request) {
	answer := http.NewResponseController(w)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // nginx would hold events back until they fill a buffer
	if err := answer.Flush(); err != nil {
		http.Error(w, "dashboard: this server cannot stream; give a wrapped http.ResponseWriter its Unwrap method", http.StatusInternalServerError)
		return
	}
	p.watch.join(p)
	defer p.watch.leave()
	for seen := 0; ; {
		newest, next := p.watch.look()
		if newest != nil {
			text, err := newest.since(seen)
			if err != nil {
				return
			}
			seen = newest.version
			// A server may not know deadlines; then its own time-outs do.
			_ = answer.SetWriteDeadline(time.Now().Add(writeLimit))
			if _, err := fmt.Fprintf(w, "data: %s\n\n", text); err != nil || answer.Flush() != nil {
				return
			}
			_ = answer.SetWriteDeadline(time.Time{}) // over HTTP/2 it would end an idle stream
		}
		select {
		case <-next:
		case <-r.Context().Done():
			return
		}
	}
}
