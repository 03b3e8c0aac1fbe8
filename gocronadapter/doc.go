// Package gocronadapter lets many replicas run one gocron schedule, each tick
// of each job on exactly one of them.
package gocronadapter
