// Package memredis is the part of Redis that redlock's scripts and tests need,
// in memory: keys that end, the commands, and the Lua they are called from. It
// knows no network; that is redlocktest's.
package memredis
