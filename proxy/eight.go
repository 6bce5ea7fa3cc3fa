package proxy

// Of eight bytes in one number, each can be asked the same question at once: every times a
// byte is that byte in all places, and what has a bit of high set says yes in that place. A
// place may say yes because of one before it, so that who asks looks at bytes then.
const (
	every = 0x0101010101010101
	high  = 0x8080808080808080
)

// eight is the first eight bytes of s, which has as many, the first one lowest.
func eight(s string) uint64 {
	_ = s[7]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 | uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}
