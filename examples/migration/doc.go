// Package migration tests docs/migration.md: each line of code in its tables is
// compiled and run here, beside the library that it replaces.
package migration
