package main

import (
	"cmp"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"hash"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// inquiry is one request of the corpus, which both sides are asked.
type inquiry struct {
	name string   // the section of the contract, and what the case is about
	rows []string // the named expectations that it is subject to
	in   []string // the profiles that it belongs to; none: all
	make func() request

	expired bool // of a token, that newer versions say it is expired, and not invalid
	own     bool // each side is shown a token that it made itself
	ours    bool // both are shown a token that gatehouse made
}

// isIn tells whether it belongs to a profile.
func (x inquiry) isIn(profile string) bool { return len(x.in) == 0 || slices.Contains(x.in, profile) }

// readCorpus reads what of testdata/simplejwt belongs to the profile: requests-*.txt
// and tokens.txt. What has nothing to do with settings is asked in the first profile,
// and a part of it in each other one. Where no program may be missing, as in CI, that
// is the whole corpus; else it is a sample, with each row in it.
func readCorpus(t *testing.T, p profile) []inquiry {
	t.Helper()
	files, err := filepath.Glob("testdata/simplejwt/requests-*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no corpus: ", err)
	}
	first := p.name == profiles[0].name
	everyRequest, everyToken := 1, 1
	if !first {
		everyRequest, everyToken = 8, 2
	}
	if os.Getenv("GATEHOUSE_TEST_REQUIRE") == "" {
		everyRequest, everyToken = 12, 6
	}
	var all []inquiry
	take := func(inquiries []inquiry, every int) {
		for i, x := range inquiries {
			if x.isIn(p.name) && (i%every == len(p.name)%every || !first && len(x.in) > 0 || first && len(x.rows) > 0) {
				all = append(all, x)
			}
		}
	}
	var requests, tokens []inquiry
	for _, file := range files {
		for _, text := range groupsOf(t, file) {
			requests = append(requests, readRequests(t, text)...)
		}
	}
	for _, text := range groupsOf(t, "testdata/simplejwt/tokens.txt") {
		tokens = append(tokens, readTokens(t, text, p)...)
	}
	take(requests, everyRequest)
	take(tokens, everyToken)
	return all
}

// groupsOf cuts a file at its lines that begin with ==.
func groupsOf(t *testing.T, file string) []string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split("\n"+string(text), "\n== ")[1:]
}

// directives takes the title and the lines with % off a group.
func directives(t *testing.T, group string) (x inquiry, rest string) {
	t.Helper()
	x.name, rest, _ = strings.Cut(group, "\n")
	for strings.HasPrefix(rest, "% ") {
		var line string
		line, rest, _ = strings.Cut(rest[2:], "\n")
		word, value, _ := strings.Cut(line, " ")
		switch word {
		case "row":
			x.rows = append(x.rows, value)
		case "in":
			x.in = strings.Split(value, ", ")
		default:
			t.Fatalf("%s: %q is no directive", x.name, line)
		}
	}
	return x, rest
}

// readRequests reads a group of requests:
//
//	== the section of the contract and what it is about
//	% row the name of an expectation
//	% in profile, profile
//	POST /api/token/
//	POST /api/token/verify/
//	Content-Type: application/json
//
//	{"username":@@}
//	--
//	"a"
//	go:"\"\xff\""
//	×300 [
//
// Each value below -- takes the place of @@ in each of the requests. One that cannot
// stand in a line is a Go string behind go:, and ×N repeats what follows.
func readRequests(t *testing.T, group string) []inquiry {
	t.Helper()
	base, rest := directives(t, group)
	text, list, hasValues := strings.Cut(rest, "\n--\n")
	if !hasValues {
		text = strings.TrimRight(rest, "\n")
	}
	head, body, hasBody := strings.Cut(text, "\n\n")
	body = unquote(t, body)
	var lines, header []string
	for line := range strings.SplitSeq(head, "\n") {
		if method, _, _ := strings.Cut(line, " "); strings.HasSuffix(method, ":") || line == "@@" {
			header = append(header, line)
		} else {
			lines = append(lines, line)
		}
	}
	values := []string{""}
	if hasValues {
		values = strings.Split(strings.TrimRight(list, "\n"), "\n")
	}
	var all []inquiry
	for _, line := range lines {
		for _, value := range values {
			value = unquote(t, value)
			put := func(text string) string { return strings.ReplaceAll(text, "@@", value) }
			method, target, _ := strings.Cut(put(line), " ")
			r := request{method: method, target: target, body: put(body), hasBody: hasBody}
			for _, line := range header {
				r.header = append(r.header, put(line))
			}
			x := base
			x.name += fmt.Sprintf(": %s %.80q", line, value)
			x.make = func() request { return r }
			all = append(all, x)
		}
	}
	return all
}

