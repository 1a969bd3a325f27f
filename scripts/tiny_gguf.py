#!/usr/bin/env python3
"""Makes tiny random GGUF files of the llama architecture with gguf-py.

    python scripts/tiny_gguf.py [NAME ...]      default: all

Written to internal/testmodel/testdata/gguf/NAME.gguf. They are what llama.cpp's
converter and quantiser would leave: names of its own, q and k rows permuted,
norms in F32, tokenizer and chat template in the metadata. Q6_K blocks, which
gguf-py can only read, are drawn directly. Files called unsupported-* must be
refused. rope-freqs has llama3's scaling as a tensor of factors, as Llama 3.x
files do.
"""
import argparse
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Q
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "internal/testmodel/testdata/gguf"
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
VOCAB = 320
CHAT_TEMPLATE = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
CORPUS = [
    "The council said on Tuesday that the bridge over the river would stay closed until 2031.",
    "Engineers found cracks in 14 of the 120 bolts; nobody was hurt, and traffic was moved to the northern road.",
    "def area(width, height):\n    return width * height  # square metres\n",
    "She said: \"We'll rebuild it, won't we?\" They didn't answer. It's the third time in ten years.",
]
# Qn in blocks of one row must divide the row: 32 for the small kinds, 256 for the K kinds.
KINDS = ("token_embd", "attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down", "output")


@dataclass
class Case:
    name: str
    seed: int
    types: dict  # kind → type; "*" for the rest
    hidden: int = 32
    layers: int = 2
    heads: int = 4
    kv_heads: int = 2
    head_size: int = 8
    ffn: int = 64
    tied: bool = False
    pre: str = "gpt-2"
    tokenizer: str = "gpt2"
    rope_factors: dict = field(default_factory=dict)


CASES = [
    Case("f32", 41, {"*": Q.F32}),
    Case("f16", 42, {"*": Q.F16}, pre="llama-bpe"),
    Case("bf16", 43, {"*": Q.BF16}),
    Case("q8_0", 44, {"*": Q.Q8_0}, tied=True, pre="smollm"),
    Case("q4_0", 45, {"*": Q.Q4_0}),
    Case("q4_1", 46, {"*": Q.Q4_1, "token_embd": Q.Q8_0}, tied=True, pre="smollm"),
    # 2 heads of 16 on a hidden size of 256: rows of 256 for Q6_K, and an explicit key_length.
    Case("q6_k", 47, {"*": Q.Q6_K, "attn_output": Q.Q8_0, "ffn_down": Q.Q8_0}, hidden=256, layers=1, heads=2,
         kv_heads=1, head_size=16, ffn=32, tied=True),
    Case("mixed", 48, {"token_embd": Q.Q8_0, "attn_q": Q.Q4_0, "attn_k": Q.Q4_1, "attn_v": Q.F16,
                       "attn_output": Q.BF16, "ffn_gate": Q.Q8_0, "ffn_up": Q.Q4_1, "ffn_down": Q.Q6_K,
                       "output": Q.Q4_0}, hidden=64, head_size=16, ffn=256, layers=1, pre="llama-bpe"),
    Case("spm", 49, {"*": Q.Q8_0}, tied=True, tokenizer="llama"),
    Case("rope-freqs", 50, {"*": Q.F16}, pre="llama-bpe", rope_factors={
        "factor": 8.0, "low": 1.0, "high": 4.0, "original": 32}),
    Case("unsupported-q5_0", 51, {"*": Q.Q8_0, "ffn_up": Q.Q5_0}, tied=True),
]


