// Package webhook takes registries' notifications for hints that an image has a new tag.
package webhook
