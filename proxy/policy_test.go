package proxy_test

import "testing"

// invalid is what a client reads about a token that is none.
const invalid = `{"detail":"Given token not valid for any token type","code":"token_not_valid",` +
	`"messages":[{"token_class":"AccessToken","token_type":"access","message":"Token is invalid"}]}`

// The table of the contract, section 13.1, on each kind of route.
func TestWhoMayPass(t *testing.T) {
	w := open(t, nil)
	alice, bob := w.token("alice"), w.token("bob")

	type outcome struct {
		status int
		body   string
		user   string // as the backend is told
	}
	pass := func(user string) outcome { return outcome{200, "hello from the backend", user} }
	var (
		anonymous = outcome{401, notProvided, ""}
		twoValues = outcome{401, badHeader, ""}
		bad       = outcome{401, invalid, ""}
		forbidden = outcome{403, noPermission, ""}
	)
	for _, tc := range []struct {
		name                              string
		headers                           []string
		public, optional, required, staff outcome
	}{
		{"nothing", nil, pass(""), pass(""), anonymous, anonymous},
		{"an empty header", []string{"Authorization:"}, pass(""), pass(""), anonymous, anonymous},
		{"spaces only", []string{"Authorization:    "}, pass(""), pass(""), anonymous, anonymous},
		{"a member", []string{"Authorization: Bearer " + alice}, pass(""), pass("alice"), pass("alice"), pass("alice")},
		{"another user", []string{"Authorization: Bearer " + bob}, pass(""), pass("bob"), pass("bob"), forbidden},
		{"many spaces", []string{"Authorization:   Bearer    " + bob + "  "}, pass(""), pass("bob"), pass("bob"), forbidden},
		{"a tab between", []string{"Authorization: Bearer\t" + bob}, pass(""), pass("bob"), pass("bob"), forbidden},
		{"the header's name in lower case", []string{"authorization: Bearer " + bob}, pass(""), pass("bob"), pass("bob"), forbidden},
		{"Basic", []string{"Authorization: Basic Ym9iOmJvYg=="}, pass(""), pass(""), anonymous, anonymous},
		{"Token", []string{"Authorization: Token " + bob}, pass(""), pass(""), anonymous, anonymous},
		{"JWT", []string{"Authorization: JWT " + bob}, pass(""), pass(""), anonymous, anonymous},
		{"bearer in lower case", []string{"Authorization: bearer " + bob}, pass(""), pass(""), anonymous, anonymous},
		{"BEARER in capitals", []string{"Authorization: BEARER " + bob}, pass(""), pass(""), anonymous, anonymous},
		{"a colon behind Bearer", []string{"Authorization: Bearer: " + bob}, pass(""), pass(""), anonymous, anonymous},
		{"an accent in Bearer", []string{"Authorization: Béarer " + bob}, pass(""), pass(""), anonymous, anonymous},
		{"a token without scheme", []string{"Authorization: " + bob}, pass(""), pass(""), anonymous, anonymous},
		{"a no-break space", []string{"Authorization: Bearer\u00a0" + bob}, pass(""), pass(""), anonymous, anonymous},
		{"Bearer alone", []string{"Authorization: Bearer"}, pass(""), twoValues, twoValues, twoValues},
		{"Bearer and spaces", []string{"Authorization: Bearer   "}, pass(""), twoValues, twoValues, twoValues},
		{"three parts", []string{"Authorization: Bearer a b"}, pass(""), twoValues, twoValues, twoValues},
		{"four parts", []string{"Authorization: Bearer a b c"}, pass(""), twoValues, twoValues, twoValues},
		{"Bearer twice", []string{"Authorization: Bearer Bearer " + bob}, pass(""), twoValues, twoValues, twoValues},
		{"two joined by a comma", []string{"Authorization: Bearer " + bob + ", Bearer " + alice}, pass(""), twoValues, twoValues, twoValues},
		{"another scheme first, joined", []string{"Authorization: Basic x, Bearer " + bob}, pass(""), pass(""), anonymous, anonymous},
		{"quotes around the token", []string{`Authorization: Bearer "` + bob + `"`}, pass(""), bad, bad, bad},
		{"token=", []string{"Authorization: Bearer token=" + bob}, pass(""), bad, bad, bad},
		{"not ASCII", []string{"Authorization: Bearer tökén"}, pass(""), bad, bad, bad},
		{"garbage", []string{"Authorization: Bearer garbage"}, pass(""), bad, bad, bad},
		{"a token in other headers", []string{"X-Authorization: Bearer " + bob, "Proxy-Authorization: Bearer " + bob}, pass(""), pass(""), anonymous, anonymous},
		{"a token in a cookie", []string{"Cookie: access=" + bob + "; Authorization=Bearer " + bob}, pass(""), pass(""), anonymous, anonymous},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := &world{T: t, backend: w.backend, addr: w.addr, log: w.log}
			for path, want := range map[string]outcome{
				"/public/x": tc.public, "/optional/x": tc.optional, "/required/x": tc.required, "/staff/x": tc.staff,
				"/denied/x": forbidden,
			} {
				got := w.get(path, tc.headers...)
				if want.status != 200 {
					w.refused(got, want.status, want.body)
					w.untouched()
					continue
				}
				if got.StatusCode != 200 || got.Text != want.body {
					t.Errorf("%s: %d %s", path, got.StatusCode, got.Text)
					continue
				}
				in := w.only()
				if user := in.Header.Get("X-User-Name"); user != want.user {
					t.Errorf("%s: the backend is told %q, want %q", path, user, want.user)
				}
				if in.Header.Get("Authorization") != "" {
					t.Errorf("%s: the credential was handed on", path)
				}
			}
		})
	}
}

