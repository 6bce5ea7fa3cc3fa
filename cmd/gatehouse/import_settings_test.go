package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// plainKey is what the sections have when nothing is said of keys.
const plainKey = `keys:
    # The file holds SIGNING_KEY, or the site's SECRET_KEY where SIMPLE_JWT has none: its bytes, not as Python writes them.
    - { kid: django, alg: HS256, secret_file: django.key }`

func TestSettingsAreTranslated(t *testing.T) {
	const serializers = "rest_framework_simplejwt.serializers."
	for _, tt := range []struct {
		name     string
		settings string
		tokens   string // what follows the key; in other cases the whole section
		login    string
		warnings []string // what each begins with, in order
	}{
		{name: "nothing", settings: `{}`},
		{name: "None is the default", settings: `{"AUDIENCE": null, "ISSUER": null, "LEEWAY": null, "SIGNING_KEY": null, "JWK_URL": null, "JSON_ENCODER": null}`},
		{
			name: "every default, as SimpleJWT has it",
			settings: `{"ACCESS_TOKEN_LIFETIME": "0:05:00", "REFRESH_TOKEN_LIFETIME": "1 day, 0:00:00", "ROTATE_REFRESH_TOKENS": false, "BLACKLIST_AFTER_ROTATION": false,
				"UPDATE_LAST_LOGIN": false, "ALGORITHM": "HS256", "SIGNING_KEY": "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "VERIFYING_KEY": "", "AUDIENCE": null, "ISSUER": null, "JSON_ENCODER": null,
				"JWK_URL": null, "LEEWAY": 0, "AUTH_HEADER_TYPES": ["Bearer"], "AUTH_HEADER_NAME": "HTTP_AUTHORIZATION", "USER_ID_FIELD": "id", "USER_ID_CLAIM": "user_id",
				"USER_AUTHENTICATION_RULE": "rest_framework_simplejwt.authentication.default_user_authentication_rule", "AUTH_TOKEN_CLASSES": ["rest_framework_simplejwt.tokens.AccessToken"],
				"TOKEN_TYPE_CLAIM": "token_type", "JTI_CLAIM": "jti", "TOKEN_USER_CLASS": "rest_framework_simplejwt.models.TokenUser", "SLIDING_TOKEN_REFRESH_EXP_CLAIM": "refresh_exp",
				"TOKEN_OBTAIN_SERIALIZER": "` + serializers + `TokenObtainPairSerializer", "TOKEN_REFRESH_SERIALIZER": "` + serializers + `TokenRefreshSerializer",
				"TOKEN_VERIFY_SERIALIZER": "` + serializers + `TokenVerifySerializer", "TOKEN_BLACKLIST_SERIALIZER": "` + serializers + `TokenBlacklistSerializer",
				"SLIDING_TOKEN_OBTAIN_SERIALIZER": "` + serializers + `TokenObtainSlidingSerializer", "SLIDING_TOKEN_REFRESH_SERIALIZER": "` + serializers + `TokenRefreshSlidingSerializer",
				"ON_LOGIN_SUCCESS": "rest_framework_simplejwt.serializers.default_on_login_success", "ON_LOGIN_FAILED": "rest_framework_simplejwt.serializers.default_on_login_failed",
				"CHECK_REVOKE_TOKEN": false, "REVOKE_TOKEN_CLAIM": "hash_password", "CHECK_USER_IS_ACTIVE": true}`,
			tokens: "access_lifetime: 5m\n  refresh_lifetime: 24h\n  leeway: 0s",
		},
		{
			name: "lifetimes in seconds", settings: `{"ACCESS_TOKEN_LIFETIME": 900, "REFRESH_TOKEN_LIFETIME": 1209600.0, "LEEWAY": 1.5}`,
			tokens: "access_lifetime: 15m\n  refresh_lifetime: 14d\n  leeway: 1500ms",
		},
		{name: "lifetimes as Django writes them", settings: `{"ACCESS_TOKEN_LIFETIME": "P0DT00H10M00S", "REFRESH_TOKEN_LIFETIME": "P30DT00H00M00S"}`, tokens: "access_lifetime: 10m\n  refresh_lifetime: 30d"},
		{name: "the file is that of all settings", settings: `{"SIMPLE_JWT": {"ISSUER": "https://site.example/"}}`, tokens: `issuer: "https://site.example/"`},
		{name: "rotation", settings: `{"ROTATE_REFRESH_TOKENS": true, "BLACKLIST_AFTER_ROTATION": true}`, tokens: "# on_reuse: revoke_family and grace: 20s are better than what SimpleJWT does; see docs/simplejwt.md.\n  rotation: { enabled: true, revoke_old: true }"},
		{
			name: "rotation without the blacklist", settings: `{"ROTATE_REFRESH_TOKENS": true}`, tokens: "rotation: { enabled: true, revoke_old: false }",
			warnings: []string{"ROTATE_REFRESH_TOKENS: without BLACKLIST_AFTER_ROTATION old refresh tokens go on to work"},
		},
		{name: "the blacklist without rotation", settings: `{"BLACKLIST_AFTER_ROTATION": true}`, warnings: []string{"BLACKLIST_AFTER_ROTATION: without ROTATE_REFRESH_TOKENS"}},
		{name: "one audience", settings: `{"AUDIENCE": "us"}`, tokens: `audience: "us"`},
		{name: "audiences with all kinds of letters", settings: `{"AUDIENCE": ["a: b", "#", "\"é\u2028"]}`, tokens: `audience: ["a: b", "#", "\"é\u2028"]`},
		{name: "the last login", settings: `{"UPDATE_LAST_LOGIN": true}`, login: "update_last_login: true"},
		{name: "other schemes", settings: `{"AUTH_HEADER_TYPES": ["JWT", "Bearer"]}`, tokens: `header_types: ["JWT", "Bearer"]`},
		{name: "one scheme as a text", settings: `{"AUTH_HEADER_TYPES": "JWT"}`, tokens: `header_types: ["JWT"]`},
		{name: "another header", settings: `{"AUTH_HEADER_NAME": "HTTP_X_ACCESS_TOKEN"}`, tokens: `header_name: "X-Access-Token"`},
		{
			name: "other claims", settings: `{"USER_ID_CLAIM": "sub", "TOKEN_TYPE_CLAIM": "typ", "JTI_CLAIM": "id", "USER_ID_FIELD": "username"}`,
			tokens:   "user_id_claim: \"sub\"\n  token_type_claim: \"typ\"\n  jti_claim: \"id\"\n  user_id_field: username",
			warnings: []string{"USER_ID_CLAIM: versions before 5.5.1 wrote a number into sub"},
		},
		{name: "no claims", settings: `{"TOKEN_TYPE_CLAIM": null, "JTI_CLAIM": null}`, tokens: "token_type_claim: none\n  jti_claim: none"},
		{name: "a column of the site's own", settings: `{"USER_ID_FIELD": "uuid"}`, warnings: []string{`USER_ID_FIELD: "uuid" is a column that gatehouse does not have`}},
		{
			name:     "sliding tokens",
			settings: `{"AUTH_TOKEN_CLASSES": ["rest_framework_simplejwt.tokens.AccessToken", "<class 'rest_framework_simplejwt.tokens.SlidingToken'>"], "SLIDING_TOKEN_LIFETIME": "0:30:00", "SLIDING_TOKEN_REFRESH_LIFETIME": "2 days, 0:00:00", "SLIDING_TOKEN_REFRESH_EXP_CLAIM": "until"}`,
			tokens:   "accepted_types: [\"access\", \"sliding\"]\n  sliding:\n    enabled: true  # the paths are base_path/sliding/ and base_path/sliding/refresh/, or below sliding.path\n    lifetime: 30m\n    refresh_lifetime: 2d\n    refresh_exp_claim: \"until\"",
		},
		{name: "a password that ends tokens", settings: `{"CHECK_REVOKE_TOKEN": true, "REVOKE_TOKEN_CLAIM": "pw"}`, tokens: "check_password_change: true\n  password_claim: \"pw\""},
		{name: "users who are disabled", settings: `{"CHECK_USER_IS_ACTIVE": false}`, tokens: "accept_inactive: true", warnings: []string{"CHECK_USER_IS_ACTIVE: users who are disabled keep what they have"}},
		{
			name: "code of the site",
			settings: `{"TOKEN_OBTAIN_SERIALIZER": "shop.auth.MySerializer", "JSON_ENCODER": "<class 'shop.Encoder'>", "USER_AUTHENTICATION_RULE": "<function may_log_in at 0x7f00>",
				"ON_LOGIN_SUCCESS": "shop.auth.hello", "AUTH_TOKEN_CLASSES": ["shop.auth.MyToken"], "TOKEN_USER_CLASS": "shop.auth.TokenUser"}`,
			warnings: []string{
				"AUTH_TOKEN_CLASSES: shop.auth.MyToken is a class of the site's own", "JSON_ENCODER: <class 'shop.Encoder'> is code of the site", "USER_AUTHENTICATION_RULE: <function may_log_in",
				"ON_LOGIN_SUCCESS: shop.auth.hello", "TOKEN_USER_CLASS: shop.auth.TokenUser", "TOKEN_OBTAIN_SERIALIZER: shop.auth.MySerializer is code of the site and has no equal: a login here adds no claims",
			},
		},
		{
			name: "what SimpleJWT does not know", settings: `{"ACCES_TOKEN_LIFETIME": 5, "COMPANY": "Shop"}`,
			warnings: []string{
				"ACCES_TOKEN_LIFETIME: SimpleJWT knows no such setting, so it has no effect there and is left out here; ACCESS_TOKEN_LIFETIME may be meant",
				"COMPANY: SimpleJWT knows no such setting",
			},
		},
		{name: "a short key", settings: `{"SIGNING_KEY": "short and secret"}`, warnings: []string{"SIGNING_KEY: it has 16 bytes and HS256 needs 32"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code, stdout, stderr := call(t, tt.settings, "import", "django", "--settings", "-")
			want := "# What the site's SIMPLE_JWT says. Upstreams and routes are still to be written.\ntokens:\n  " + plainKey + "\n"
			if tt.tokens != "" {
				want += "  " + tt.tokens + "\n"
			}
			if tt.login != "" {
				want += "login:\n  " + tt.login + "\n"
			}
			if code != 0 || stdout != want {
				t.Errorf("got %d\n%s\nwant\n%s\n%s", code, stdout, want, stderr)
			}
			lines := strings.Split(strings.TrimSuffix(stderr, "\n"), "\n")
			if stderr == "" {
				lines = nil
			}
			if len(lines) != len(tt.warnings) {
				t.Fatalf("%d warnings, want %d:\n%s", len(lines), len(tt.warnings), stderr)
			}
			for i, line := range lines {
				if !strings.HasPrefix(line, "warning: "+tt.warnings[i]) {
					t.Errorf("got  %s\nwant %s", line, tt.warnings[i])
				}
			}
			if strings.Contains(stdout+stderr, "secret\"") || strings.Contains(stdout+stderr, "short and") {
				t.Error("the secret is shown")
			}
			checkLoads(t, stdout)
		})
	}
}

