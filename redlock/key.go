package redlock

import (
	"strconv"
	"strings"
	"sync"
	"time"
)

// keys are the Redis keys of one name. They share the name's hash slot, so that
// a script may touch them together on Redis Cluster.
type keys struct {
	lock    string
	last    string
	fence   string
	waiters string
	base    string
}

// guardKey holds what the restart guard knows of a node. It is one key per
// server, which is why the guard is not available on Redis Cluster.
const guardKey = "redtick:guard"

func newKeys(name string) keys {
	base := companion(name)
	return keys{lock: name, last: base + "last", fence: base + "fence", waiters: base + "wait", base: base}
}

func (k *keys) tick(ms int64) string          { return k.base + "tick:" + decimal(ms) }
func (k *keys) tombstone(token string) string { return k.base + "dead:" + token }
func decimal(n int64) string                  { return strconv.FormatInt(n, 10) }
func milliseconds(d time.Duration) string     { return decimal(d.Milliseconds()) }

// companion is what the other keys of a name begin with. They stay in the
// name's hash slot, and no two names share one: each of the three spellings has
// an ending of its own. Redis hashes what stands between the first '{' and the first '}'
// after it, unless that is empty or missing; then the whole key counts
// (Redis Cluster specification, "Hash tags").
func companion(name string) string {
	if hashTag(name) != name {
		return name + ":redtick+:"
	}
	if !strings.Contains(name, "}") {
		return "{" + name + "}:redtick:"
	}
	// The name cannot stand in braces of its own: a short tag of the same slot does instead.
	return "{" + tags()[slot(name)] + "}" + name + ":redtick-:"
}

// tags has one short hash tag for every slot. It is made for the first name that needs one.
var tags = sync.OnceValue(func() *[slots]string {
	var all [slots]string
	for i, missing := int64(0), slots; missing > 0; i++ {
		tag := strconv.FormatInt(i, 36)
		if at := &all[slot(tag)]; *at == "" {
			*at = tag
			missing--
		}
	}
	return &all
})

func hashTag(key string) string {
	open := strings.IndexByte(key, '{')
	if open < 0 {
		return key
	}
	if end := strings.IndexByte(key[open+1:], '}'); end > 0 {
		return key[open+1 : open+1+end]
	}
	return key
}

const slots = 16384

// slot is the CRC16 (XMODEM) of the key's hash tag, modulo the number of slots.
func slot(key string) uint16 {
	crc := uint16(0)
	for _, b := range []byte(hashTag(key)) {
		crc ^= uint16(b) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
	}
	return crc % slots
}
