package proxy

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"math"
	"strconv"
	"sync"
	"time"
)

// lineTaker is a handler of logs that also takes lines of the access log as they will
// stand there, with the newline: what slog.JSONHandler would make of them.
type lineTaker interface{ TakeLine(line []byte) }

// accessLog makes the lines of the access log. Where the logger writes JSON they are
// made here: slog.JSONHandler takes three times as long. The zero value leaves all to
// the logger.
type accessLog struct {
	lines lineTaker // nil: the logger makes its own
	rooms sync.Pool
}

// accessRoom is what a line is made in.
type accessRoom struct {
	attrs []slog.Attr
	line  []byte
}

func (l *accessLog) room() *accessRoom {
	if room, ok := l.rooms.Get().(*accessRoom); ok {
		return room
	}
	return &accessRoom{attrs: make([]slog.Attr, 0, 24), line: make([]byte, 0, 1<<10)}
}

// write writes the line in room, and takes room back.
func (l *accessLog) write(ctx context.Context, logger *slog.Logger, room *accessRoom) {
	now := time.Now()
	if l.lines != nil {
		room.line = appendLine(room.line[:0], now, requestLine, room.attrs)
		l.lines.TakeLine(room.line)
	} else {
		// Not by the logger: it would find out which line of ours this is, and nobody wants to know.
		record := slog.NewRecord(now, slog.LevelInfo, requestLine, 0)
		record.AddAttrs(room.attrs...)
		_ = logger.Handler().Handle(ctx, record)
	}
	clear(room.attrs)
	room.attrs = room.attrs[:0]
	if cap(room.line) <= 16<<10 {
		l.rooms.Put(room)
	}
}

// requestLine is the message of each line.
const requestLine = "request"

// appendLine is what slog.JSONHandler writes of a record at level info.
func appendLine(b []byte, at time.Time, message string, attrs []slog.Attr) []byte {
	b = append(b, `{"time":"`...)
	b = at.Round(0).AppendFormat(b, time.RFC3339Nano)
	b = append(b, `","level":"INFO","msg":`...)
	b = appendText(b, message)
	for i := range attrs {
		b = append(b, ',')
		b = appendAttr(b, &attrs[i])
	}
	return append(b, '}', '\n')
}

func appendAttr(b []byte, a *slog.Attr) []byte {
	b = appendText(b, a.Key)
	b = append(b, ':')
	switch a.Value.Kind() {
	case slog.KindString:
		return appendText(b, a.Value.String())
	case slog.KindInt64:
		return strconv.AppendInt(b, a.Value.Int64(), 10)
	case slog.KindBool:
		return strconv.AppendBool(b, a.Value.Bool())
	case slog.KindFloat64:
		if f := a.Value.Float64(); f == 0 || math.Abs(f) >= 1e-6 && math.Abs(f) < 1e21 {
			return strconv.AppendFloat(b, f, 'f', -1, 64)
		}
	case slog.KindGroup:
		b = append(b, '{')
		for i, member := range a.Value.Group() {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendAttr(b, &member)
		}
		return append(b, '}')
	}
	return appendOther(b, a.Value)
}

// appendText is a JSON string.
func appendText(b []byte, text string) []byte {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' {
			return appendOther(b, slog.StringValue(text))
		}
	}
	b = append(b, '"')
	b = append(b, text...)
	return append(b, '"')
}

// appendOther leaves it to the standard library to say what is rare.
func appendOther(b []byte, value slog.Value) []byte {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value.Any()); err != nil {
		return appendText(b, "!ERROR:"+err.Error())
	}
	return append(b, bytes.TrimSuffix(text.Bytes(), []byte("\n"))...)
}
