//go:build cgo && linux && (amd64 || arm64)

package cpu

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/trtgo/trtgo/internal/compatibility"
)

// Executed are the engines whose logits the tests have compared.
var Executed = compatibility.NewRecord(compatibility.Executed)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) { os.Exit(Executed.Finish(code)) }))
}
