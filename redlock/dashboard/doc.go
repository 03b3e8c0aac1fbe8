// Package dashboard is a page for somebody on call: what is wrong now with the
// scheduled work of a fleet, and a row for each job with its state, its last
// runs, when it is due, and who holds it. A service mounts it as an
// [http.Handler]:
//
//	mux.Handle("/redtick/", http.StripPrefix("/redtick", page))
//
// It has no login of its own: put it behind the one your service has. It is
// read-only unless [WithControl] is given. Nothing is asked of the nodes while
// nobody looks. It needs no files besides the binary, and loads nothing from
// elsewhere.
//
// What it costs the nodes does not depend on how many look: viewers share what
// was asked, and are sent what has changed. A look, once a second, asks each node
// about 200 names at most, those first that run or are due; of 1000 names each is
// asked about every five seconds. The runs of a job are read when it has a new
// one. Finding names scans the databases, which gets a twentieth of the time: on
// a big database a new name takes a while to appear, a lock longer than a job. At
// most 1000 names and the last 40 runs of each are shown. A lock that was held
// for less than a second may never show.
//
// While no majority of the nodes answers, the page keeps what it knew last, and
// says how old that is.
//
// [http.Server.Shutdown] waits for open pages, which stay open; end them by
// [http.Server.Close], or by cancelling what [http.Server] has as BaseContext.
package dashboard
