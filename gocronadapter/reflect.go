package gocronadapter

import (
	"reflect"
	"time"

	"github.com/go-co-op/gocron/v2"
)

// ifUnset applies option unless this field of the job is set already, by
// gocron.WithGlobalJobOptions: gocron keeps one listener of each kind, and the
// job's own options, which include those of this package, override the global
// ones. gocron does not export its job type, but an option can look at the job. If
// the field does not exist, option is applied.
func ifUnset[J any](field string, option func(*J, time.Time) error) func(*J, time.Time) error {
	return func(j *J, now time.Time) error {
		if isSet(j, field) {
			return nil
		}
		return option(j, now)
	}
}

// noteLocker is an option that sets found to whether an option before it gave the job a locker.
func noteLocker(found *bool) gocron.JobOption {
	return inspect(gocron.WithTags(), func(j any) { *found = isSet(j, "locker") })
}

// inspect returns an option that calls see with the job. The first argument serves only to infer gocron's job type.
func inspect[J any](_ func(*J, time.Time) error, see func(job any)) func(*J, time.Time) error {
	return func(j *J, _ time.Time) error {
		see(j)
		return nil
	}
}

func isSet(job any, field string) bool {
	v := reflect.ValueOf(job).Elem().FieldByName(field)
	return v.IsValid() && !v.IsZero()
}
