package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// maxPassword bounds what is read; no store accepts more.
const maxPassword = 4096

// password gets a password: from standard input, or from a person who types it
// twice without seeing it.
func (p *program) password(ctx context.Context, fromStdin bool) (string, error) {
	if fromStdin {
		return readPassword(p.stdin)
	}
	terminal, ok := p.stdin.(*os.File)
	if !ok || !isTerminal(terminal) {
		return "", usage("add --password-stdin and pipe the password in", "there is no terminal to ask for a password on")
	}
	first, err := p.ask(ctx, terminal, "Password: ")
	if err != nil {
		return "", err
	}
	if first == "" {
		return "", errEmptyPassword
	}
	second, err := p.ask(ctx, terminal, "Again: ")
	if err != nil {
		return "", err
	}
	if first != second {
		return "", errors.New("the two passwords differ, so nothing was changed")
	}
	return first, nil
}

var errEmptyPassword = errors.New("the password is empty, so nothing was changed")

// readPassword takes everything up to the end, without one newline there.
func readPassword(in io.Reader) (string, error) {
	text, err := io.ReadAll(io.LimitReader(in, maxPassword+3))
	if err != nil {
		return "", fmt.Errorf("reading the password: %w", err)
	}
	password := string(text)
	if line, ok := strings.CutSuffix(password, "\n"); ok {
		password = strings.TrimSuffix(line, "\r")
	}
	switch {
	case password == "":
		return "", errEmptyPassword
	case len(password) > maxPassword:
		return "", fmt.Errorf("the password is longer than %d bytes, so nothing was changed", maxPassword)
	case strings.ContainsAny(password, "\r\n"):
		return "", errors.New("standard input has more than one line, so nothing was changed; give it the password alone")
	}
	return password, nil
}

// ask prompts and reads a line without echo. An interrupt puts the terminal back
// as it was.
func (p *program) ask(ctx context.Context, terminal *os.File, prompt string) (string, error) {
	fd := int(terminal.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return "", err
	}
	fmt.Fprint(p.stderr, prompt)
	defer fmt.Fprintln(p.stderr)
	type line struct {
		text []byte
		err  error
	}
	read := make(chan line, 1)
	go func() {
		text, err := term.ReadPassword(fd)
		read <- line{text, err}
	}()
	select {
	case l := <-read:
		if l.err != nil {
			return "", fmt.Errorf("reading the password: %w", l.err)
		}
		return string(l.text), nil
	case <-ctx.Done():
		return "", errors.Join(errors.New("interrupted, so nothing was changed"), term.Restore(fd, before))
	}
}
