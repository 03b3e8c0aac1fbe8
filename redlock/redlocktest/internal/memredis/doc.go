// Package memredis implements in memory the part of Redis that redlock's scripts and
// tests need: expiring keys, commands and Lua. It has no network; redlocktest adds
// that.
package memredis
