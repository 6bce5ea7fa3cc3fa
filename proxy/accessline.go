package proxy

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"math"
	"slices"
	"strconv"
	"strings"
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
	clock lineClock
}

func (l *accessLog) room() *accessRoom {
	if room, ok := l.rooms.Get().(*accessRoom); ok {
		return room
	}
	return &accessRoom{attrs: make([]slog.Attr, 0, 24), line: make([]byte, 0, 1<<10)}
}

// write writes the line of that moment in room, and takes room back.
func (l *accessLog) write(ctx context.Context, logger *slog.Logger, now time.Time, room *accessRoom) {
	if l.lines != nil {
		room.line = room.clock.appendLine(room.line[:0], now, requestLine, room.attrs)
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

// lineClock remembers how the second of the line before is written. Calendars and time
// zones take as long as the rest of a line.
type lineClock struct {
	second  int64 // since 1970
	zone    *time.Location
	upTo    [len("2006-01-02T15:04:05")]byte // nil zone: nothing is remembered
	behind  [len("+00:00")]byte
	behinds int
}

// appendTime is time.RFC3339Nano.
func (c *lineClock) appendTime(b []byte, at time.Time) []byte {
	if second := at.Unix(); c.zone == nil || c.second != second || c.zone != at.Location() {
		var room [len(time.RFC3339)]byte
		text := at.AppendFormat(room[:0], time.RFC3339)
		if len(text) > len(c.upTo)+len(c.behind) || at.Year() > 9999 || at.Year() < 0 {
			return at.AppendFormat(b, time.RFC3339Nano)
		}
		c.second, c.zone = second, at.Location()
		c.behinds = copy(c.behind[:], text[copy(c.upTo[:], text):])
	}
	b = append(b, c.upTo[:]...)
	if nano := at.Nanosecond(); nano > 0 {
		var digits [len(".000000000")]byte
		digits[0] = '.'
		end := 0
		for i := len(digits) - 1; i > 0; i-- {
			digits[i] = byte('0' + nano%10)
			if nano /= 10; end == 0 && digits[i] != '0' {
				end = i + 1
			}
		}
		b = append(b, digits[:end]...)
	}
	return append(b, c.behind[:c.behinds]...)
}

// appendLine is what slog.JSONHandler writes of a record at level info.
func (c *lineClock) appendLine(b []byte, at time.Time, message string, attrs []slog.Attr) []byte {
	b = append(b, `{"time":"`...)
	b = c.appendTime(b, at)
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
		f := a.Value.Float64()
		if thousandths := int64(f * 1000); !math.Signbit(f) && f < 1e12 && float64(thousandths)/1000 == f {
			return appendThousandths(b, thousandths)
		}
		if f == 0 || math.Abs(f) >= 1e-6 && math.Abs(f) < 1e21 {
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

// appendThousandths is what strconv makes of a number of at most three places: no other of
// so few digits is nearest to the same float.
func appendThousandths(b []byte, n int64) []byte {
	b = strconv.AppendInt(b, n/1000, 10)
	rest := n % 1000
	if rest == 0 {
		return b
	}
	b = append(b, '.', byte('0'+rest/100), byte('0'+rest/10%10), byte('0'+rest%10))
	for b[len(b)-1] == '0' {
		b = b[:len(b)-1]
	}
	return b
}

// plainBytes is how many bytes at the beginning of text are written as they are at the least,
// by eight: printable ASCII without quotes and backslashes.
func plainBytes(text string) int {
	n := 0
	for len(text)-n >= 8 {
		x := eight(text[n:])
		quote, back := x^'"'*every, x^'\\'*every // 0 where there is one
		if ((x-' '*every)|(x+every)|x|(quote-every)&^quote|(back-every)&^back)&high != 0 {
			break
		}
		n += 8
	}
	return n
}

// appendText is a JSON string.
func appendText(b []byte, text string) []byte {
	for i := plainBytes(text); i < len(text); i++ {
		if c := text[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' {
			return appendOdd(b, text)
		}
	}
	b = append(b, '"')
	b = append(b, text...)
	return append(b, '"')
}

// appendOdd is a JSON string in which something is to be escaped. Of two control characters
// slog has another way to write them than package json.
func appendOdd(b []byte, text string) []byte {
	start := len(b)
	b = appendOther(b, slog.StringValue(text))
	if !strings.ContainsAny(text, "\b\f") {
		return b
	}
	written := slices.Clone(b[start:])
	b = b[:start]
	for i := 0; i < len(written); i++ {
		if written[i] != '\\' {
			b = append(b, written[i])
			continue
		}
		i++ // of each escape the second byte says which it is
		switch written[i] {
		case 'b':
			b = append(b, `\u0008`...)
		case 'f':
			b = append(b, `\u000c`...)
		default:
			b = append(b, '\\', written[i])
		}
	}
	return b
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
