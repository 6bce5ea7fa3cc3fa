// Package audit writes the audit: who did what to accounts, sessions, keys and the
// gateway itself, one JSON object a line, in a stream apart from the log. It knows how
// a line looks and how it gets to the disk, and not what happens: that is told by who
// makes it happen.
//
// A line never holds a password, a token or a key. What somebody typed as a name and
// nobody has may be a password in the wrong field, so it is there as a digest alone.
package audit
