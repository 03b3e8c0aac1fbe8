package dashboard

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/redtick/redtick/redlock/inspect"
)

// order is the body of a control request.
type order struct {
	Name  string
	Token string // the holder's, for a release
	For   int64  // how long a pause lasts, in milliseconds; 0 for until it is resumed
	Why   string
	by    string // who sent it
}

var orders = map[string]func(i *inspect.Inspector, ctx context.Context, o order) error{
	"release": func(i *inspect.Inspector, ctx context.Context, o order) error { return i.Release(ctx, o.Name, o.Token) },
	"resume":  func(i *inspect.Inspector, ctx context.Context, o order) error { return i.Resume(ctx, o.Name) },
	"forget":  func(i *inspect.Inspector, ctx context.Context, o order) error { return i.Forget(ctx, o.Name) },
	"pause": func(i *inspect.Inspector, ctx context.Context, o order) error {
		return i.Pause(ctx, o.Name, inspect.Pause{By: o.by, Why: o.Why, For: time.Duration(o.For) * time.Millisecond})
	},
	"trigger": func(i *inspect.Inspector, ctx context.Context, o order) error {
		_, err := i.Trigger(ctx, o.Name, o.by)
		return err
	},
}

// maxFor keeps a pause from overflowing a [time.Duration].
const maxFor = int64(10 * 365 * 24 * time.Hour / time.Millisecond)

// obey executes a control request, but only one from the page itself: a browser
// identifies requests from another site by Sec-Fetch-Site or Origin, and a plain
// form cannot have the JSON content type.
func (p *Page) obey(w http.ResponseWriter, r *http.Request) {
	var o order
	what := r.PathValue("order")
	do := orders[what]
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case do == nil:
		http.NotFound(w, r)
	case p.user == nil:
		http.Error(w, "this page is read-only; dashboard.WithControl allows it to "+what, http.StatusForbidden)
	case http.NewCrossOriginProtection().Check(r) != nil:
		http.Error(w, "the request comes from another site; use this page itself, and let a proxy in front of it pass the Host header on", http.StatusForbidden)
	case kind != "application/json":
		http.Error(w, "Content-Type must be application/json", http.StatusUnsupportedMediaType)
	case json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<14)).Decode(&o) != nil || o.Name == "":
		http.Error(w, `the body must be {"Name": …}`, http.StatusBadRequest)
	case strings.ContainsRune(o.Name, utf8.RuneError): // stands for invalid UTF-8 in JSON, and would be another name
		http.Error(w, fmt.Sprintf("the name %q has bytes that a browser cannot send; use redtick %s", o.Name, what), http.StatusBadRequest)
	case what == "release" && o.Token == "":
		http.Error(w, `the body must be {"Name": …, "Token": …}; the token is the holder's`, http.StatusBadRequest)
	case o.For < 0 || o.For > maxFor:
		http.Error(w, fmt.Sprintf("For is %d, must be 0 to %d ms", o.For, maxFor), http.StatusBadRequest)
	case !strings.HasPrefix(o.Name, p.names):
		http.Error(w, fmt.Sprintf("this page shows only names that begin with %q", p.names), http.StatusForbidden)
	default:
		o.by = cmp.Or(p.user(r), "the page")
		if err := do(p.inspector, r.Context(), o); err != nil {
			http.Error(w, err.Error(), http.StatusConflict)
			return
		}
		p.board.ask(o.Name)
		w.WriteHeader(http.StatusNoContent)
	}
}
