package automator

// group is what shares a commit, or a pull request: the images of one Group in sealift.yaml.
type group struct {
	name string // empty: of the images that name none
	// files are the group's edits alone, on the tree that was read: path to new content.
	// Empty: everything is up to date, or held.
	files   map[string][]byte
	changes []Change      // in the order of files and lines
	images  []ImageReport // of the group, also those that change nothing, with refusals and holds
	message string        // headline, body and trailers, as a commit of this group alone has them
}

// PullRequest is what became of the pull request of a group.
type PullRequest struct {
	Group  string
	Branch string // its head
	Number int64
	URL    string
	Commit string // the head commit, in hex
	// Action is what was done: opened, updated, closed, merged, or empty where nothing was.
	Action string
	// Reason says why it was left alone, or closed.
	Reason string
	// Notes say what of it was not set: a label, a reviewer.
	Notes []string
}
