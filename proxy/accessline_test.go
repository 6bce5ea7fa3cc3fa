package proxy

import (
	"bytes"
	"log/slog"
	"math"
	"strings"
	"testing"
	"time"
)

// A line of the access log is byte for byte the one that slog would write.
func TestAnAccessLineIsThatOfSlog(t *testing.T) {
	texts := []string{"", "plain", `"quoted" \back`, "a<b>&c", "tab\tline\nreturn\rnul\x00esc\x1b", "del\x7f", "Grüße, 世界 👋", "bad \xff\xfe utf8", "sep\u2028\u2029", `\\b \\f`, "\\\b\f\\f\"\f", strings.Repeat("long ", 500)}
	numbers := []float64{0, 0.001, 0.5, 1, 12.345, 1e6, 123456789.125, 1e20, 1e21, 1e-7, -3.25, math.MaxFloat64}
	for c := range 256 { // each byte at each place of eight
		for at := range 9 {
			texts = append(texts, strings.Repeat("x", at)+string([]byte{byte(c)})+strings.Repeat("y", 9-at))
		}
	}
	for n := range 3000 {
		numbers = append(numbers, float64(n*n)/1000, float64(n)/1000+1e-9, float64(n)*1e8+0.001, float64(n)*1e8+0.999, -float64(n)/1000)
	}
	numbers = append(numbers, 999_999_999_999.999, 1e12, 1e12+0.001, math.Nextafter(0.001, 1), math.Nextafter(12.5, 0), math.SmallestNonzeroFloat64)
	var lines [][]slog.Attr
	for _, text := range texts {
		lines = append(lines, []slog.Attr{slog.String("path", text), slog.String(text+"x", "y"), slog.GroupAttrs("headers", slog.String("referer", text), slog.String("b", "c"))})
	}
	for _, number := range numbers {
		lines = append(lines, []slog.Attr{slog.Float64("duration_ms", number), slog.Int64("bytes", int64(math.Mod(number, 1e9))), slog.Int("status", -1), slog.Bool("b", number > 1)})
	}
	lines = append(lines, nil, []slog.Attr{slog.Any("other", []string{"a", "<b>"}), slog.Uint64("u", math.MaxUint64)})
	var clock lineClock // of all of them: it must not mix them up
	for _, at := range []time.Time{time.Now(), time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), time.Date(2026, 1, 2, 3, 4, 5, 120_000_000, time.FixedZone("", 3600))} {
		for _, attrs := range lines {
			var want bytes.Buffer
			record := slog.NewRecord(at, slog.LevelInfo, "request", 0)
			record.AddAttrs(attrs...)
			if err := slog.NewJSONHandler(&want, nil).Handle(t.Context(), record); err != nil {
				t.Fatal(err)
			}
			if got := clock.appendLine(nil, at, "request", attrs); string(got) != want.String() {
				t.Errorf("got  %s\nwant %s", got, want.String())
			}
		}
	}
}

// The time of each line is that of the moment, whatever the line before was.
func TestTheClockOfLinesIsThatOfTheLibrary(t *testing.T) {
	var clock lineClock
	base := time.Date(2026, 12, 31, 23, 59, 58, 0, time.UTC)
	zones := []*time.Location{time.UTC, time.Local, time.FixedZone("", 3600), time.FixedZone("", -12600), time.FixedZone("", 5)}
	for _, step := range []time.Duration{0, 1, 120_000_000, 999_999_999, time.Second, time.Second + 10, 2*time.Second - 1, 2 * time.Second, -time.Hour, 24 * time.Hour, -time.Nanosecond, 250 * 365 * 24 * time.Hour, -250 * 365 * 24 * time.Hour} {
		for _, zone := range zones {
			for _, at := range []time.Time{base.Add(step).In(zone), base.In(zone)} {
				if got, want := string(clock.appendTime(nil, at)), at.Format(time.RFC3339Nano); got != want {
					t.Errorf("%s, want %s", got, want)
				}
			}
		}
	}
}

// A line without anything unusual costs no memory.
func TestAnAccessLineAllocatesNothing(t *testing.T) {
	attrs := []slog.Attr{slog.String("method", "GET"), slog.Float64("duration_ms", 1.25), slog.Int("status", 200)}
	room, at := make([]byte, 0, 1<<10), time.Now()
	var clock lineClock
	if n := testing.AllocsPerRun(100, func() { room = clock.appendLine(room[:0], at, "request", attrs) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkAccessLine(b *testing.B) {
	attrs := []slog.Attr{
		slog.String("method", "GET"), slog.String("host", "app.example.com"), slog.String("path", "/api/things/"), slog.String("decision", "passed"),
		slog.Int("status", 200), slog.Int64("bytes", 1024), slog.Float64("duration_ms", 0.412), slog.String("client", "127.0.0.1"),
		slog.String("request_id", "0123456789abcdef0123456789abcdef"), slog.String("route", "/"), slog.String("upstream", "app"),
		slog.Float64("upstream_ms", 0.208), slog.String("user_id", "1"),
	}
	at := time.Now()
	b.Run("here", func(b *testing.B) {
		b.ReportAllocs()
		room := make([]byte, 0, 1<<10)
		var clock lineClock
		for b.Loop() {
			room = clock.appendLine(room[:0], at, "request", attrs)
		}
	})
	b.Run("slog", func(b *testing.B) {
		b.ReportAllocs()
		handler := slog.NewJSONHandler(new(lost), nil)
		for b.Loop() {
			record := slog.NewRecord(at, slog.LevelInfo, "request", 0)
			record.AddAttrs(attrs...)
			_ = handler.Handle(b.Context(), record)
		}
	})
}

// lost is where lines go that nobody reads.
type lost struct{}

func (*lost) Write(b []byte) (int, error) { return len(b), nil }