def pre_tokenizer(pre):
    """What llama.cpp's name for a pre-tokeniser stands for."""
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    if pre == "gpt-2":
        return byte_level
    if pre == "smollm":
        return pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), byte_level])
    split = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
             r"|\s*[\r\n]+|\s+(?!\S)|\s+")
    return pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(split), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def train(pre):
    """Vocabulary and merges of a byte-level BPE trained on CORPUS."""
    tok = Tokenizer(models.BPE())
    tok.pre_tokenizer = pre_tokenizer(pre)
    tok.train_from_iterator(CORPUS, trainers.BpeTrainer(
        vocab_size=VOCAB, special_tokens=SPECIAL, show_progress=False, min_frequency=1,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    import json
    model = json.loads(tok.to_str())["model"]
    tokens = [t for t, _ in sorted(model["vocab"].items(), key=lambda kv: kv[1])]
    assert len(tokens) == VOCAB
    return tokens, [" ".join(m) for m in model["merges"]]


def write_tokenizer(w, case):
    w.add_tokenizer_model(case.tokenizer)
    if case.tokenizer == "llama":
        tokens = ["<unk>", "<s>", "</s>"] + [f"<0x{i:02X}>" for i in range(256)]
        tokens += ["▁", "▁t", "▁a", "he", "▁the", "in", "er", "on", "re"]
        tokens += [f"▁w{i}" for i in range(VOCAB - len(tokens))]
        types = [2, 3, 3] + [6] * 256 + [1] * (VOCAB - 259)
        w.add_tokenizer_pre("default")
        w.add_token_list(tokens)
        w.add_token_scores([0.0] * 259 + [-float(i) for i in range(VOCAB - 259)])
        w.add_token_types(types)
        w.add_add_bos_token(True)
    else:
        tokens, merges = train(case.pre)
        w.add_tokenizer_pre(case.pre)
        w.add_token_list(tokens)
        w.add_token_types([3] * len(SPECIAL) + [1] * (VOCAB - len(SPECIAL)))
        w.add_token_merges(merges)
        w.add_add_bos_token(False)
        w.add_chat_template(CHAT_TEMPLATE)
    w.add_bos_token_id(1)
    w.add_eos_token_id(2)


def permute(w, heads):
    """llama.cpp's row order: the two halves of each head interleaved."""
    return w.reshape(heads, 2, w.shape[0] // heads // 2, w.shape[1]).swapaxes(1, 2).reshape(w.shape)


def q6_k(rng, rows, columns, std):
    """Random Q6_K blocks: 128 bytes of low nibbles, 64 of high bits, 16 scales, one f16 factor."""
    blocks = rows * columns // 256
    bits = rng.integers(0, 256, (blocks, 192), dtype=np.uint8)
    scales = rng.integers(10, 64, (blocks, 16)) * rng.choice([-1, 1], (blocks, 16))
    d = np.broadcast_to(std, (rows, columns // 256)).reshape(blocks, 1) / (18.5 * 40)
    data = np.hstack([bits, scales.astype(np.int8).view(np.uint8), d.astype(np.float16).view(np.uint8)])
    return data.reshape(rows, -1)


def llama3_factors(case):
    """The divisors of the frequencies, as convert_hf_to_gguf.py computes them."""
    r, dim = case.rope_factors, case.head_size
    freqs = 1.0 / 10000.0 ** (np.arange(0, dim, 2, dtype=np.float32) / np.float32(dim))
    out = []
    for wavelength in 2 * np.pi / freqs:
        if wavelength < r["original"] / r["high"]:
            out.append(1.0)
        elif wavelength > r["original"] / r["low"]:
            out.append(r["factor"])
        else:
            smooth = (r["original"] / wavelength - r["low"]) / (r["high"] - r["low"])
            out.append(1.0 / ((1 - smooth) / r["factor"] + smooth))
    return np.array(out, np.float32)


def write_weights(w, case):
    rng = np.random.Generator(np.random.PCG64(case.seed))
    h, d, f = case.hidden, case.head_size, case.ffn
    outweigh = 4.0 if case.tied else 1.0  # see tiny_models.py

    def norm(name):
        w.add_tensor(name, rng.uniform(0.5, 1.5, h).astype(np.float32))

    def add(name, rows, columns, std, heads=None):
        kind = name.split(".")[-2]
        qtype = case.types.get(kind, case.types.get("*"))
        if qtype == Q.Q6_K:
            w.add_tensor(name, q6_k(rng, rows, columns, std), raw_dtype=qtype)
            return
        values = (rng.standard_normal((rows, columns)) * std).astype(np.float32)
        if heads:
            values = permute(values, heads)
        w.add_tensor(name, gguf.quants.quantize(values, qtype), raw_dtype=qtype)

    lengths = np.sqrt(rng.exponential(1.0, (VOCAB, 1))) * 3.0 / np.sqrt(h)
    add("token_embd.weight", VOCAB, h, lengths if case.tied else 1.0)
    if case.rope_factors:
        w.add_tensor("rope_freqs.weight", llama3_factors(case))
    for i in range(case.layers):
        norm(f"blk.{i}.attn_norm.weight")
        add(f"blk.{i}.attn_q.weight", case.heads * d, h, 1.3 / np.sqrt(h), case.heads)
        add(f"blk.{i}.attn_k.weight", case.kv_heads * d, h, 1.3 / np.sqrt(h), case.kv_heads)
        add(f"blk.{i}.attn_v.weight", case.kv_heads * d, h, 1.0 / np.sqrt(h))
        add(f"blk.{i}.attn_output.weight", h, case.heads * d, 1.5 * outweigh / np.sqrt(case.heads * d))
        norm(f"blk.{i}.ffn_norm.weight")
        add(f"blk.{i}.ffn_gate.weight", f, h, 1.2 / np.sqrt(h))
        add(f"blk.{i}.ffn_up.weight", f, h, 1.0 / np.sqrt(h))
        add(f"blk.{i}.ffn_down.weight", h, f, 1.3 * outweigh / np.sqrt(f))
    norm("output_norm.weight")
    if not case.tied:
        add("output.weight", VOCAB, h, lengths)


def make(case):
    OUT.mkdir(parents=True, exist_ok=True)
    path = OUT / f"{case.name}.gguf"
    w = gguf.GGUFWriter(path, "llama")
    w.add_name(f"tiny-{case.name}")
    w.add_block_count(case.layers)
    w.add_context_length(128)
    w.add_embedding_length(case.hidden)
    w.add_feed_forward_length(case.ffn)
    w.add_head_count(case.heads)
    w.add_head_count_kv(case.kv_heads)
    w.add_layer_norm_rms_eps(1e-5)
    w.add_rope_freq_base(10000.0)
    w.add_rope_dimension_count(case.head_size)
    w.add_vocab_size(VOCAB)
    if case.head_size * case.heads != case.hidden:
        w.add_key_length(case.head_size)
        w.add_value_length(case.head_size)
    write_tokenizer(w, case)
    write_weights(w, case)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()
    print(f"{case.name}: {path.stat().st_size} bytes, crc {zlib.crc32(path.read_bytes()):08x}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*")
    names = parser.parse_args().names
    for case in CASES:
        if not names or case.name in names:
            make(case)


if __name__ == "__main__":
    main()