func TestKeysOfASite(t *testing.T) {
	for settings, want := range map[string]string{
		`{"ALGORITHM": "HS512"}`: "- { kid: django, alg: HS512, secret_file: django.key }",
		`{"ALGORITHM": "RS256", "SIGNING_KEY": "-----BEGIN", "VERIFYING_KEY": "-----BEGIN"}`: "- { kid: django, alg: RS256, private_key_file: django.pem }",
		`{"ALGORITHM": "ES256", "SIGNING_KEY": "", "VERIFYING_KEY": "-----BEGIN"}`:           "- { kid: django, alg: ES256, public_key_file: django.pub, use: verify }",
	} {
		code, stdout, stderr := call(t, settings, "import", "django", "--settings", "-")
		if code != 0 || !strings.Contains(stdout, "    "+want+"\n") || strings.Contains(stdout+stderr, "BEGIN") {
			t.Errorf("%s: %d\n%s%s", settings, code, stdout, stderr)
		}
	}
	_, stdout, stderr := call(t, `{"ALGORITHM": "RS256", "SIGNING_KEY": "", "JWK_URL": "https://idp.example/jwks"}`, "import", "django", "--settings", "-")
	if strings.Contains(stdout, "keys") || !strings.Contains(stderr, "trusted_issuers") {
		t.Errorf("%s%s", stdout, stderr)
	}
}