func unquote(t *testing.T, text string) string {
	t.Helper()
	if rest, ok := strings.CutPrefix(text, "go:"); ok {
		plain, err := strconv.Unquote(rest)
		if err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		return plain
	}
	before, rest, ok := strings.Cut(text, "×")
	if !ok || strings.Contains(before, " ") {
		return text
	}
	count, what, _ := strings.Cut(rest, " ")
	n, err := strconv.Atoi(count)
	if err != nil {
		return text
	}
	what, after, _ := strings.Cut(what, "×")
	return before + strings.Repeat(what, n) + after
}

// minted is a token of the corpus. In its texts $type, $jti and $now stand for what
// the endpoint wants, a new id, and the time of the request in seconds ($now-60).
type minted struct {
	header    string
	names     map[string]string // what claims are called, where not as usual
	claims    [][2]string       // name and JSON
	payload   *string           // instead of the claims
	key       string
	algorithm string
	signature *string // nil is the right one
	as        string  // what is sent, with $token in it
	whole     bool    // it is all of Authorization
	at        string  // the letters of the paths that are asked
}

// asked are the paths that take tokens.
var asked = []struct {
	letter, method, target, field, kind string
}{
	{"r", "POST", "/api/token/refresh/", "refresh", "refresh"},
	{"v", "POST", "/api/token/verify/", "token", "refresh"},
	{"b", "POST", "/api/token/blacklist/", "refresh", "refresh"},
	{"p", "GET", "/protected/", "", "access"},
	{"o", "GET", "/open/", "", "access"},
	{"s", "GET", "/sales/", "", "access"},
	{"f", "GET", "/behind/", "", "access"},
	{"S", "POST", "/api/token/sliding/refresh/", "token", "sliding"},
	{"P", "GET", "/protected/", "", "sliding"},
}

// readTokens reads a group of tokens, one in a line, each told by how it differs
// from the usual one:
//
//	exp $now-60 ; is expired       a claim and its JSON
//	-jti ; -exp                    claims that are not there
//	header {"alg":"none"}          the header
//	payload []                     the whole payload
//	key another ; alg HS512        what it is signed with, whatever its header says
//	signature AAAA                 the signature as it stands
//	as x$token                     what is sent
//	authorization Basic $token     what is sent as Authorization
//	at rv                          asked of refresh and verify alone (b blacklist,
//	                               p o s views, f a Django behind the gateway, S and
//	                               P sliding tokens at their endpoint and a view)
//	row NAME                       the expectation that it is subject to
func readTokens(t *testing.T, group string, p profile) []inquiry {
	t.Helper()
	base, rest := directives(t, group)
	var all []inquiry
	for line := range strings.SplitSeq(strings.TrimRight(rest, "\n"), "\n") {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		x := base
		x.name += ": " + line
		token := minted{
			header: `{"alg":"HS256","typ":"JWT"}`, key: originalKey, algorithm: "HS256", as: "$token", at: "rvbp",
			names: p.names(),
		}
		for _, claim := range slices.Concat([][2]string{{"token_type", `"$type"`}, {"exp", "$now+7200"}, {"iat", "$now-10"}, {"jti", `"$jti"`}, {"user_id", `"1"`}}, p.claims) {
			token.set(claim[0], claim[1])
		}
		for field := range strings.SplitSeq(line, " ; ") {
			word, value, _ := strings.Cut(field, " ")
			value = unquote(t, value)
			switch word {
			case "header":
				token.header = value
			case "payload":
				token.payload = &value
			case "key":
				token.key = value
			case "alg":
				token.algorithm = value
			case "signature":
				token.signature = &value
			case "as":
				token.as = value
			case "authorization":
				token.as, token.whole, token.at = value, true, "pos"
			case "at":
				token.at = value
			case "row":
				x.rows = append(slices.Clone(x.rows), value)
			case "is":
				x.expired = value == "expired"
			case "usual":
			default:
				token.set(word, value)
			}
		}
		for _, a := range asked {
			if strings.Contains(token.at, a.letter) {
				one := x
				one.name = a.target + " " + x.name
				one.make = func() request { return token.ask(a.method, a.target, a.field, a.kind) }
				all = append(all, one)
			}
		}
	}
	return all
}

