package protocol

import "strconv"

// TriggerChannel is where the processes of all fleets listen for triggers.
const TriggerChannel = "redtick:trigger"

// Trigger is the message that asks for one run of a job.
type Trigger struct {
	Name, By string
	Tick     int64 // the tick to run it under, in Unix ms
}

// Encode returns the message as it is published.
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
