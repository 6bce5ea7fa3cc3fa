package identity

// Fold is a header's name as the backend with the loosest habits sees it: lower case,
// and '_' for every byte that is not a letter or digit.
func Fold(name string) string { return string(appendFold(make([]byte, 0, len(name)), name)) }

func appendFold(b []byte, name string) []byte {
	for i := range len(name) {
		b = append(b, fold(name[i]))
	}
	return b
}

func fold(c byte) byte {
	switch {
	case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
		return c
	case 'A' <= c && c <= 'Z':
		return c + ('a' - 'A')
	}
	return '_'
}
