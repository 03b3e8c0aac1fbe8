// Package recipes has the examples of docs/recipes.md as tests.
package recipes
