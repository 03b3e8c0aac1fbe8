package ticks

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"
)

// FollowsLocal reports whether a schedule depends on time.Local, and time.Local may
// be another zone on another machine. It compares with an offset of 5:45, which
// changes even schedules that repeat every hour.
func FollowsLocal(next func(time.Time) time.Time, t time.Time) bool {
	return t.Location() == time.Local && LocalMayDiffer() && !next(t).Equal(next(t.In(kathmandu)))
}

var kathmandu = time.FixedZone("+0545", 5*3600+45*60)

// Local describes this machine's time zone, for a warning that it may differ elsewhere.
func Local(t time.Time) string {
	return fmt.Sprintf("the time zone of this machine (TZ is %q, now %s)", os.Getenv("TZ"), t.Local().Format("MST -0700"))
}

// LocalMayDiffer reports whether time.Local may be another zone on another
// machine: it is not UTC, or it is UTC only because Go cannot read TZ.
func LocalMayDiffer() bool { return !isUTC(time.Local) || !ReadableTZ(os.Getenv("TZ")) }

func isUTC(zone *time.Location) bool {
	for _, month := range []time.Month{time.January, time.July} {
		if _, offset := time.Date(time.Now().Year(), month, 1, 0, 0, 0, 0, zone).Zone(); offset != 0 {
			return false
		}
	}
	return true
}

var known sync.Map // caches ReadableTZ by TZ, because LoadLocation reads a file each time

// zeroTZ matches values of TZ in POSIX form, such as UTC0, that mean UTC without daylight saving time.
var zeroTZ = regexp.MustCompile(`^([A-Za-z]{3,}|<[A-Za-z0-9+-]{3,}>)[+-]?0+$`)

// ReadableTZ reports whether Go understands a value of TZ. It silently treats every
// other value as UTC.
func ReadableTZ(tz string) bool {
	tz = strings.TrimPrefix(tz, ":")
	if ok, found := known.Load(tz); found {
		return ok.(bool)
	}
	_, err := time.LoadLocation(tz)
	ok := err == nil || filepath.IsAbs(tz) || zeroTZ.MatchString(tz)
	known.Store(tz, ok)
	return ok
}
