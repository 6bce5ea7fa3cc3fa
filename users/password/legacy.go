package password

import (
	"crypto/md5"  //nolint:gosec // Django's oldest forms, behind Config.AcceptLegacy
	"crypto/sha1" //nolint:gosec // as above
	"encoding/hex"
	"strings"
)

// The kinds that Django had long ago: one round of a fast digest over salt and
// password. They are read, never written.
var (
	saltedMD5    = kind{name: "md5", legacy: true, check: checkMD5}
	saltedSHA1   = kind{name: "sha1", legacy: true, check: checkSHA1}
	unsaltedMD5  = kind{name: "unsalted_md5", legacy: true, check: checkMD5}
	unsaltedSHA1 = kind{name: "unsalted_sha1", legacy: true, check: checkSHA1}
)

// parseDigest reads `SALT$HEX`, in lower case, as Python prints it.
func parseDigest(k *kind, rest string) (stored, bool) {
	size := 2 * md5.Size
	if k.name == "sha1" || k.name == "unsalted_sha1" {
		size = 2 * sha1.Size
	}
	salt, sum, ok := strings.Cut(rest, "$")
	unsalted := k == &unsaltedMD5 || k == &unsaltedSHA1
	if !ok || len(sum) != size || strings.Trim(sum, "0123456789abcdef") != "" || unsalted != (salt == "") {
		return stored{}, false
	}
	return stored{kind: k, salt: salt, sum: sum, short: true}, true
}

func checkMD5(plain string, s stored) bool {
	sum := md5.Sum([]byte(s.salt + plain)) //nolint:gosec // as above
	return equal(hex.EncodeToString(sum[:]), s.sum)
}

func checkSHA1(plain string, s stored) bool {
	sum := sha1.Sum([]byte(s.salt + plain)) //nolint:gosec // as above
	return equal(hex.EncodeToString(sum[:]), s.sum)
}
