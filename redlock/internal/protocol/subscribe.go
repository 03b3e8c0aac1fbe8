package protocol

import (
	"cmp"
	"errors"
	"strconv"
	"time"
)

// WakeChannel returns the channel on which a waiting process receives notices.
func WakeChannel(waiter string) string { return "redtick:wake:" + waiter }

// DecodeNotice reads a notice of a release.
func DecodeNotice(text string) (token, name string, ok bool) { return cutSized(text, ":") }

// TriggerChannel is the channel on which processes listen for triggers. All fleets
// on a server share it.
const TriggerChannel = "redtick:trigger"

// Trigger is a message that requests one run of a job.
type Trigger struct {
	Name, By string
	Tick     int64 // the tick to run it under, in Unix ms
}

// Encode returns the text to publish.
func (t Trigger) Encode() string {
	return decimal(t.Tick) + " " + strconv.Itoa(len(t.By)) + " " + t.By + t.Name
}

// DecodeTrigger reads what Encode wrote.
func DecodeTrigger(text string) (t Trigger, ok bool) {
	tick, rest, ok := cutNumber(text)
	by, name, sized := cutSized(rest, " ")
	return Trigger{Tick: tick, By: by, Name: name}, ok && sized && tick > 0 && tick <= lastTick
}

var errEnded = errors.New("the driver ended the subscription without a reason")

// WhyEnded returns why a subscription ended, with the cure, given what the driver returned.
func WhyEnded(err error) error { return WithCure(cmp.Or(err, errEnded)) }

// SubscribePause returns the pause after so many failures in a row to subscribe. Each attempt may cost a connection.
func SubscribePause(failures int) time.Duration {
	return min(100*time.Millisecond<<min(failures, 6), 5*time.Second)
}
