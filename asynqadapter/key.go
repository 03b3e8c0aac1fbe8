package asynqadapter

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/hibiken/asynq"
)

// Key is the default name of a task's mutex: "task:" and its type, with ":"
// and a digest of the payload unless that is empty. The queue and the headers
// do not count.
func Key(task *asynq.Task) string { return "task:" + identity(task) }

// identity tells tasks apart by type and payload.
func identity(task *asynq.Task) string {
	if len(task.Payload()) == 0 {
		return task.Type()
	}
	return task.Type() + ":" + digest(task.Payload())
}

// digest is 128 bits of SHA-256.
func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:16])
}
