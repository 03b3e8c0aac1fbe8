// Package dashboard is a page that shows what the replicas of a service do:
// jobs and names, who holds them, a strip of which replica ran each of the
// last ticks, and the nodes. A service mounts it as an [http.Handler]:
//
//	mux.Handle("/redtick/", http.StripPrefix("/redtick", page))
//
// It has no login of its own: put it behind the one your service has. It is
// read-only unless [WithRelease] is given. Nothing is asked of the nodes while
// nobody looks. It needs no files besides the binary, and loads nothing from
// elsewhere.
//
// It shows what it finds by asking the nodes about once a second, so a lock
// that was held for less than that may never show as held; ticks are found
// all the same, for as long as the nodes remember them.
package dashboard
