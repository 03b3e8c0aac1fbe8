package protocol

import "strconv"

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
	tick, text, ok := cutNumber(text)
	if !ok || tick <= 0 || tick > lastTick {
		return t, false
	}
	by, text, ok := cutNumber(text)
	if !ok || by < 0 || by > int64(len(text)) {
		return t, false
	}
	return Trigger{Tick: tick, By: text[:by], Name: text[by:]}, true
}
