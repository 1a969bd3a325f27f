package tensorrt_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/trtgo/trtgo/internal/compatibility"
)

// shown are the engines whose logits the tests of this package have compared.
var shown = compatibility.NewRecord(compatibility.Numbers)

// runsCPU tells whether the tests that compare with the CPU's runner are compiled: some of the file's lines are theirs.
var runsCPU bool

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if runsCPU {
			code = shown.Finish(code)
		}
		os.Exit(code)
	}))
}
