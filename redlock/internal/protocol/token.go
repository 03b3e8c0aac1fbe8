package protocol

import (
	"crypto/rand"
	"encoding/base64"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Token is "holder/random", with "@tick" behind it for a claim. On the wire it is
// one opaque string. The holder and the tick are there for people, and for those who
// want to know whether a tick is taken or an earlier run still holds the job.
func Token(holder, random string, tick int64) string {
	if tick == 0 {
		return holder + "/" + random
	}
	return holder + "/" + random + "@" + decimal(tick)
}

// detached marks the random part of a token that nobody holds.
const detached = "~"

// Detached is a token that waits to be adopted: no handle counts on it.
func Detached(holder, random string, tick int64) string { return Token(holder, random+detached, tick) }

// IsDetached reports whether a token waits to be adopted.
func IsDetached(token string) bool {
	random, _ := cutTick(token)
	return strings.HasSuffix(random, detached)
}

// Random is 128 random bits: nobody can guess the token of another's lease, and
// two rounds never share one.
func Random() (string, error) {
	var b [16]byte
	rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:]), nil
}

// HolderOf is the holder part of a token, or the whole token when another
// library wrote it.
func HolderOf(token string) string {
	if i := strings.LastIndexByte(token, '/'); i >= 0 {
		return token[:i]
	}
	return token
}

// lastTick is the end of the year 9999 in Unix milliseconds.
const lastTick = 253402300799999

// TickOf is the tick that a claim's token was made for in Unix milliseconds, or
// 0 for a lock's.
func TickOf(token string) int64 {
	_, tick := cutTick(token)
	return tick
}

func cutTick(token string) (rest string, tick int64) {
	i := strings.LastIndexByte(token, '@')
	if i < 0 {
		return token, 0
	}
	tick, err := strconv.ParseInt(token[i+1:], 10, 64)
	if err != nil || tick <= 0 || tick > lastTick {
		return token, 0 // another library's token, which happens to have this sign in it
	}
	return token[:i], tick
}

var ownToken = regexp.MustCompile(`/[A-Za-z0-9_-]{22}~?(@[0-9]+)?$`)

// IsOwn reports whether a string looks like a token of this package.
func IsOwn(s string) bool { return ownToken.MatchString(s) }

// Instant is a tick as a time, in UTC; the zero time for 0.
func Instant(tick int64) time.Time {
	if tick == 0 {
		return time.Time{}
	}
	return time.UnixMilli(tick).UTC()
}
