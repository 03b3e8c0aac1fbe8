package protocol

import (
	"crypto/rand"
	"encoding/base64"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Token returns "holder/random", followed by "@tick" for a claim. Redis treats it as
// one opaque string. The holder is for people to read. The tick lets a refused claim
// tell another run of its own tick from an earlier run that still holds the job.
func Token(holder, random string, tick int64) string {
	if tick == 0 {
		return holder + "/" + random
	}
	return holder + "/" + random + "@" + decimal(tick)
}

// detached marks the random part of a token that nobody holds.
const detached = "~"

// Reserved are the characters that a random part must not contain, because they end it.
const Reserved = "@" + detached

// Detached returns a token that waits to be adopted: no handle relies on it.
func Detached(holder, random string, tick int64) string { return Token(holder, random+detached, tick) }

// IsDetached reports whether a token waits to be adopted.
func IsDetached(token string) bool {
	rest, _ := cutTick(token)
	return strings.HasSuffix(rest, detached) && strings.Contains(rest, "/")
}

// Random returns 128 random bits, so that nobody can guess another lease's token
// and no two rounds share one.
func Random() (string, error) {
	var b [16]byte
	rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:]), nil
}

// HolderOf returns the holder part of a token, or the whole token when another
// library wrote it.
func HolderOf(token string) string {
	if i := strings.LastIndexByte(token, '/'); i >= 0 {
		return token[:i]
	}
	return token
}

// lastTick is the end of the year 9999 in Unix milliseconds.
const lastTick = 253402300799999

// TickOf returns the tick that a claim's token was made for, in Unix milliseconds,
// or 0 for a lock's token.
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
	if err != nil || tick <= 0 || tick > lastTick || !strings.Contains(token[:i], "/") {
		return token, 0 // another library's token that happens to contain an @, such as host@8080
	}
	return token[:i], tick
}

var ownToken = regexp.MustCompile(`/[A-Za-z0-9_-]{22}~?(@[0-9]+)?$`)

// IsOwn reports whether a string looks like a token of this package.
func IsOwn(s string) bool { return ownToken.MatchString(s) }

// Instant returns a tick as a time in UTC, or the zero time for 0.
func Instant(tick int64) time.Time {
	if tick == 0 {
		return time.Time{}
	}
	return time.UnixMilli(tick).UTC()
}