func TestATokenInTheQueryIsNotRead(t *testing.T) {
	w := open(t, nil)
	token := w.token("alice")
	w.refused(w.get("/x?access_token="+token+"&token="+token), 401, notProvided)
	w.untouched()
}

func TestWhatAUserIsCalled(t *testing.T) {
	w := open(t, nil)
	w.get("/x", w.bearer("alice"))
	in := w.only()
	for name, want := range map[string]string{
		"X-User-Id": "1", "X-User-Name": "alice", "X-User-Email": "alice@example.com", "X-User-Groups": "staff",
	} {
		if got := in.Header.Values(name); len(got) != 1 || got[0] != want {
			t.Errorf("%s is %q, want %q once", name, got, want)
		}
	}
}

func TestARuleForAMethodLeavesTheOthersClosed(t *testing.T) {
	w := open(t, nil)
	if got := w.get("/read/x"); got.StatusCode != 200 {
		t.Errorf("GET: %d, want 200", got.StatusCode)
	}
	if got := w.raw(head("HEAD", "/read/x")); got.StatusCode != 200 {
		t.Errorf("HEAD: %d, want 200", got.StatusCode)
	}
	w.backend.requests()
	for _, method := range []string{"POST", "DELETE", "OPTIONS", "PROPFIND"} {
		w.refused(w.raw(head(method, "/read/x")), 401, notProvided)
	}
	for _, method := range []string{"get", "Get", "post"} {
		if got := w.raw(head(method, "/read/x")); got.StatusCode != 400 && got.StatusCode != 401 {
			t.Errorf("%s: %d, want it refused", method, got.StatusCode)
		}
	}
	w.untouched()
}

func TestHeadOfARefusalHasNoBody(t *testing.T) {
	w := open(t, nil)
	got := w.raw(head("HEAD", "/x"))
	if got.StatusCode != 401 || got.Text != "" || got.ContentLength != int64(len(notProvided)) {
		t.Errorf("%d, %q, length %d", got.StatusCode, got.Text, got.ContentLength)
	}
}