func TestSettingsThatAreRefused(t *testing.T) {
	for _, tt := range []struct{ name, settings, want string }{
		{"a lifetime in words", `{"ACCESS_TOKEN_LIFETIME": "5 minutes"}`, `ACCESS_TOKEN_LIFETIME: it is "5 minutes"; it can be seconds, such as 300, or what Python prints of a timedelta, such as 0:05:00`},
		{"a lifetime that is a list", `{"REFRESH_TOKEN_LIFETIME": [1]}`, `REFRESH_TOKEN_LIFETIME: it is [1]; it can be seconds`},
		{"a lifetime of nothing", `{"ACCESS_TOKEN_LIFETIME": 0}`, `ACCESS_TOKEN_LIFETIME: 0 is less than 1s`},
		{"a lifetime below nothing", `{"LEEWAY": "-1 day, 23:59:55"}`, `LEEWAY: "-1 day, 23:59:55" is less than 0s`},
		{"a lifetime without an end", `{"REFRESH_TOKEN_LIFETIME": 1e300}`, `REFRESH_TOKEN_LIFETIME: it is 1e300`},
		{"yes for true", `{"ROTATE_REFRESH_TOKENS": "yes"}`, `ROTATE_REFRESH_TOKENS: it is "yes"; it can be true or false`},
		{"a number for an audience", `{"AUDIENCE": [5]}`, `AUDIENCE: it is [5]; it can be a text or a list of texts`},
		{"a number for an issuer", `{"ISSUER": 5}`, `ISSUER: it is 5; it can be a text`},
		{"a key that is no text", `{"SIGNING_KEY": 987654321}`, `SIGNING_KEY: it is something else; it can be a text`},
		{"no key at all", `{"ALGORITHM": "RS256", "SIGNING_KEY": ""}`, `SIGNING_KEY: it is empty`},
		{"an algorithm that is not there", `{"ALGORITHM": "ES256K"}`, `ALGORITHM: "ES256K" is none of HS256`},
		{"a header as HTTP writes it", `{"AUTH_HEADER_NAME": "X-Token"}`, `AUTH_HEADER_NAME: "X-Token" is no header of a request: those begin with HTTP_`},
		{"no claim for the user", `{"USER_ID_CLAIM": null}`, `USER_ID_CLAIM: it is None`},
		{"a claim called none", `{"JTI_CLAIM": "none"}`, `JTI_CLAIM: a claim called none has no equal`},
		{"classes that are no list", `{"AUTH_TOKEN_CLASSES": 5}`, `AUTH_TOKEN_CLASSES: it is 5; it can be a list of classes`},
		{"schemes that are no list", `{"AUTH_HEADER_TYPES": []}`, `AUTH_HEADER_TYPES: it is []; it can be a text or a list of texts`},
		{"what was removed", `{"SECRET_KEY": "very secret"}`, `SECRET_KEY: SimpleJWT removed it and does not start with it; it is SIGNING_KEY now`},
		{"what Python prints", `{'ISSUER': 'x'}`, `it is not JSON, as line 1 shows; it is what Python prints of a dictionary`},
		{"half a file", "{\n\"ISSUER\": ", `it is not JSON, as line 2 shows`},
		{"a list", `[]`, `it is not an object of settings`},
		{"nothing", `null`, `there are no settings, only null`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code, stdout, stderr := call(t, tt.settings, "import", "django", "--settings", "-")
			if code != 1 || stdout != "" || !strings.Contains(stderr, tt.want) {
				t.Errorf("got %d, %q\n%s\nwant %s", code, stdout, stderr, tt.want)
			}
			if strings.Contains(stderr, "987654321") || strings.Contains(stderr, "very secret") {
				t.Errorf("the secret is shown: %s", stderr)
			}
		})
	}
}

