package verify_test

import (
	"os"
	"strconv"
	"testing"

	"github.com/trtgo/trtgo/build/tensorrt"
	"github.com/trtgo/trtgo/internal/compatibility"
)

// shown are the networks that the compiler has built.
var shown = func() *compatibility.Record {
	if all, _ := strconv.ParseBool(os.Getenv("TRTGO_VERIFY_ALL")); all {
		return compatibility.NewRecord(compatibility.Longer)
	}
	return compatibility.NewRecord(compatibility.Compiler)
}()

func TestMain(m *testing.M) { os.Exit(shown.Finish(m.Run())) }

// engine is what the network of a choice is made for.
func (c choice) engine() compatibility.Engine {
	config, _ := c.config()
	if c["form"] == "native" {
		return compatibility.Native(config, tensorrt.NativeOptions{
			LogitsDtype: c["logits_dtype"], GatherContextLogits: c["gather_context_logits"] == "on", WeightsInside: c["weights"] == "inside"})
	}
	return compatibility.Plugins(config, c.options())
}
