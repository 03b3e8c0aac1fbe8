// Package migration tests docs/migration.md: each line of code in its tables is compiled
// and run here, next to the library that it replaces.
package migration
