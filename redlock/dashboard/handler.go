package dashboard

import (
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/redtick/redtick/redlock/inspect"
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

// WithNames shows only names that begin with prefix, and releases no others.
// Default: all.
func WithNames(prefix string) Option { return func(p *Page) { p.names = prefix } }

// Page is the [http.Handler]. It is safe for concurrent use.
type Page struct {
	inspector *inspect.Inspector
	release   bool
	interval  time.Duration
	names     string
	mux       *http.ServeMux
	watch     watch

	turn   sync.Mutex // guards the two below
	roster roster
	strips strips
}

// New returns the page for a Locker's nodes.
func New(inspector *inspect.Inspector, opts ...Option) (*Page, error) {
	if inspector == nil {
		return nil, errors.New("dashboard: inspector is nil; make one with inspect.New")
	}
	p := &Page{inspector: inspector, interval: time.Second,
		mux: http.NewServeMux(), strips: strips{named: map[string]*strip{}}}
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

// writeAtMost is how long a viewer may take to read one look before it is
// taken for gone.
const writeAtMost = 10 * time.Second

// events is the stream of looks, as server-sent events.
func (p *Page) events(w http.ResponseWriter, r *http.Request) {
	answer := http.NewResponseController(w)
	w.Header().Set("Content-Type", "text/event-stream")
	if err := answer.Flush(); err != nil {
		http.Error(w, "dashboard: this server cannot stream; give a wrapped http.ResponseWriter its Unwrap method", http.StatusInternalServerError)
		return
	}
	looks, leave := p.watch.join(p)
	defer leave()
	for {
		select {
		case look := <-looks:
			// A server may not know deadlines; then its own time-outs do.
			_ = answer.SetWriteDeadline(time.Now().Add(writeAtMost))
			if _, err := fmt.Fprintf(w, "data: %s\n\n", look); err != nil || answer.Flush() != nil {
				return
			}
			_ = answer.SetWriteDeadline(time.Time{}) // over HTTP/2 it would end an idle stream
		case <-r.Context().Done():
			return
		}
	}
}

// releaseName takes only what the page itself sends: a browser tells by the
// Sec-Fetch-Site or Origin header that another site asks, and the JSON type
// keeps plain forms out.
func (p *Page) releaseName(w http.ResponseWriter, r *http.Request) {
	var body struct{ Name, Token string }
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case !p.release:
		http.Error(w, "this page is read-only; dashboard.WithRelease allows it to release", http.StatusForbidden)
	case http.NewCrossOriginProtection().Check(r) != nil:
		http.Error(w, "another site may not ask for that; open this page and ask from there", http.StatusForbidden)
	case kind != "application/json":
		http.Error(w, "Content-Type must be application/json", http.StatusUnsupportedMediaType)
	case json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<14)).Decode(&body) != nil || body.Name == "" || body.Token == "":
		http.Error(w, `the body must be {"Name": …, "Token": …}`, http.StatusBadRequest)
	case !strings.HasPrefix(body.Name, p.names):
		http.Error(w, fmt.Sprintf("this page shows only names that begin with %q", p.names), http.StatusForbidden)
	default:
		if err := p.inspector.Release(r.Context(), body.Name, body.Token); err != nil {
			http.Error(w, err.Error(), http.StatusConflict)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}
}
