package main

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"sync"
)

// kind is the kind of an event.
type kind string

const (
	granted  kind = "granted"  // an acquisition was handed out
	refused  kind = "refused"  // an acquisition was not; Text is why
	extended kind = "extended" // the validity moved
	ended    kind = "ended"    // the work is over; what follows is the unlock
	kept     kind = "kept"     // the unlock failed; Text is why
	wrote    kind = "wrote"    // the resource took a write
	stopped  kind = "stopped"  // the resource's fence refused the holder
	stalled  kind = "stalled"  // the process did not run from At to Done
)

// event is one line of a process's history.
type event struct {
	Kind  kind    `json:"k"`
	Op    string  `json:"op,omitempty"`
	Name  string  `json:"name,omitempty"`
	Token string  `json:"token,omitempty"`
	Text  string  `json:"text,omitempty"`
	Fence int64   `json:"fence,omitempty"`
	Tick  int64   `json:"tick,omitempty"`
	Call  instant `json:"call,omitempty"`
	At    instant `json:"at,omitempty"`
	Done  instant `json:"done,omitempty"`
	Until instant `json:"until,omitempty"` // the lease's validity ends, as known at the time

	// Of a write: what the file held when it was read and when it was written.
	Read, Found *content `json:",omitempty"`

	process string
}

// recorder appends events to a file, one write each, so that they survive kill -9.
type recorder struct {
	mu   sync.Mutex
	file *os.File
	json *json.Encoder
}

func newRecorder(dir, process string) (*recorder, error) {
	f, err := os.OpenFile(filepath.Join(dir, process+".history"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	return &recorder{file: f, json: json.NewEncoder(f)}, nil
}

func (r *recorder) put(e event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.json.Encode(e); err != nil {
		panic(err) // a history with a hole proves nothing
	}
}

// readHistories reads the events of all processes. A killed process may leave an
// incomplete last line.
func readHistories(dir string) ([]event, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.history"))
	if err != nil {
		return nil, err
	}
	var all []event
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		lines := bufio.NewScanner(f)
		for lines.Scan() {
			e := event{process: filepath.Base(name)}
			if json.Unmarshal(lines.Bytes(), &e) == nil {
				all = append(all, e)
			}
		}
		err = lines.Err()
		f.Close()
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}
