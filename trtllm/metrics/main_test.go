package metrics_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// sharedDir holds what the tests of the package share. It is removed at the end.
var sharedDir string

func TestMain(m *testing.M) {
	var err error
	if sharedDir, err = os.MkdirTemp("", "metrics"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(status int) {
		if err := os.RemoveAll(sharedDir); err != nil {
			panic(err)
		}
		os.Exit(status)
	}))
}
