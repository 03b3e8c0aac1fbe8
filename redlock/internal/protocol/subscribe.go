package protocol

import (
	"cmp"
	"errors"
	"time"
)

var errEnded = errors.New("the driver ended the subscription without a reason")

// WhyEnded returns why a subscription ended, with the cure, given what the driver returned.
func WhyEnded(err error) error { return WithCure(cmp.Or(err, errEnded)) }

// SubscribePause returns the pause after so many failures in a row to subscribe. Each attempt may cost a connection.
func SubscribePause(failures int) time.Duration {
	return min(100*time.Millisecond<<min(failures, 6), 5*time.Second)
}
