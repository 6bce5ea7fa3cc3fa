package drf

type charset struct{}

func (charset) lenient(s string) string { return s }
