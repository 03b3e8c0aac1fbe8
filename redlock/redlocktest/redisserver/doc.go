// Package redisserver runs real redis-server processes for tests.
//
// It needs a redis-server in the PATH and a Unix system. Without redis-server
// a test is skipped with a message, or fails if REDTICK_REQUIRE_REDIS=1 is in the
// environment, as in CI. REDTICK_REDIS_SERVER=/path/to/valkey-server runs another
// server instead.
//
// Every server listens on a free port of 127.0.0.1, saves nothing to disk by
// default, and ends with its test:
//
//	server := redisserver.Start(t)                       // empty, nothing saved
//	server := redisserver.Start(t, "--appendonly", "yes") // survives Restart
//	client := redis.NewClient(&redis.Options{Addr: server.Addr()})
//
//	server.Pause()  // hangs: connections stand, nothing is answered
//	server.Resume()
//	server.Kill()   // refuses connections
//	server.Restart()
//
// [StartSentinel] and [StartShards] run deployments that fail over by themselves.
// [Forward] makes an address that can be moved from one server to another.
package redisserver
