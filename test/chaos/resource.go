package main

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// resource is what a lock protects: a file with a plain number. A replica that holds
// the lock reads it, works, and writes one more. The file also keeps the newest
// fence and the last writer.
//
// Each read and each write is atomic, as in a database. Only the lock protects the
// time between them.
type resource struct{ path string }

type content struct {
	Value, Fence int64
	Writer       string
}

// format has a fixed width, so that the file is written in one piece and a kill cannot
// leave half of it.
const format = "%020d %020d %-200s\n"

func newResource(dir, name string) resource {
	return resource{filepath.Join(dir, name+".resource")}
}

// read returns the number. From then on callers with an older fence are refused. ok
// is false if the caller itself is refused.
func (r resource) read(fence int64) (seen content, ok bool, err error) {
	err = r.locked(func(f *os.File) error {
		if seen, err = load(f); err != nil {
			return err
		}
		if ok = fence >= seen.Fence; !ok || fence == seen.Fence {
			return nil
		}
		return store(f, content{seen.Value, fence, seen.Writer})
	})
	return seen, ok, err
}

// write stores c and returns the former content, unless a newer fence was seen.
func (r resource) write(c content) (found content, ok bool, err error) {
	err = r.locked(func(f *os.File) error {
		if found, err = load(f); err != nil {
			return err
		}
		if ok = c.Fence >= found.Fence; !ok {
			return nil
		}
		return store(f, c)
	})
	return found, ok, err
}

func (r resource) locked(f func(*os.File) error) error {
	file, err := os.OpenFile(r.path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX); err != nil {
		return err
	}
	return f(file)
}

func load(f *os.File) (c content, err error) {
	text := make([]byte, 512)
	n, _ := f.ReadAt(text, 0)
	if n == 0 {
		return content{Writer: "nobody"}, nil
	}
	_, err = fmt.Sscanf(string(text[:n]), "%d %d %s", &c.Value, &c.Fence, &c.Writer)
	return c, err
}

func store(f *os.File, c content) error {
	_, err := f.WriteAt(fmt.Appendf(nil, format, c.Value, c.Fence, c.Writer), 0)
	return err
}