// checkLoads puts upstreams, routes and a key to what was printed, and checks it.
func checkLoads(t *testing.T, yaml string) {
	t.Helper()
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "django.key"), strings.Repeat("a long secret ", 6))
	path := filepath.Join(dir, "gatehouse.yaml")
	writeFile(t, path, yaml+"upstreams: { app: { url: http://127.0.0.1:8000 } }\nroutes: [{ to: app }]\n")
	if code, _, stderr := call(t, "", "check", "--config", path); code != 0 {
		t.Errorf("gatehouse check: %s", stderr)
	}
}

func TestDurationsOfPython(t *testing.T) {
	for text, want := range map[string]time.Duration{
		`300`: 5 * time.Minute, `0.25`: 250 * time.Millisecond, `"300"`: 5 * time.Minute, `"0:05:00"`: 5 * time.Minute, `"1 day, 0:00:00"`: 24 * time.Hour,
		`"14 days, 1:02:03.000004"`: 14*24*time.Hour + time.Hour + 2*time.Minute + 3*time.Second + 4*time.Microsecond,
		`"0:00:00.500000"`:          500 * time.Millisecond, `"-1 day, 23:59:55"`: -5 * time.Second, `"P1DT02H03M04S"`: 26*time.Hour + 3*time.Minute + 4*time.Second,
		`"P0DT00H00M00.5S"`: 500 * time.Millisecond, `"-P1DT00H00M00S"`: -24 * time.Hour, `0`: 0,
	} {
		if got, err := pythonDuration(json.RawMessage(text)); got != want || err != nil {
			t.Errorf("%s: %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{`"P"`, `"5m"`, `""`, `true`, `{}`, `"1:2:3"`, `"0:05"`, `1e19`, `"nan"`} {
		if got, err := pythonDuration(json.RawMessage(text)); err == nil {
			t.Errorf("%s is read as %v", text, got)
		}
	}
}

// The line of docs/django.md is run by a real Django, and what it writes is read.
func TestTheLineThatWritesSettingsWorks(t *testing.T) {
	page, err := os.ReadFile("../../docs/django.md")
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`(?m)^python (manage\.py shell .*) > simple_jwt\.json$`).FindSubmatch(page)
	if line == nil {
		t.Fatal("docs/django.md has no such line")
	}
	if exec.Command("/usr/bin/python3", "-c", "import django, rest_framework_simplejwt").Run() != nil {
		missing(t, "Django with SimpleJWT is not installed")
	}
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "manage.py"), `import sys
from datetime import timedelta
from django.conf import settings
from django.core.management import execute_from_command_line
settings.configure(SECRET_KEY="a key of forty-two characters, for tests only", SIMPLE_JWT={
    "ACCESS_TOKEN_LIFETIME": timedelta(minutes=10), "REFRESH_TOKEN_LIFETIME": timedelta(days=7), "LEEWAY": timedelta(seconds=5),
    "AUDIENCE": ("us", "them"), "AUTH_TOKEN_CLASSES": ("rest_framework_simplejwt.tokens.AccessToken",), "JSON_ENCODER": timedelta,
})
execute_from_command_line(sys.argv)
`)
	cmd := exec.Command("sh", "-c", "/usr/bin/python3 "+string(line[1]))
	cmd.Dir = dir
	settings, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, causeOf(err))
	}
	if strings.Contains(string(settings), "forty-two") {
		t.Error("the key is in the file")
	}
	code, stdout, stderr := call(t, string(settings), "import", "django", "--settings", "-")
	want := "  audience: [\"us\", \"them\"]\n  access_lifetime: 10m\n  refresh_lifetime: 7d\n  leeway: 5s\n"
	if code != 0 || !strings.HasSuffix(stdout, want) || !strings.HasPrefix(stderr, "warning: JSON_ENCODER: <class 'datetime.timedelta'>") {
		t.Errorf("got %d\n%s%s\nof %s", code, stdout, stderr, settings)
	}
	checkLoads(t, stdout)
}
