// Package compat measures what a fleet of replicas loses when its Redis fails
// over: three replicas claim six jobs at 1 Hz through each client, while a
// master is killed, stopped, demoted, or a slot moves.
//
//	make compat                 all faults, on Redis and on Valkey
//	make compat QUICK=1         three of them, which CI runs
//	go test -v -run TestFleet   on the redis-server in the PATH
//
// It also tries every feature on every topology (TestMatrix), and the first claim
// after a firewall forgot all connections (TestQuietNight).
//
// It fails when a tick ran twice, or when a client did not come back: a second
// after its servers, or fifteen in a short run.
package compat
