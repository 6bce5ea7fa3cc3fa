package proxy

// Bytes is a size: a plain number of bytes, or one with KiB, MiB or GiB behind it.
type Bytes int64
