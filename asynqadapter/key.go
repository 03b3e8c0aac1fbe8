package asynqadapter

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/hibiken/asynq"
)

// Key returns the default name of a task's mutex: "task:", its type and, unless the
// payload is empty, ":" and a digest of it. Queue and headers play no part.
func Key(task *asynq.Task) string { return "task:" + identity(task) }

// identity returns the task's type and a digest of its payload.
func identity(task *asynq.Task) string {
	if len(task.Payload()) == 0 {
		return task.Type()
	}
	return task.Type() + ":" + digest(task.Payload())
}

// digest returns 128 bits of SHA-256 in hexadecimal.
func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:16])
}
