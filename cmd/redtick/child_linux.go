package main

import (
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Linux kills the child when the thread that started it ends (Pdeathsig). So the
// main thread must start it, which lives as long as the process.
func init() { runtime.LockOSThread() }

func endWithParent(a *syscall.SysProcAttr) { a.Pdeathsig = syscall.SIGKILL }

// programs holds the children that os/exec waits for. The lock keeps reap from
// running while a child has been started but its id is not yet recorded.
var programs = struct {
	sync.Mutex
	ids map[int]bool
}{ids: map[int]bool{}}

// adoptOrphans makes this process the parent of processes that programs leave behind,
// and reaps them. As PID 1 of a container it is their parent anyway. Otherwise PID 1
// may not be an init and reap them late or never, and until then they count as living
// members of the program's group.
var adoptOrphans = sync.OnceFunc(func() {
	_ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
	died := make(chan os.Signal, 1)
	signal.Notify(died, unix.SIGCHLD)
	go func() {
		for range died {
			reap()
		}
	}()
})

func startProgram(c *exec.Cmd) error {
	adoptOrphans()
	programs.Lock()
	defer programs.Unlock()
	err := c.Start()
	if err == nil {
		programs.ids[c.Process.Pid] = true
	}
	return err
}

// endedProgram forgets a program that os/exec has waited for, and reaps the orphans
// that were hidden behind it.
func endedProgram(pid int) {
	programs.Lock()
	delete(programs.ids, pid)
	programs.Unlock()
	reap()
}

// reap waits for all dead children except programs. Other children may be hidden
// behind a dead program until os/exec has waited for it.
func reap() {
	programs.Lock()
	defer programs.Unlock()
	for {
		var info unix.Siginfo
		err := unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
		pid := pidOf(&info)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil || pid == 0 || programs.ids[pid]:
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
