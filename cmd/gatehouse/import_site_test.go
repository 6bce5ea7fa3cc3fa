package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// manage is the manage.py of a Django site, whose database is a file.
type manage struct{ database string }

func newManage(t *testing.T) manage {
	t.Helper()
	if exec.Command("/usr/bin/python3", "-c", "import django, rest_framework_simplejwt, argon2, bcrypt").Run() != nil {
		missing(t, "Django with SimpleJWT, argon2 and bcrypt is not installed")
	}
	m := manage{filepath.Join(t.TempDir(), "db.sqlite3")}
	m.run(t, "", "migrate", "-v0", "--run-syncdb")
	return m
}

func (m manage) run(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	cmd := exec.Command("/usr/bin/python3", append([]string{"-B", "../../users/testdata/django/manage.py"}, args...)...)
	cmd.Env = append(os.Environ(), "SITE_DATABASE="+m.database, "PYTHONUTF8=1")
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("manage.py %s: %v\n%s", strings.Join(args, " "), err, causeOf(err))
	}
	return string(out)
}

// A site with a user for each kind of hash that its Django makes moves in, from its
// database or by a dump, and everybody logs in with the password of before. Then it
// moves out again into a new Django, and everybody logs in there.
func TestDjangoMovesInAndOutOfTheProgram(t *testing.T) {
	old := newManage(t)
	old.run(t, "", "fill")
	var people map[string]struct{ Password string }
	if err := json.Unmarshal([]byte(old.run(t, "", "describe")), &people); err != nil {
		t.Fatal(err)
	}
	passwords := map[string]string{"vector-scrypt": "pässwörd-密码", "ünï+co.de@例え-_Ж": "pässwörd of odd"}
	kinds := map[string]bool{}
	for name := range people {
		if strings.Contains(" pbkdf2_sha256 pbkdf2_sha1 argon2 bcrypt_sha256 bcrypt scrypt md5 sha1 unsalted_md5 unsalted_sha1 ", " "+name+" ") {
			passwords[name] = "pässwörd of " + name
			kinds[name] = true
		}
	}
	if len(kinds) < 6 {
		t.Fatalf("this Django makes hashes of %v alone", kinds)
	}
	dump := filepath.Join(t.TempDir(), "dump.json")
	old.run(t, "", "dumpdata", "auth.group", "auth.user", "token_blacklist", "--output", dump)
	for name, from := range map[string]string{"from its database": "sqlite://" + old.database, "by a dump": dump} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := &site{address: freeAddress(t), binary: mustBuild(t), config: filepath.Join(dir, "gatehouse.yaml"), out: new(lockedBuffer)}
			writeFile(t, s.config, fmt.Sprintf(siteConfig, s.address, freeAddress(t))+"login: { hashing: { accept_legacy: true, preferred: pbkdf2_sha256, cost: t=100000 } }\n")
			writeFile(t, filepath.Join(dir, "secret"), originalKey)
			s.run(t, "", "import", "django", "--from", from, "--with-tokens")
			kill := s.serve(t)
			client := stormClient(t)
			for user, password := range passwords {
				if got := s.post(client, "/api/token/", "username", user, "password", password); got.status != http.StatusOK {
					t.Errorf("%s cannot log in: %+v", user, got)
				}
				if got := s.post(client, "/api/token/", "username", user, "password", password+"x"); got.status != http.StatusUnauthorized {
					t.Errorf("%s logs in with a wrong password: %+v", user, got)
				}
			}
			for _, user := range []string{"off", "unusable", "crypt"} {
				if got := s.post(client, "/api/token/", "username", user, "password", "pässwörd of "+user); got.status != http.StatusUnauthorized {
					t.Errorf("%s can log in: %+v", user, got)
				}
			}
			kill(syscall.SIGTERM)
			fixture := filepath.Join(dir, "users.json")
			s.run(t, "", "store", "export-django", "--to", fixture)
			back := newManage(t)
			back.run(t, "", "loaddata", "-v0", fixture)
			question, err := json.Marshal(passwords)
			if err != nil {
				t.Fatal(err)
			}
			var ids map[string]*int64
			if err := json.Unmarshal([]byte(back.run(t, string(question), "authenticate")), &ids); err != nil {
				t.Fatal(err)
			}
			for user := range passwords {
				if ids[user] == nil {
					t.Errorf("%s cannot log in to the new Django", user)
				}
			}
		})
	}
}