// show is a request with a token: in a field, or in the header where there is none.
func show(method, target, field, token string, names map[string]string) request {
	if field == "" {
		return request{method: method, target: target, header: []string{names["Authorization"] + ": " + names["Bearer"] + " " + token}}
	}
	body, _ := json.Marshal(map[string]string{field: token})
	return request{method: method, target: target, header: []string{"Content-Type: application/json"}, body: string(body), hasBody: true}
}

// names are what the profile calls what usually has another name.
func (p profile) names() map[string]string {
	header := strings.TrimPrefix(p.setting("AUTH_HEADER_NAME", "HTTP_AUTHORIZATION").(string), "HTTP_")
	scheme := "Bearer"
	if types, ok := p.setting("AUTH_HEADER_TYPES", nil).([]any); ok {
		scheme = types[0].(string)
	}
	return map[string]string{
		"user_id": p.setting("USER_ID_CLAIM", "user_id").(string), "token_type": p.setting("TOKEN_TYPE_CLAIM", "token_type").(string),
		"jti": p.setting("JTI_CLAIM", "jti").(string), "Authorization": strings.ReplaceAll(header, "_", "-"), "Bearer": scheme,
	}
}

func (m *minted) set(name, value string) {
	gone, without := strings.CutPrefix(name, "-")
	if without {
		gone = cmp.Or(m.names[gone], gone)
		m.claims = slices.DeleteFunc(slices.Clone(m.claims), func(c [2]string) bool { return c[0] == gone })
		return
	}
	name = cmp.Or(m.names[name], name)
	for i := range m.claims {
		if m.claims[i][0] == name {
			m.claims[i][1] = value
			return
		}
	}
	m.claims = append(m.claims, [2]string{name, value})
}

func (m *minted) ask(method, target, field, kind string) request {
	text := strings.ReplaceAll(m.as, "$token", m.mint(kind))
	if m.whole {
		return request{method: method, target: target, header: []string{m.names["Authorization"] + ": " + text}}
	}
	return show(method, target, field, text, m.names)
}

func (m *minted) mint(kind string) string {
	var payload string
	if m.payload != nil {
		payload = *m.payload
		for _, name := range []string{"token_type", "jti", "user_id"} {
			payload = strings.ReplaceAll(payload, strconv.Quote(name), strconv.Quote(m.names[name]))
		}
	} else {
		members := make([]string, len(m.claims))
		for i, c := range m.claims {
			members[i] = strconv.Quote(c[0]) + ":" + c[1]
		}
		payload = "{" + strings.Join(members, ",") + "}"
	}
	encode := base64.RawURLEncoding.EncodeToString
	input := encode([]byte(m.header)) + "." + encode([]byte(fill(payload, kind)))
	if m.signature != nil {
		return input + "." + *m.signature
	}
	sums := map[string]func() hash.Hash{"HS256": sha256.New, "HS384": sha512.New384, "HS512": sha512.New}
	mac := hmac.New(sums[m.algorithm], []byte(m.key))
	mac.Write([]byte(input))
	return input + "." + encode(mac.Sum(nil))
}

// fill puts the values of the moment into a text.
func fill(text, kind string) string {
	text = strings.ReplaceAll(text, "$type", kind)
	text = strings.ReplaceAll(text, "$jti", rand.Text())
	for {
		before, rest, found := strings.Cut(text, "$now")
		if !found {
			return text
		}
		n := 0
		for n < len(rest) && (n == 0 && (rest[0] == '+' || rest[0] == '-') || '0' <= rest[n] && rest[n] <= '9') {
			n++
		}
		shift, _ := strconv.ParseInt(strings.TrimPrefix(rest[:n], "+"), 10, 64)
		text = before + strconv.FormatInt(time.Now().Unix()+shift, 10) + rest[n:]
	}
}
