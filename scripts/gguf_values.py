"""Reads llama GGUF files with gguf-py: values, a transformers model, a tokenizer.

Imported by logit_goldens.py, smollm2_goldens.py and eval_goldens.py; nothing to run.
"""
import hashlib

import gguf
import numpy as np
import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM

PLAIN = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}
LLAMA3_SPLIT = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
                r"|\s*[\r\n]+|\s+(?!\S)|\s+")
LAYER = {
    "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def unpermute(w, heads):
    """The inverse of the row permutation in llama.cpp's convert_hf_to_gguf.py."""
    return w.reshape(heads, w.shape[0] // heads // 2, 2, w.shape[1]).swapaxes(1, 2).reshape(w.shape)


class Source:
    def __init__(self, path):
        self.reader = gguf.GGUFReader(path)
        self.values = {}
        for t in self.reader.tensors:
            v = np.asarray(gguf.quants.dequantize(t.data, t.tensor_type), np.float32)
            self.values[t.name] = v.reshape([int(n) for n in reversed(t.shape)])

    def meta(self, key, default=None):
        f = self.reader.get_field(key)
        return default if f is None else f.contents()

    def listing(self):
        """The file's tensors as gguf-py dequantises them; shapes outermost first."""
        return [{"name": t.name, "type": t.tensor_type.name, "shape": list(self.values[t.name].shape),
                 "sha256": hashlib.sha256(self.values[t.name].astype("<f4").tobytes()).hexdigest()}
                for t in self.reader.tensors]

    def dtype(self):
        """What `--dtype auto` means: the matrices' own dtype, bfloat16 if any is quantised or they differ."""
        kinds = {t.tensor_type.name for t in self.reader.tensors if len(t.shape) > 1}
        return PLAIN.get(kinds.pop(), "bfloat16") if len(kinds) == 1 else "bfloat16"

    def model(self, dtype):
        """(dtype, float32 LlamaForCausalLM with eager attention on values rounded to dtype)."""
        if dtype == "auto":
            dtype = self.dtype()
        heads = self.meta("llama.attention.head_count")
        kv_heads = self.meta("llama.attention.head_count_kv", heads)
        theta = float(self.meta("llama.rope.freq_base", 10000.0))
        rope = {"rope_type": "default", "rope_theta": theta}
        if "rope_freqs.weight" in self.values:  # only tiny_gguf.py's file; its parameters are known
            rope = {"rope_type": "llama3", "rope_theta": theta, "factor": 8.0, "low_freq_factor": 1.0,
                    "high_freq_factor": 4.0, "original_max_position_embeddings": 32}
        hidden = self.meta("llama.embedding_length")
        config = LlamaConfig(
            vocab_size=len(self.values["token_embd.weight"]), hidden_size=hidden,
            intermediate_size=self.meta("llama.feed_forward_length"), num_hidden_layers=self.meta("llama.block_count"),
            num_attention_heads=heads, num_key_value_heads=kv_heads,
            head_dim=self.meta("llama.attention.key_length", hidden // heads),
            rms_norm_eps=float(str(np.float32(self.meta("llama.attention.layer_norm_rms_epsilon")))),
            max_position_embeddings=self.meta("llama.context_length"),
            tie_word_embeddings="output.weight" not in self.values,
            bos_token_id=self.meta("tokenizer.ggml.bos_token_id"), eos_token_id=self.meta("tokenizer.ggml.eos_token_id"),
            rope_parameters=rope, attn_implementation="eager")
        state = {}
        for name, v in self.values.items():
            parts = name.split(".")
            if name == "rope_freqs.weight":
                continue
            if parts[0] == "blk":
                if parts[2] in ("attn_q", "attn_k"):
                    v = unpermute(v, heads if parts[2] == "attn_q" else kv_heads)
                name = f"model.layers.{parts[1]}.{LAYER[parts[2]]}.{parts[3]}"
            else:
                name = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}[
                    parts[0]] + ".weight"
            state[name] = torch.from_numpy(np.array(v)).to(getattr(torch, dtype)).to(torch.float32)
        state.setdefault("lm_head.weight", state["model.embed_tokens.weight"])
        model = LlamaForCausalLM(config).to(torch.float32)
        model.load_state_dict(state)
        return dtype, model.eval()

    def tokenizer(self):
        """A `tokenizers` Tokenizer of a byte-level BPE vocabulary; None for other kinds."""
        if self.meta("tokenizer.ggml.model") != "gpt2":
            return None
        tokens = self.meta("tokenizer.ggml.tokens")
        merges = [tuple(m.split(" ")) for m in self.meta("tokenizer.ggml.merges")]
        pre = self.meta("tokenizer.ggml.pre")
        byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
        tok = Tokenizer(models.BPE(vocab={t: i for i, t in enumerate(tokens)}, merges=merges,
                                   ignore_merges=pre == "llama-bpe"))
        if pre == "smollm":
            tok.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), byte_level])
        elif pre == "llama-bpe":
            tok.pre_tokenizer = pre_tokenizers.Sequence([
                pre_tokenizers.Split(Regex(LLAMA3_SPLIT), "isolated"),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
        elif pre == "gpt-2":
            tok.pre_tokenizer = byte_level
        else:
            raise SystemExit(f"pre-tokeniser {pre!r} is not known here")
        tok.decoder = decoders.ByteLevel()
        types = self.meta("tokenizer.ggml.token_type")
        tok.add_special_tokens([AddedToken(t, special=True, normalized=False)
                                for t, kind in zip(tokens, types) if kind == 3])
        return tok


def read(path):
    return Source(path)
