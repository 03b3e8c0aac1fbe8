package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// refusals are the errors that a node is made to answer with, behind "node
// answers". LOADING is not among them: it cannot be had without a restart.
var refusals = []string{"NOREPLICAS", "OOM", "READONLY", "MISCONF", "BUSY"}

const answers = "node answers "

// refuse puts the server into a state in which it answers with the code.
func (s *server) refuse(ctx context.Context, code string) error {
	switch code {
	case "NOREPLICAS":
		return s.admin.ConfigSet(ctx, "min-replicas-to-write", "1").Err()
	case "OOM":
		return s.admin.ConfigSet(ctx, "maxmemory", "1").Err()
	case "READONLY":
		// Nothing listens there, so the server keeps its data.
		return s.admin.SlaveOf(ctx, "127.0.0.1", "1").Err()
	case "MISCONF":
		return s.failToSave(ctx)
	}
	if err := s.admin.ConfigSet(ctx, "lua-time-limit", "1").Err(); err != nil {
		return err
	}
	go s.admin.Eval(ctx, "while true do end", nil)
	return nil
}

// obey ends refuse.
func (s *server) obey(ctx context.Context, code string) error {
	switch code {
	case "NOREPLICAS":
		return s.admin.ConfigSet(ctx, "min-replicas-to-write", "0").Err()
	case "OOM":
		return s.admin.ConfigSet(ctx, "maxmemory", "0").Err()
	case "READONLY":
		return s.admin.SlaveOf(ctx, "NO", "ONE").Err()
	case "MISCONF":
		return errors.Join(s.admin.ConfigSet(ctx, "save", "").Err(), os.Remove(s.snapshot()))
	}
	return s.until(ctx, func() bool {
		err := s.admin.ScriptKill(ctx).Err()
		return err != nil && strings.HasPrefix(err.Error(), "NOTBUSY")
	})
}

// failToSave puts a directory where the snapshot would be.
func (s *server) failToSave(ctx context.Context) error {
	if err := os.Mkdir(s.snapshot(), 0o700); err != nil {
		return err
	}
	if err := s.admin.ConfigSet(ctx, "save", "3600 1000000").Err(); err != nil {
		return err
	}
	if err := s.admin.BgSave(ctx).Err(); err != nil {
		return err
	}
	return s.until(ctx, func() bool {
		return strings.Contains(s.admin.Info(ctx, "persistence").Val(), "rdb_last_bgsave_status:err")
	})
}

func (s *server) snapshot() string { return filepath.Join(s.dir, "dump.rdb") }

func (s *server) until(ctx context.Context, done func() bool) error {
	for end := time.Now().Add(startLimit); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if done() {
			return nil
		}
	}
	return fmt.Errorf("redis-server on %s: a refusal did not begin or end: %w", s.addr(), s.admin.Ping(ctx).Err())
}
