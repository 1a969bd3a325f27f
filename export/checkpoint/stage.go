package checkpoint

import "fmt"

// stage lists the weights of a pipeline stage.
type stage struct {
	*Config
	parts []part
}

// parts lists the weights of a stage in the order of the forward pass.
func (c *Config) parts(number int) []part {
	s := &stage{Config: c}
	if number == 0 {
		how := replicated
		if c.UseParallelEmbedding {
			how = []split{byRows, byColumns}[c.EmbeddingShardingDim]
		}
		s.add("transformer.vocab_embedding.weight", "transformer.vocab_embedding.weight", "", how, c.VocabSize, c.HiddenSize)
	}
	first, count := c.stageLayers(number)
	for i := range count {
		s.layer(fmt.Sprintf("transformer.layers.%d.", first+i), fmt.Sprintf("transformer.layers.%d.", i))
	}
	if number == c.Mapping.PPSize-1 {
		s.norm("transformer.ln_f", "transformer.ln_f")
		s.add("lm_head.weight", "lm_head.weight", "", byRows, c.VocabSize, c.HiddenSize)
	}
	return s.parts
}

func (s *stage) add(weight, tensor, dtype string, how split, shape ...int64) {
	s.parts = append(s.parts, part{weight: weight, tensor: tensor, dtype: dtype, shape: shape, split: how, head: s.HeadSize})
}

// scale adds a number that all tensor-parallel ranks have.
func (s *stage) scale(weight, tensor, suffix string) {
	s.add(weight+suffix, tensor+suffix, "F32", replicated, 1)
}

func (s *stage) norm(weight, tensor string) {
	s.add(weight+".weight", tensor+".weight", "", replicated, s.HiddenSize)
	if s.Family() == GPT {
		s.add(weight+".bias", tensor+".bias", "", replicated, s.HiddenSize)
	}
}

// layer adds a layer by its prefix in the whole model and in the rank's file.
func (s *stage) layer(w, t string) {
	h, q, kv, f := s.HiddenSize, s.NumAttentionHeads*s.HeadSize, s.NumKeyValueHeads*s.HeadSize, s.IntermediateSize
	s.norm(w+"input_layernorm", t+"input_layernorm")
	s.linear(w+"attention.q", t+"attention.qkv", queryHeads, s.AttnBias, q, h)
	s.linear(w+"attention.k", t+"attention.qkv", keyHeads, s.AttnBias, kv, h)
	s.linear(w+"attention.v", t+"attention.qkv", valueHeads, s.AttnBias, kv, h)
	s.scales(w+"attention.qkv", t+"attention.qkv", replicated, h)
	if s.Quantization.KVCacheQuantAlgo != "" {
		s.scale(w+"attention", t+"attention", KVCacheScale)
	}
	s.linear(w+"attention.dense", t+"attention.dense", byColumns, s.AttnBias, h, q)
	s.scales(w+"attention.dense", t+"attention.dense", byRows, q)
	s.norm(w+"post_layernorm", t+"post_layernorm")
	s.linear(w+"mlp.fc", t+"mlp.fc", byRows, s.MLPBias, f, h)
	s.scales(w+"mlp.fc", t+"mlp.fc", replicated, h)
	if s.Gated() {
		s.linear(w+"mlp.gate", t+"mlp.gate", byRows, s.MLPBias, f, h)
		s.scales(w+"mlp.gate", t+"mlp.gate", replicated, h)
	}
	s.linear(w+"mlp.proj", t+"mlp.proj", byColumns, s.MLPBias, h, f)
	s.scales(w+"mlp.proj", t+"mlp.proj", byRows, f)
}

// linear adds weight and bias, and the scales that are divided as the weight is.
func (s *stage) linear(weight, tensor string, how split, bias bool, out, in int64) {
	switch s.LinearAlgo(tensor) {
	case FP8:
		s.add(weight+".weight", tensor+".weight", "F8_E4M3", how, out, in)
	case W4A16AWQ:
		// Rows 2i and 2i+1 are the low and high halves of the bytes of row i.
		s.add(weight+".weight", tensor+".weight", "I8", how, out/2, in)
		s.parts[len(s.parts)-1].head = s.HeadSize / 2
	default:
		s.add(weight+".weight", tensor+".weight", "", how, out, in)
	}
	if bias {
		divided := how
		if how == byColumns { // added once, after the sum over ranks
			divided = replicated
		}
		s.add(weight+".bias", tensor+".bias", "", divided, out)
	}
	if s.LinearAlgo(tensor) == W4A16AWQ {
		s.add(weight+WeightScale, tensor+WeightScale, "F32", how, out, in/s.Quantization.Group())
	}
}

// scales adds what belongs to the linear as a whole. Its inputs are divided as the
// split says.
func (s *stage) scales(weight, tensor string, inputs split, in int64) {
	switch s.LinearAlgo(tensor) {
	case FP8:
		s.scale(weight, tensor, WeightScale)
		s.scale(weight, tensor, InputScale)
	case W4A16AWQ:
		if s.Quantization.PreQuantScale {
			s.add(weight+InputFactor, tensor+InputFactor, "", inputs, in)
		}
	}
}
