// Package ledger is what the automator remembers between passes: when it saw a tag first,
// what it wrote last, how long a list of tags was. It is one small JSON document, kept in Git.
package ledger
