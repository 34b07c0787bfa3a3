package automator

// turn is what one pass has read, on one tip of the branch.
type turn struct {
	branch string // that was read
	tip    string // its commit, in hex
}
