// Package dashboard is a web page for the engineer on call. It shows what is wrong
// with the scheduled work of a fleet, with a row for each job: its state, last runs,
// next tick and holder. A service mounts it as an [http.Handler]:
//
//	mux.Handle("/redtick/", http.StripPrefix("/redtick", page))
//
// It has no login: put it behind your service's. It is read-only unless
// [WithControl] is given. The binary contains all its files, and it loads nothing
// from elsewhere.
//
// The load on the nodes does not depend on the number of viewers. All viewers share
// one poll a second and are sent the changes; without viewers there are no polls. A
// poll asks each node about at most 200 names, first those that run or are due, so
// with 1000 names it asks about each every five seconds. The databases are scanned
// for names during at most a twentieth of the time: on a big database a new name
// takes a while to appear, a lock longer than a job. The page shows at most 1000
// names and the last 40 runs of each. It may miss a lock that is held for less than
// a second.
//
// While no majority of the nodes answers, the page shows the last known state and
// its age.
//
// [http.Server.Shutdown] does not end open pages and would wait for them forever.
// End them with [http.Server.Close], or by cancelling the context of
// [http.Server.BaseContext].
package dashboard
