package asynqadapter

import "time"

// After and UpTo are what a spec means, for comparison with robfig's own chain of activations.
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

// Bound is how many tasks a Stamp knows.
func (s *Stamp) Bound() (n int) {
	s.bound.Range(func(any, any) bool { n++; return true })
	return n
}
