package redlock_test

import (
	"slices"
	"testing"
	"time"

	"github.com/redtick/redtick/redlock"
)

// Three replicas take turns though one's clock is ahead by nearly the spread, and one that has been alone for a while does not wait any more.
//
// Seen to fail with the random delay alone (the first has every tick), without the delay after the next tick (it has every other one), and
// when being alone goes unnoticed.
func TestSpread_turns(t *testing.T) {
	const spread, ahead = 40 * time.Millisecond, 38 * time.Millisecond
	inBubble(t, 3, func(t *testing.T, fl *fleet) {
		var jobs []*redlock.Job
		for _, name := range []string{"a", "b", "c"} {
			p := fl.process(name, redlock.WithJitter(func(time.Duration) time.Duration { return 0 }))
			jobs = append(jobs, must[*redlock.Job](t)(p.NewJob("job", redlock.WithSpread(spread))))
		}
		// tick returns which of the replicas has run the next tick, and when.
		tick := func(jobs []*redlock.Job) (winner int, late time.Duration) {
			time.Sleep(time.Until(time.Now().Truncate(time.Second).Add(2*time.Second - ahead)))
			at := time.Now().Add(ahead)
			ran := make(chan int, len(jobs))
			for i, j := range jobs {
				go func() {
					if i > 0 {
						time.Sleep(time.Until(at) + time.Duration(i-1)*time.Millisecond)
					}
					lease, err := j.Claim(t.Context(), at)
					if err != nil {
						ran <- -1
						return
					}
					late = time.Since(at)
					ok(t, lease.Unlock(t.Context()))
					ran <- i
				}()
			}
			winner = -1
			for range jobs {
				winner = max(winner, <-ran)
			}
			return winner, late
		}
		var order []int
		for range 9 {
			winner, _ := tick(jobs)
			order = append(order, winner)
		}
		if want := []int{0, 1, 2, 0, 1, 2, 0, 1, 2}; !slices.Equal(order, want) {
			t.Errorf("the ticks were run by %v, want %v", order, want)
		}
		var lates []time.Duration
		for range 10 {
			_, late := tick(jobs[:1])
			lates = append(lates, late+ahead)
		}
		if lates[1] != 2*spread || lates[9] != 0 {
			t.Errorf("alone, the replica claimed %v after its clock had the tick, want %v at first and 0 in the end", lates, 2*spread)
		}
	})
}
