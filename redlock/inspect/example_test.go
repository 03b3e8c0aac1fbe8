package inspect_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/inspect"
	"github.com/redtick/redtick/redlock/redlocktest"
)

// What an operator does about a holder that hangs.
func ExampleNew() {
	ctx := context.Background()
	servers := redlocktest.Servers(3)
	locker, _ := redlock.New(redlocktest.Nodes(servers, "api-1"), redlock.WithHolder("api-1"))
	defer locker.Close(ctx)
	m, _ := locker.NewMutex("import")
	lease, _ := m.Lock(ctx)

	inspector, _ := inspect.New(redlocktest.Nodes(servers, "ops"))
	names, more, err := inspector.Names(ctx, "", 100)
	fmt.Println(names, more, err)
	info, err := inspector.Show(ctx, "import")
	if err != nil {
		fmt.Println(err) // what the others answered is in info
	}
	fmt.Println("held by", info.Holder)

	// Release only the holder that was seen: a later one keeps the name.
	fmt.Println("released:", inspector.Release(ctx, "import", info.Token))
	later, err := m.TryLock(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("not the later one:", errors.Is(inspector.Release(ctx, "import", info.Token), redlock.ErrLost))
	fmt.Println("the first is told:", errors.Is(lease.Unlock(ctx), redlock.ErrLost))
	fmt.Println("the later one ends:", later.Unlock(ctx))
	// Output:
	// [import] false <nil>
	// held by api-1
	// released: <nil>
	// not the later one: true
	// the first is told: true
	// the later one ends: <nil>
}

// New servers vote at once because they are declared to be new. Servers that
// lost their data abstain until nothing they forgot can still be valid.
func ExampleInspector_Bootstrap() {
	ctx := context.Background()
	servers := redlocktest.Servers(3)
	locker, _ := redlock.New(redlocktest.Nodes(servers, "example"), redlock.WithRestartGuard(30*time.Second),
		redlock.WithObserver(func(redlock.Event) {}))
	defer locker.Close(ctx)
	inspector, _ := inspect.New(redlocktest.Nodes(servers, "ops"))
	if err := inspector.Bootstrap(ctx); err != nil { // once in the fleet's life
		fmt.Println(err)
		return
	}
	m, _ := locker.NewMutex("import")
	lease, err := m.TryLock(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("new servers vote:", lease.Unlock(ctx))

	servers[0].Restart()
	servers[1].Restart()
	_, err = m.TryLock(ctx)
	fmt.Println("two lost their data:", errors.Is(err, redlock.ErrNoQuorum), errors.Is(err, redlock.ErrNodeYoung))
	fmt.Println("not to be called new:", errors.Is(inspector.Bootstrap(ctx), redlock.ErrNodeYoung))
	// Output:
	// new servers vote: <nil>
	// two lost their data: true true
	// not to be called new: true
}
