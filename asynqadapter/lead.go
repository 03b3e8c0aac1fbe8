package asynqadapter

import (
	"context"
	"fmt"
	"reflect"
)

// Runner is what [Lead] runs during a term: *asynq.Scheduler,
// *asynq.PeriodicTaskManager.
type Runner interface {
	Start() error
	Shutdown()
}

// Lead makes a function for redlock's Elector.Run, so that a stock
// asynq.Scheduler runs on the leader only:
//
//	lead, err := asynqadapter.Lead(func() (*asynq.Scheduler, error) {
//		scheduler := asynq.NewScheduler(redis, nil)
//		_, err := scheduler.Register("@hourly", task)
//		return scheduler, err
//	})
//	elector, err := redlock.NewElector(mutex)
//	err = elector.Run(ctx, lead)
//
// A scheduler of asynq cannot be started again, so factory makes a fresh one
// for each term. It is shut down when the term ends, and the next leader is
// elected after that, unless the lease was lost and had to expire.
//
// Ticks that fall between a leader's death and the next one's election are
// not enqueued by anybody, and a tick may be enqueued twice when the next
// leader's clock is behind by more than the election took. [Scheduler] has
// neither gap; [OncePerTick] drops the second.
//
// When the factory or Start fails, that is a [LeadFailed] event and the term
// ends, so that another replica is elected. It knows [WithObserver].
func Lead[R Runner](factory func() (R, error), opts ...Option) (lead func(term context.Context) error, err error) {
	cfg, err := newConfig("Lead", []string{"WithObserver"}, opts)
	if err != nil {
		return nil, err
	}
	if factory == nil {
		return nil, invalid("factory is nil; pass a function that makes a scheduler and registers its tasks")
	}
	return func(term context.Context) error {
		err := serve(term, factory)
		if err != nil {
			cfg.observe.tell(Event{Kind: LeadFailed, Err: err})
		}
		return err
	}, nil
}

func serve[R Runner](term context.Context, factory func() (R, error)) error {
	runner, err := factory()
	if err != nil {
		return fmt.Errorf("asynqadapter: the factory passed to Lead: %w", err)
	}
	if v := reflect.ValueOf(runner); !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
		return fmt.Errorf("asynqadapter: the factory passed to Lead returned nil")
	}
	if term.Err() != nil {
		return nil
	}
	if err := runner.Start(); err != nil {
		return fmt.Errorf("asynqadapter: the scheduler of this term did not start; the factory must make a fresh one: %w", err)
	}
	defer runner.Shutdown()
	<-term.Done()
	return nil
}
