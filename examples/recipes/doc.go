// Package recipes has what docs/recipes.md says as tested examples. It has no
// code of its own.
package recipes
