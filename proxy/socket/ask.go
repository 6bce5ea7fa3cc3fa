package socket

import "errors"

// ErrSpoken is why Ask has asked nothing: the other side has said something, or has gone.
var ErrSpoken = errors.New("something arrived on a connection on which nothing was asked")
