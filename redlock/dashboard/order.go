package dashboard

import (
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/redtick/redtick/redlock/inspect"
)

// order is what the page may be asked to do.
type order struct {
	Name  string
	Token string // of the holder that is to be released
	For   int64  // milliseconds that a pause lasts; 0 for until it is resumed
	Why   string
}

var orders = map[string]func(p *Page, r *http.Request, o order) error{
	"release": func(p *Page, r *http.Request, o order) error {
		return p.inspector.Release(r.Context(), o.Name, o.Token)
	},
	"pause": func(p *Page, r *http.Request, o order) error {
		return p.inspector.Pause(r.Context(), o.Name, inspect.Pause{By: p.asks(r), Why: o.Why, For: time.Duration(o.For) * time.Millisecond})
	},
	"resume": func(p *Page, r *http.Request, o order) error { return p.inspector.Resume(r.Context(), o.Name) },
	"trigger": func(p *Page, r *http.Request, o order) error {
		_, err := p.inspector.Trigger(r.Context(), o.Name, p.asks(r))
		return err
	},
	"forget": func(p *Page, r *http.Request, o order) error { return p.inspector.Forget(r.Context(), o.Name) },
}

// asks is who sent a request.
func (p *Page) asks(r *http.Request) string {
	if p.user != nil {
		if name := p.user(r); name != "" {
			return name
		}
	}
	return "the page"
}

// maxFor keeps a pause from overflowing a [time.Duration].
const maxFor = int64(10 * 365 * 24 * time.Hour / time.Millisecond)

// obey takes only what the page itself sends: a browser tells by the
// Sec-Fetch-Site or Origin header that another site asks, and the JSON type
// keeps plain forms out.
func (p *Page) obey(w http.ResponseWriter, r *http.Request) {
	var o order
	what := r.PathValue("order")
	do := orders[what]
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case do == nil:
		http.NotFound(w, r)
	case !p.control:
		http.Error(w, "this page is read-only; dashboard.WithControl allows it to "+what, http.StatusForbidden)
	case http.NewCrossOriginProtection().Check(r) != nil:
		http.Error(w, "another site may not ask for that; open this page and ask from there, and let a proxy before it pass the Host header on", http.StatusForbidden)
	case kind != "application/json":
		http.Error(w, "Content-Type must be application/json", http.StatusUnsupportedMediaType)
	case json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<14)).Decode(&o) != nil || o.Name == "":
		http.Error(w, `the body must be {"Name": …}`, http.StatusBadRequest)
	case strings.ContainsRune(o.Name, utf8.RuneError): // JSON has it for what is no UTF-8; it would be another's name
		http.Error(w, fmt.Sprintf("the name %q has bytes that a browser cannot send; use redtick %s", o.Name, what), http.StatusBadRequest)
	case what == "release" && o.Token == "":
		http.Error(w, `the body must be {"Name": …, "Token": …}; the token is the holder's`, http.StatusBadRequest)
	case o.For < 0 || o.For > maxFor:
		http.Error(w, fmt.Sprintf("For is %d, must be 0 to %d ms", o.For, maxFor), http.StatusBadRequest)
	case !strings.HasPrefix(o.Name, p.names):
		http.Error(w, fmt.Sprintf("this page shows only names that begin with %q", p.names), http.StatusForbidden)
	default:
		if err := do(p, r, o); err != nil {
			http.Error(w, err.Error(), http.StatusConflict)
			return
		}
		p.board.ask(o.Name)
		w.WriteHeader(http.StatusNoContent)
	}
}
