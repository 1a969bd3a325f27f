package tensorrt_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/trtgo/trtgo/internal/compatibility"
)

// shown are the engines whose logits the tests of this package have compared.
var shown = compatibility.NewRecord(compatibility.Numbers)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) { os.Exit(shown.Finish(code)) }))
}
