package dashboard

import (
	"context"
	"time"
)

// share is how much of the time may go into what takes time in proportion to
// the nodes' databases: scanning for names, and for the ticks of a name.
const share = 20

// roster is the names there are. Finding them scans the databases, so a big
// database is scanned less often.
type roster struct {
	names []string
	more  bool
	err   error
	next  time.Time
}

func (r *roster) list(ctx context.Context, p *Page) ([]string, bool, error) {
	begin := time.Now()
	if begin.Before(r.next) {
		return r.names, r.more, r.err
	}
	r.names, r.more, r.err = p.inspector.Names(ctx, p.names, maxNames)
	if r.err == nil {
		end := time.Now()
		r.next = end.Add(end.Sub(begin) * (share - 1))
	}
	return r.names, r.more, r.err
}
