//go:build !unix

package wire

// watchable leaves the connection as one that cannot be looked at.
func (c *conn) watchable() {}

// silent is never sure.
func (c *conn) silent() bool { return false }
