// Package migration has what docs/migration.md says as tests: each of its rows
// is code that stands here, compiled and run beside the library that it replaces.
package migration
