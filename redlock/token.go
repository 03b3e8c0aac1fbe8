package redlock

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// newToken makes "holder/random" or, for a claim, "holder/random@tick". On the
// wire it is one opaque string; the holder is there for people and the tick for
// losers, who learn from it whether the lock they met belongs to a claim that
// was granted.
func (c *config) newToken(tick int64) (string, error) {
	random, err := c.random()
	if err != nil {
		return "", fmt.Errorf("redlock: the token function failed: %w", err)
	}
	if random == "" {
		return "", fmt.Errorf("redlock: the token function returned an empty token; every round needs its own unguessable one")
	}
	if tick != 0 {
		return c.holder + "/" + random + "@" + decimal(tick), nil
	}
	return c.holder + "/" + random, nil
}

// randomToken is 128 random bits: nobody can guess the token of another's
// lease, and two rounds never share one.
func randomToken() (string, error) {
	var b [16]byte
	rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:]), nil
}

// HolderOf returns the holder part of a token ("host:pid" unless [WithHolder]
// says otherwise), or the whole token when another library wrote it.
func HolderOf(token string) string {
	if i := strings.LastIndexByte(token, '/'); i >= 0 {
		return token[:i]
	}
	return token
}

// lastTick is the end of the year 9999 in Unix milliseconds.
const lastTick = 253402300799999

// TickOf returns the tick a claim's token was made for, or the zero time for
// a lock's token.
func TickOf(token string) time.Time {
	i := strings.LastIndexByte(token, '@')
	if i < 0 {
		return time.Time{}
	}
	ms, err := strconv.ParseInt(token[i+1:], 10, 64)
	if err != nil || ms <= 0 || ms > lastTick {
		return time.Time{} // another library's token, which happens to have this sign in it
	}
	return time.UnixMilli(ms).UTC()
}

func defaultHolder() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("%s:%d", host, os.Getpid())
}
