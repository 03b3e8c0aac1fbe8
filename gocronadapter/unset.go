package gocronadapter

import (
	"reflect"
	"time"

	"github.com/go-co-op/gocron/v2"
)

// ifUnset applies an option of this package where gocron.WithGlobalJobOptions
// has not set the same: gocron keeps one listener of each kind, and a job's own
// options, which ours are among, go before the global ones. gocron does not
// export the job; an option may look at it all the same. One that gocron keeps
// elsewhere is applied.
func ifUnset[J any](field string, option func(*J, time.Time) error) func(*J, time.Time) error {
	return func(j *J, now time.Time) error {
		if isSet(j, field) {
			return nil
		}
		return option(j, now)
	}
}

// seeLocker is an option that notes whether those before it gave the job a locker.
func seeLocker(found *bool) gocron.JobOption {
	return look(gocron.WithTags(), func(j any) { *found = isSet(j, "locker") })
}

// look is an option that looks at the job; that of its first argument is there for its type.
func look[J any](_ func(*J, time.Time) error, see func(job any)) func(*J, time.Time) error {
	return func(j *J, _ time.Time) error {
		see(j)
		return nil
	}
}

func isSet(job any, field string) bool {
	v := reflect.ValueOf(job).Elem().FieldByName(field)
	return v.IsValid() && !v.IsZero()
}
