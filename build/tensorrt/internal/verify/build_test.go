package verify_test

import (
	"os"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/build/tensorrt"
)

// compile has the library check and build the network of a choice and returns the plan's size.
func (c choice) compile(t *testing.T, capabilities []int) (int64, error) {
	t.Helper()
	g, source := c.lower(t)
	plan := planFile(t)
	if err := tensorrt.Compile(t.Context(), library(t), g, source, tensorrt.CompileOptions{Capabilities: capabilities}, plan); err != nil {
		return 0, err
	}
	info, err := plan.Stat()
	require.NoError(t, err)
	return info.Size(), nil
}

// TestBuild: the library sees every layer as our inference does, and builds the network.
func TestBuild(t *testing.T) {
	library(t)
	list := pairwise()
	if all, _ := strconv.ParseBool(os.Getenv("TRTGO_VERIFY_ALL")); all {
		list = append(list, combinations()...)
	}
	for _, c := range list {
		t.Run(c.String(), func(t *testing.T) {
			shown.Passed(t, c.engine())
			size, err := c.compile(t, c.capabilities())
			require.NoError(t, err)
			require.Greater(t, size, int64(1000))
		})
	}
}

// plain is the choice of every factor's first value but those given.
func plain(changes ...string) choice {
	c := choice{}
	for _, f := range factors {
		c[f.name] = f.values[0]
	}
	for i := 0; i < len(changes); i += 2 {
		c[changes[i]] = changes[i+1]
	}
	return c
}

// TestTypesOfCards: a card without a type is refused, in words that name the type.
func TestTypesOfCards(t *testing.T) {
	for _, c := range []struct {
		choice       choice
		capabilities []int
		want         string
	}{
		{plain("form", "native", "quantisation", "fp8"), []int{86}, "fp8_e4m3"},
		{plain("form", "native", "quantisation", "fp8"), []int{86, 89, 120}, "fp8_e4m3"},
		{plain("form", "cut", "quantisation", "fp8"), []int{86}, "fp8_e4m3"},
		{plain("form", "native"), []int{75}, "b16"},
	} {
		_, err := c.choice.compile(t, c.capabilities)
		require.ErrorContains(t, err, c.want, "%s for %v", c.choice, c.capabilities)
	}
	_, err := plain("form", "native", "dtype", "float16").compile(t, []int{75})
	require.NoError(t, err)
}
