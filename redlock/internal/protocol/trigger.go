package protocol

import (
	"strconv"
	"strings"
)

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
	var numbers [2]int64
	for i := range numbers {
		number, rest, found := strings.Cut(text, " ")
		n, err := strconv.ParseInt(number, 10, 64)
		if !found || err != nil || n < 0 {
			return t, false
		}
		numbers[i], text = n, rest
	}
	tick, by := numbers[0], numbers[1]
	if tick == 0 || tick > lastTick || by > int64(len(text)) {
		return t, false
	}
	return Trigger{Tick: tick, By: text[:by], Name: text[by:]}, true
}
