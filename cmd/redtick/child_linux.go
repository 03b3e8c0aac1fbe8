package main

import (
	"os"
	"os/signal"
	"unsafe"

	"golang.org/x/sys/unix"
)

// adoptOrphans ends the zombies of processes that the program has started and
// left behind, until the program itself has ended. As PID 1 of a container we
// are their parent then, and nobody else waits for them.
func adoptOrphans(c *child) {
	died := make(chan os.Signal, 1)
	signal.Notify(died, unix.SIGCHLD)
	go func() {
		defer signal.Stop(died)
		for {
			reap(c.Process.Pid)
			select {
			case <-died:
			case <-c.ended:
				return
			}
		}
	}()
}

// reap waits for all children that have died but the program, which os/exec
// waits for. While that one is dead and not waited for, others may be hidden
// behind it; then the end is near anyway.
func reap(program int) {
	for {
		var info unix.Siginfo
		err := unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
		pid := pidOf(&info)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil || pid == 0 || pid == program:
			return
		}
		if _, err := unix.Wait4(pid, nil, unix.WNOHANG, nil); err != nil && err != unix.EINTR {
			return
		}
	}
}

// pidOf reads a field that the package does not name: it follows three numbers
// of four bytes, at a multiple of a pointer's size.
func pidOf(info *unix.Siginfo) int {
	const size = unsafe.Sizeof(uintptr(0))
	return int(*(*int32)(unsafe.Add(unsafe.Pointer(info), (3*4+size-1)/size*size)))
}
