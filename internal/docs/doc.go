// Package docs holds the tests of README.md, SECURITY.md and docs. It has no
// code of its own.
package docs
