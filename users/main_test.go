package users_test

import (
	"flag"
	"runtime"
	"strconv"
	"testing"
)

// Most tests wait for a disk, a database or another process more than they work: three for
// each processor, unless -parallel says otherwise.
func TestMain(m *testing.M) {
	flag.Parse()
	if side := flag.Lookup("test.parallel"); side.Value.String() == side.DefValue {
		_ = side.Value.Set(strconv.Itoa(3 * runtime.GOMAXPROCS(0)))
	}
	m.Run()
}
