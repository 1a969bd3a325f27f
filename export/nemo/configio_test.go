package nemo

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/export/checkpoint"
)

// TestIO reads what fiddle wrote (scripts/nemo_io_fixture.py): what is not in it
// comes from the class.
func TestIO(t *testing.T) {
	text, err := os.ReadFile("testdata/io.json")
	require.NoError(t, err)
	s, err := parseIO(text)
	require.NoError(t, err)
	require.Equal(t, &settings{
		class: "NemotronModel", numLayers: 2, hiddenSize: 32, ffnHiddenSize: 56, numAttentionHeads: 4, numQueryGroups: 2, kvChannels: 16, positions: 128,
		activation: "squared-relu", zeroCentred: true, epsilon: 1e-5, rotaryPercent: 0.5, rotaryBase: 10000, window: 4096,
		mcore: true, tensorParallel: 1, pipelineParallel: 1, tokenizer: tokenizerSettings{library: "huggingface", kind: "nvidia/tiny"},
	}, s)
	for name, test := range map[string]struct {
		old, new string
		want     error
		text     string
	}{
		"class":     {`"NemotronConfig"`, `"MyConfig"`, checkpoint.ErrUnsupported, "MyConfig is not supported without a model.yaml"},
		"path":      {"<root>.model.config", "<root>.elsewhere", checkpoint.ErrInvalid, "no object has the path <root>.model.config"},
		"number":    {`"value": 32`, `"value": "wide"`, checkpoint.ErrInvalid, "hidden_size: wide is no whole number"},
		"cut":       {`"objects"`, `"objects" [`, checkpoint.ErrInvalid, "invalid character"},
		"no object": {`"objects"`, `"others"`, checkpoint.ErrInvalid, "no object has the path"},
	} {
		changed := strings.ReplaceAll(string(text), test.old, test.new)
		require.NotEqual(t, string(text), changed, name)
		_, err := parseIO([]byte(changed))
		require.ErrorIs(t, err, test.want, name)
		require.ErrorContains(t, err, test.text, name)
	}
}

// TestClassDefaults compares with the published facts of models that NeMo has a
// class for.
func TestClassDefaults(t *testing.T) {
	for name := range classes {
		require.True(t, defaults(map[string]any{}, name), name)
	}
	of := func(class string) *settings {
		config := map[string]any{}
		require.True(t, defaults(config, "nemo.collections.llm."+class))
		config["_target_"] = class
		s, err := settings2(map[string]any{"config": config})
		require.NoError(t, err)
		return s
	}
	s := of("Llama32Config1B")
	require.True(t, s.tied && s.gated && s.rmsNorm && !s.bias)
	require.EqualValues(t, 500_000, s.rotaryBase)
	require.EqualValues(t, 32, s.rotaryScaling.Factor)
	require.EqualValues(t, 64, s.kvChannels)
	s = of("Nemotron3Config8B")
	require.True(t, s.zeroCentred && !s.gated && !s.tied)
	require.EqualValues(t, 128, s.kvChannels)
	s = of("MistralNeMoConfig12B")
	require.EqualValues(t, 128, s.kvChannels)
	require.EqualValues(t, 8, s.numQueryGroups)
	require.Zero(t, s.window)
	require.EqualValues(t, 1_000_000, s.rotaryBase)
}

func FuzzIO(f *testing.F) {
	text, err := os.ReadFile("testdata/io.json")
	require.NoError(f, err)
	f.Add(text)
	f.Add([]byte(`{"objects": {"a": {"type": {"module": "m", "name": "LlamaConfig"}, "items": [["Attr(name='x')", {"type": "ref", "key": "a"}]], "metadata": {"type": "ref", "key": "a"}, "paths": ["<root>.model.config", "<root>.model"]}}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if s, err := parseIO(text); err == nil {
			_, _ = s.config(100)
		}
	})
}
