package upstream

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

func post(t *testing.T, method string) *http.Request {
	t.Helper()
	out, err := http.NewRequestWithContext(t.Context(), method, "http://app/", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	out.GetBody = nil
	return out
}

func TestABodyFromItsBegin(t *testing.T) {
	b := &body{from: io.NopCloser(iotest.OneByteReader(strings.NewReader("pay 10")))}
	out := post(t, "POST")
	if !b.attach(out) || out.GetBody == nil {
		t.Fatal("not attached")
	}
	first := out.Body
	begun := make([]byte, 1)
	for range 3 {
		if _, err := first.Read(begun); err != nil {
			t.Fatal(err)
		}
	}
	second, err := out.GetBody()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := first.Read(begun); !errors.Is(err, errSuperseded) {
		t.Errorf("the first attempt reads on: %v", err)
	}
	if got, err := io.ReadAll(second); string(got) != "pay 10" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	third, err := out.GetBody()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(third); string(got) != "pay 10" || err != nil {
		t.Errorf("after its end, got %q, %v", got, err)
	}
}

func TestABodyWhoseBeginIsGone(t *testing.T) {
	long := strings.Repeat("x", maxKept+1)
	b := &body{from: io.NopCloser(strings.NewReader(long))}
	out := post(t, "POST")
	b.attach(out)
	if got, err := io.ReadAll(out.Body); string(got) != long || err != nil {
		t.Fatalf("got %d bytes, %v", len(got), err)
	}
	if _, err := out.GetBody(); err == nil || b.attach(out) {
		t.Error("given out again")
	}
}

func TestABodyThatSomebodyWaitsFor(t *testing.T) {
	from, client := io.Pipe()
	b := &body{from: from}
	out := post(t, "PUT")
	b.attach(out)
	done := make(chan struct{})
	go func() {
		_, _ = out.Body.Read(make([]byte, 10))
		close(done)
	}()
	for !b.waited() {
		time.Sleep(time.Millisecond)
	}
	if b.next() != nil {
		t.Error("given out while the first attempt waits for the client")
	}
	_ = client.CloseWithError(io.ErrUnexpectedEOF)
	<-done
}

// waited reports whether an attempt waits for the client.
func (b *body) waited() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.reading
}

func TestAClientThatBreaksOffIsNotTheServersFault(t *testing.T) {
	b := &body{from: io.NopCloser(iotest.ErrReader(io.ErrUnexpectedEOF))}
	out := post(t, "POST")
	b.attach(out)
	_, _ = io.ReadAll(out.Body)
	if !b.failed() || b.attach(out) {
		t.Error("taken for whole")
	}
}
