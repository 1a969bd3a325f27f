package hf

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/export/checkpoint"
)

// TestCopiesOfAModel chooses the model among its copies in a distributed
// checkpoint.
func TestCopiesOfAModel(t *testing.T) {
	for name, test := range map[string]struct {
		names []string
		want  string
	}{
		"plain":             {[]string{"ema.model.embed_tokens.weight", "model.embed_tokens.weight"}, ""},
		"below model":       {[]string{"ema.model.embed_tokens.weight", "model.model.embed_tokens.weight"}, "model."},
		"below app":         {[]string{"a_fp32_master.model.embed_tokens.weight", "app.model.model.embed_tokens.weight"}, "app.model."},
		"the only one":      {[]string{"student.model.embed_tokens.weight", "student.lm_head.weight"}, "student."},
		"state of a tensor": {[]string{"model.embed_tokens.weight", "optim.state.model.embed_tokens.weight.exp_avg"}, ""},
	} {
		got, err := prefixOf(test.names)
		require.NoError(t, err, name)
		require.Equal(t, test.want, got, name)
	}
	_, err := prefixOf([]string{"student.model.embed_tokens.weight", "teacher.model.embed_tokens.weight"})
	require.ErrorIs(t, err, checkpoint.ErrInvalid)
	require.ErrorContains(t, err, "student., teacher.")
	_, err = prefixOf([]string{"embedding.word_embeddings.weight"})
	require.ErrorContains(t, err, "there is no model.embed_tokens.weight")
}
