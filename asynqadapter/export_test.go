package asynqadapter

import "time"

// After and UpTo expose a parsed spec, for comparison with robfig/cron's activations.
func After(spec string, location *time.Location, t time.Time) (time.Time, error) {
	s, err := parseSpec(spec, location)
	if err != nil {
		return time.Time{}, err
	}
	return s.after(t), nil
}

func UpTo(spec string, location *time.Location, t time.Time) (time.Time, error) {
	s, err := parseSpec(spec, location)
	if err != nil {
		return time.Time{}, err
	}
	return s.upTo(t), nil
}
