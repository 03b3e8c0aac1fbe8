// Package dashboard is a page for the engineer on call. It says what is wrong now
// with the scheduled work of a fleet, and has a row for each job with its state,
// last runs, next tick and holder. A service mounts it as an [http.Handler]:
//
//	mux.Handle("/redtick/", http.StripPrefix("/redtick", page))
//
// It has no login of its own: put it behind your service's. It is read-only
// unless [WithControl] is given. It needs no files besides the binary, and loads
// nothing from elsewhere.
//
// The load on the nodes does not depend on the number of viewers, who share one
// look a second and are sent what has changed; without viewers there is none. A
// look asks each node about at most 200 names, first about those that run or are
// due, so with 1000 names it asks about each every five seconds. Finding names
// scans the databases, for at most a twentieth of the time: on a big database a
// new name takes a while to appear, a lock longer than a job. The page shows at
// most 1000 names and the last 40 runs of each. A lock that is held for less than
// a second may never show.
//
// While no majority of the nodes answers, the page keeps what it knew last, and
// says how old that is.
//
// [http.Server.Shutdown] would wait for open pages for ever; end them with
// [http.Server.Close], or by cancelling the context of [http.Server.BaseContext].
package dashboard
