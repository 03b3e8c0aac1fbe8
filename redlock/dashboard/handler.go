package dashboard

import (
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"time"

	"github.com/redtick/redtick/redlock"
)

//go:embed page
var files embed.FS

// Option changes a default of [New].
type Option func(*Page)

// WithRelease allows the page to take a name from its holder. Default: it is
// read-only.
func WithRelease() Option { return func(p *Page) { p.release = true } }

// WithInterval sets how often the nodes are asked while somebody looks. At
// least 100 ms, default 1 s.
func WithInterval(d time.Duration) Option { return func(p *Page) { p.interval = d } }

// WithNames shows only names that begin with prefix. Default: all.
func WithNames(prefix string) Option { return func(p *Page) { p.names = prefix } }

// Page is the [http.Handler]. It is safe for concurrent use.
type Page struct {
	inspector *redlock.Inspector
	release   bool
	interval  time.Duration
	names     string
	mux       *http.ServeMux
	watch     watch
}

// New returns the page for a Locker's nodes.
func New(locker *redlock.Locker, opts ...Option) (*Page, error) {
	if locker == nil {
		return nil, errors.New("dashboard: locker is nil; make one with redlock.New")
	}
	p := &Page{inspector: redlock.NewInspector(locker, 0), interval: time.Second, mux: http.NewServeMux()}
	for _, o := range opts {
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
	p.mux.HandleFunc("GET /state", p.state)
	p.mux.HandleFunc("POST /release", p.releaseName)
	return p, nil
}

// ServeHTTP serves the page, its files, and the stream it listens to.
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	p.mux.ServeHTTP(w, r)
}

// state is one look, for scripts.
func (p *Page) state(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(p.look(r.Context()))
}

// events is the stream of looks, as server-sent events.
func (p *Page) events(w http.ResponseWriter, r *http.Request) {
	flusher, ok := w.(http.Flusher)
	if !ok {
		http.Error(w, "dashboard: this server cannot stream; do not wrap the ResponseWriter without its Flush method", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	looks, leave := p.watch.join(p)
	defer leave()
	for {
		select {
		case look := <-looks:
			if _, err := fmt.Fprintf(w, "data: %s\n\n", look); err != nil {
				return
			}
			flusher.Flush()
		case <-r.Context().Done():
			return
		}
	}
}

// releaseName takes only what the page itself sends: a browser sets the
// Sec-Fetch-Site header, which no other site can forge, and the JSON type
// keeps plain forms out.
func (p *Page) releaseName(w http.ResponseWriter, r *http.Request) {
	var body struct{ Name, Token string }
	switch site := r.Header.Get("Sec-Fetch-Site"); {
	case !p.release:
		http.Error(w, "this page is read-only; dashboard.WithRelease allows it to release", http.StatusForbidden)
	case site != "" && site != "same-origin", r.Header.Get("Content-Type") != "application/json":
		http.Error(w, "only this page may ask for that", http.StatusForbidden)
	case json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<14)).Decode(&body) != nil || body.Name == "" || body.Token == "":
		http.Error(w, `the body must be {"Name": …, "Token": …}`, http.StatusBadRequest)
	default:
		if err := p.inspector.Release(r.Context(), body.Name, body.Token); err != nil {
			http.Error(w, err.Error(), http.StatusConflict)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}
}
