package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
)

// server is one redis-server process of this run.
type server struct {
	addr  string
	port  string
	dir   string
	cmd   *exec.Cmd
	admin *redis.Client
}

const startLimit = 10 * time.Second

// startServers runs n independent servers.
func startServers(n int) (servers, error) {
	var all servers
	for range n {
		s, err := startServer()
		if err != nil {
			all.kill()
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

func startServer() (*server, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	s := &server{addr: net.JoinHostPort("127.0.0.1", port), port: port}
	if s.dir, err = os.MkdirTemp("", "redtick-benchmark"); err != nil {
		return nil, err
	}
	s.admin = redis.NewClient(&redis.Options{Addr: s.addr, MaxRetries: -1})
	return s, s.launch()
}

// launch starts or restarts the process.
func (s *server) launch() error {
	binary, err := exec.LookPath("redis-server")
	if err != nil {
		return errors.New("redis-server is not in the PATH; the benchmark starts its own servers (apt-get install redis-server, or brew install redis)")
	}
	s.cmd = exec.Command(binary, "--port", s.port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", s.dir)
	s.cmd.SysProcAttr = endWithParent()
	if err := s.cmd.Start(); err != nil {
		return err
	}
	return s.await()
}

func (s *server) await() error {
	var err error
	for end := time.Now().Add(startLimit); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if err = s.admin.Ping(context.Background()).Err(); err == nil {
			return nil
		}
	}
	s.end()
	return fmt.Errorf("redis-server on %s does not answer after %v: %w", s.addr, startLimit, err)
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port), nil
}

// hang makes the server keep its connections but not answer until resume.
func (s *server) hang()   { _ = s.cmd.Process.Signal(syscall.SIGSTOP) }
func (s *server) resume() { _ = s.cmd.Process.Signal(syscall.SIGCONT) }

// end makes the server's port refuse connections until launch.
func (s *server) end() {
	s.resume()
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}

func (s *server) kill() {
	s.end()
	_ = s.admin.Close()
	_ = os.RemoveAll(s.dir)
}

// serverUsage is the resource usage of servers since their start.
type serverUsage struct {
	cpu             time.Duration
	commands, reads float64
}

func (s *server) usage() serverUsage {
	text, _ := s.admin.Info(context.Background(), "cpu", "stats").Result()
	seconds := field(text, "used_cpu_sys") + field(text, "used_cpu_user")
	return serverUsage{
		cpu:      time.Duration(seconds * float64(time.Second)),
		commands: field(text, "total_commands_processed"),
		reads:    field(text, "total_reads_processed"),
	}
}

// field returns one number of INFO.
func field(info, name string) float64 {
	_, rest, _ := strings.Cut(info, "\n"+name+":")
	value, _, _ := strings.Cut(rest, "\r")
	n, _ := strconv.ParseFloat(value, 64)
	return n
}

// memory returns the size of the server's data in bytes.
func (s *server) memory() float64 {
	text, _ := s.admin.Info(context.Background(), "memory").Result()
	return field(text, "used_memory")
}

// servers holds the nodes of a scenario.
type servers []*server

func (all servers) addrs() []string {
	addrs := make([]string, len(all))
	for i, s := range all {
		addrs[i] = s.addr
	}
	return addrs
}

func (all servers) usage() (sum serverUsage) {
	for _, s := range all {
		u := s.usage()
		sum.cpu += u.cpu
		sum.commands += u.commands
		sum.reads += u.reads
	}
	return sum
}

// keys returns the number of keys on all servers.
func (all servers) keys() (sum float64) {
	for _, s := range all {
		n, _ := s.admin.DBSize(context.Background()).Result()
		sum += float64(n)
	}
	return sum
}

// scripts returns the number of scripts run on all servers.
func (all servers) scripts() (sum float64) {
	for _, s := range all {
		text, _ := s.admin.Info(context.Background(), "commandstats").Result()
		_, rest, _ := strings.Cut(text, "\ncmdstat_evalsha:calls=")
		calls, _, _ := strings.Cut(rest, ",")
		n, _ := strconv.ParseFloat(calls, 64)
		sum += n
	}
	return sum
}

func (all servers) flush() {
	for _, s := range all {
		_ = s.admin.FlushAll(context.Background()).Err()
	}
}

func (all servers) kill() {
	for _, s := range all {
		s.kill()
	}
}
