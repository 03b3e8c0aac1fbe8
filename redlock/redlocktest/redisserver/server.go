//go:build unix

package redisserver

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	startLimit    = 10 * time.Second
	startAttempts = 5
)

// Server is one redis-server process. Addr, Port and Do may be called from any
// goroutine. The other methods end the test when they fail, so they must be called
// from the test's goroutine.
type Server struct {
	t        testing.TB
	binary   string
	dir      string
	port     int
	args     []string
	password string
	secure   *secure // nil without TLS
	sentinel bool    // whether it is a Sentinel; see StartSentinel

	process *os.Process
	exited  chan struct{}
}

// Start runs a redis-server with additional arguments, as on its command line
// ("--requirepass", "secret"), and returns when it answers. The server ends with
// the test.
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	s := &Server{t: t, binary: find(t), dir: t.TempDir(), args: args}
	if i := slices.Index(args, "--requirepass"); i >= 0 && i+1 < len(args) {
		s.password = args[i+1]
	}
	t.Cleanup(s.Kill)
	s.startAnywhere()
	return s
}

// StartN runs n independent servers.
func StartN(t testing.TB, n int) []*Server {
	t.Helper()
	servers := make([]*Server, n)
	for i := range servers {
		servers[i] = Start(t)
	}
	return servers
}

// Addr returns the server's address: 127.0.0.1 and its port.
func (s *Server) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// Port returns the server's port. Restart keeps it.
func (s *Server) Port() int { return s.port }

// Pause makes the server hang until Resume: its connections stay open, the kernel
// accepts new ones, and nothing is answered.
func (s *Server) Pause() { s.signal(syscall.SIGSTOP) }

// Resume ends a Pause. The server then executes the commands sent meanwhile.
func (s *Server) Resume() { s.signal(syscall.SIGCONT) }

// Kill ends the process at once, paused or not, and returns when it is gone.
// Killing a dead server does nothing.
func (s *Server) Kill() {
	if s.process == nil {
		return
	}
	// SIGKILL ends a stopped process, too, but some kernels report that only after
	// SIGCONT.
	_ = s.process.Signal(syscall.SIGCONT)
	_ = s.process.Kill()
	<-s.exited
	s.process = nil
}

// Restart kills the server if it runs, and starts it again with the same port and
// directory. Its data is lost unless it was started with --appendonly yes.
func (s *Server) Restart() {
	s.t.Helper()
	s.Kill()
	if err := s.launch(); err != nil {
		s.t.Fatalf("redisserver: restart on port %d: %v", s.port, err)
	}
}

func (s *Server) signal(sig syscall.Signal) {
	s.t.Helper()
	if s.process == nil {
		s.t.Fatalf("redisserver: %v for a server that does not run", sig)
	}
	if err := s.process.Signal(sig); err != nil {
		s.t.Fatalf("redisserver: %v: %v", sig, err)
	}
}

// startAnywhere tries several ports: another process may take a free port before
// the server does.
func (s *Server) startAnywhere() {
	s.t.Helper()
	var err error
	for range startAttempts {
		s.port = freePort(s.t)
		if s.secure != nil {
			s.secure.port = freePort(s.t)
		}
		if err = s.launch(); err == nil {
			return
		}
		s.Kill()
	}
	s.t.Fatalf("redisserver: %v", err)
}

func (s *Server) launch() error {
	log, err := os.Create(filepath.Join(s.dir, "redis.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(s.binary, s.arguments()...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = endWithParent()
	if err := cmd.Start(); err != nil {
		return err
	}
	exited := make(chan struct{})
	s.process, s.exited = cmd.Process, exited
	go func() {
		_ = cmd.Wait()
		close(exited)
	}()
	return s.awaitAnswer()
}

func (s *Server) arguments() []string {
	if s.sentinel {
		return append(slices.Clone(s.args), "--port", strconv.Itoa(s.port))
	}
	args := []string{
		"--port", strconv.Itoa(s.port), "--bind", "127.0.0.1",
		"--save", "", "--appendonly", "no", "--dir", s.dir,
	}
	return append(append(args, s.secure.arguments()...), s.args...)
}

// awaitAnswer waits until the server executes commands. A PONG does not prove that:
// it may come from another server that took the port. Nor does INFO, which a server
// answers while it loads its data.
func (s *Server) awaitAnswer() error {
	mine := fmt.Sprintf("process_id:%d\r\n", s.process.Pid)
	for end := time.Now().Add(startLimit); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		select {
		case <-s.exited:
			return fmt.Errorf("%s ended: %s", s.binary, s.log())
		default:
		}
		info, err := s.Do("INFO")
		text, ok := info.(string)
		if err == nil && ok && strings.Contains(text, mine) && (s.sentinel || strings.Contains(text, "\nloading:0\r\n")) {
			return nil
		}
	}
	return fmt.Errorf("%s does not answer: %s", s.binary, s.log())
}

func (s *Server) log() []byte {
	text, _ := os.ReadFile(filepath.Join(s.dir, "redis.log"))
	return text
}

// binaryVariable is the environment variable with the path of the server to run
// instead of the redis-server in the PATH.
const binaryVariable = "REDTICK_REDIS_SERVER"

func find(t testing.TB) string {
	t.Helper()
	if named := os.Getenv(binaryVariable); named != "" {
		binary, err := exec.LookPath(named)
		if err != nil {
			// Do not skip: the requested server would silently not be tested.
			t.Fatalf("%s is %q, must be a redis-server or valkey-server that can be run: %v", binaryVariable, named, err)
		}
		return binary
	}
	binary, err := exec.LookPath("redis-server")
	if err == nil {
		return binary
	}
	const missing = "redis-server is not installed, so what needs a real server is left out " +
		"(apt-get install redis-server, or brew install redis)"
	if os.Getenv("REDTICK_REQUIRE_REDIS") == "1" {
		t.Fatal(missing)
	}
	t.Skip(missing)
	return ""
}

// freePort returns a free port that leaves room for a Cluster's bus, 10,000 above it.
func freePort(t testing.TB) int {
	t.Helper()
	for {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatalf("redisserver: %v", err)
		}
		defer listener.Close()
		if port := listener.Addr().(*net.TCPAddr).Port; port+10000 < 1<<16 {
			return port
		}
	}
}
