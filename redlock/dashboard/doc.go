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
// that was held for less than that may never show. Ticks are found all the
// same, if late, for as long as the nodes remember them, and a majority tells
// who claimed them: with a node out, a tick may be missing that one of the
// others never heard of. A look asks each node
// one question per name; what scans a database, which is finding names and the
// ticks of the past, gets at most a twentieth of the time each, so that on a
// big database a new name takes a while to appear. At most 200 names and the last
// 40 ticks of each are shown.
//
// [http.Server.Shutdown] waits for open pages, which stay open; end them by
// [http.Server.Close], or by cancelling what [http.Server] has as BaseContext.
package dashboard
