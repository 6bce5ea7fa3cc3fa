package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"text/tabwriter"
	"unicode"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"gatehouse/cmd/gatehouse/internal/config"
	"gatehouse/proxy"
)

// Exit codes.
const (
	exitDone  = 0
	exitNotSo = 1 // the thing asked about is not so
	exitUsage = 2 // wrong usage or configuration
)

// failure is an error that knows what helps against it.
type failure struct {
	err  error
	hint string // a command or line to write; may be empty
	code int
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// failed makes a failure with exit code 1.
func failed(err error, hint string) error {
	return &failure{err: err, hint: hint, code: exitNotSo}
}

// tell prints an error as one sentence, then its hint, and returns the exit
// code. Faults of the configuration are a line each.
func tell(stderr io.Writer, err error) int {
	f := &failure{err: err, code: exitNotSo}
	var faults config.Faults
	switch {
	case errors.As(err, &f):
	case errors.As(err, &faults):
		f.code = exitUsage
	}
	if errors.As(err, &faults) {
		fmt.Fprintln(stderr, faults)
	} else {
		fmt.Fprintln(stderr, "gatehouse:", f.err)
	}
	if f.hint != "" {
		fmt.Fprintln(stderr, "hint:", f.hint)
	}
	return f.code
}

// misused turns an error that cobra found in the arguments into ours.
func misused(cmd *cobra.Command, err error) error {
	var f *failure
	if errors.As(err, &f) {
		return err
	}
	return &failure{err: err, hint: cmd.CommandPath() + " --help", code: exitUsage}
}

// usage makes a failure of the arguments.
func usage(hint, format string, args ...any) error {
	return &failure{err: fmt.Errorf(format, args...), hint: hint, code: exitUsage}
}

func unknownCommand(cmd *cobra.Command, word string) error {
	hint := cmd.CommandPath() + " --help"
	if near := cmd.SuggestionsFor(word); len(near) > 0 {
		hint = cmd.CommandPath() + " " + near[0]
	}
	return usage(hint, "there is no command %q", cmd.CommandPath()+" "+word)
}

// noArguments refuses arguments by showing the first.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usage(cmd.CommandPath()+" --help", "%s takes no argument, but got %q", cmd.CommandPath(), args[0])
	}
	return nil
}

// oneName wants the name of a user.
func oneName(cmd *cobra.Command, args []string) error {
	switch len(args) {
	case 1:
		return nil
	case 0:
		return usage(cmd.CommandPath()+" alice", "%s needs the name of a user", cmd.CommandPath())
	default:
		return usage(cmd.CommandPath()+" "+args[0], "%s takes one name, but got %q too", cmd.CommandPath(), args[1])
	}
}

// table prints rows below a heading, in aligned columns.
func table(w io.Writer, heading []string, rows [][]string) error {
	t := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintln(t, strings.Join(heading, "\t"))
	for _, row := range rows {
		for i := range row {
			row[i] = strings.Map(visible, row[i])
		}
		fmt.Fprintln(t, strings.Join(row, "\t"))
	}
	return t.Flush()
}

// visible keeps what is stored from steering the terminal.
func visible(r rune) rune {
	if unicode.IsPrint(r) {
		return r
	}
	return unicode.ReplacementChar
}

// newLogger writes JSON, or text where a person looks on.
func newLogger(w io.Writer, level slog.Leveler) *slog.Logger { return newLoggerOf(w, level, "auto") }

// newLoggerOf is newLogger with the log.format that is asked for.
func newLoggerOf(w io.Writer, level slog.Leveler, format string) *slog.Logger {
	options := &slog.HandlerOptions{Level: level}
	if format == "text" || format != "json" && isTerminal(w) {
		return slog.New(slog.NewTextHandler(w, options))
	}
	return slog.New(slog.NewJSONHandler(w, options))
}

// levelOf is that of log.level; info for none.
func levelOf(cfg proxy.Log) slog.Level {
	var level slog.Level
	_ = level.UnmarshalText([]byte(cfg.Level)) // was checked with the rest
	return level
}

// isTerminal tells whether a person is at the other end.
func isTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// printJSON writes a value for programs to read.
func (p *program) printJSON(value any) error {
	out := json.NewEncoder(p.stdout)
	out.SetEscapeHTML(false)
	out.SetIndent("", "  ")
	return out.Encode(value)
}
