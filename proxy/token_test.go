package proxy_test

import (
	"bufio"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"
)

// mint signs an access token of alice with more claims, as another program with our
// key would.
func mint(t testing.TB, more map[string]any) string {
	t.Helper()
	claims := map[string]any{
		"token_type": "access", "user_id": 1, "jti": "0123456789abcdef0123456789abcdef",
		"iat": time.Now().Add(-time.Minute).Unix(), "exp": time.Now().Add(time.Hour).Unix(),
	}
	maps.Copy(claims, more)
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	signed := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256","typ":"JWT","kid":"main"}`)) + "." + base64.RawURLEncoding.EncodeToString(payload)
	mac := hmac.New(sha256.New, []byte("an-example-signing-key-of-32-bytes!!"))
	mac.Write([]byte(signed))
	return signed + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// expired is a token of alice that was good once.
func expired(t testing.TB) string {
	return mint(t, map[string]any{"exp": time.Now().Add(-time.Second).Unix()})
}

// readRequest parses a request as net/http's server does; nil if it would answer 400 itself.
func readRequest(raw string) *http.Request {
	in, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
	if err != nil {
		return nil
	}
	for header := range in.Header {
		if strings.ContainsAny(header, " ()<>@,;:\\\"/[]?={}\t") {
			return nil
		}
	}
	in.RemoteAddr = "192.0.2.1:1234"
	return in
}

func textLogger(into io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(into, nil)) }
