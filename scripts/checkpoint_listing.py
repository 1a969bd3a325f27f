#!/usr/bin/env python3
"""What `trtgo export` must write for each tiny checkpoint, tensor by tensor.

    python scripts/checkpoint_listing.py [NAME ...]     default: all models and GGUF files

An independent transform in numpy, straight from TensorRT-LLM's rules: it
shares no code with the exporter nor with the other scripts. For each model
internal/testmodel/testdata/listings/NAME.json holds, by variant
("bfloat16.tp1-pp1", "bfloat16.tp2-pp1-emb0", ...), the expected config.json
(without `producer`) and, for each rank file, every tensor's name, dtype, shape
and the sha256 of its little-endian bytes.
"""
import argparse
import hashlib
import json
import struct
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
TESTDATA = ROOT / "internal/testmodel/testdata"
SAFETENSORS_DTYPE = {"float32": "F32", "float16": "F16", "bfloat16": "BF16"}

# Variants beside tp 1, pp 1 in the three dtypes: dtype, tp, pp, embedding sharding (None: not parallel).
EXTRA = {
    "llama-gqa": [("bfloat16", 2, 1, None), ("bfloat16", 4, 1, None), ("bfloat16", 2, 1, 0), ("bfloat16", 2, 1, 1)],
    "nemotron": [("bfloat16", 2, 1, None), ("bfloat16", 1, 2, None), ("bfloat16", 2, 2, None)],
    "llama-bias": [("bfloat16", 2, 1, None)],
    "llama-tied-llama3": [("bfloat16", 1, 2, None)],
}


# --- values: everything is float32 until it is written -----------------------------------------------

def read_safetensors(path):
    data = path.read_bytes()
    (n,) = struct.unpack("<Q", data[:8])
    for name, entry in json.loads(data[8:8 + n]).items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        raw = data[8 + n + begin:8 + n + end]
        if entry["dtype"] == "BF16":
            values = (np.frombuffer(raw, "<u2").astype(np.uint32) << 16).view(np.float32)
        else:
            values = np.frombuffer(raw, {"F32": "<f4", "F16": "<f2"}[entry["dtype"]]).astype(np.float32)
        yield name, values.reshape(entry["shape"])


def encode(values, dtype):
    """Rounds once, to nearest even."""
    values = np.ascontiguousarray(values, np.float32)
    if dtype == "float32":
        return values.astype("<f4").tobytes()
    if dtype == "float16":
        half = values.astype("<f2")
        assert np.isfinite(half).all()
        return half.tobytes()
    bits = values.view(np.uint32).astype(np.uint64)
    bits = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    return bits.astype("<u2").tobytes()


# --- sources ------------------------------------------------------------------------------------------

def hf_source(directory):
    """Config facts and float32 tensors under Hugging Face names."""
    c = json.loads((directory / "config.json").read_text())
    tensors = {}
    for path in sorted(directory.glob("model*.safetensors")):
        tensors.update(read_safetensors(path))
    rope = dict(c["rope_parameters"])
    theta, kind = rope.pop("rope_theta"), rope.pop("rope_type")
    partial = rope.pop("partial_rotary_factor", 1.0)
    return {
        "architecture": c["architectures"][0], "vocab_size": c["vocab_size"], "hidden_size": c["hidden_size"],
        "layers": c["num_hidden_layers"], "heads": c["num_attention_heads"], "kv_heads": c["num_key_value_heads"],
        "head_size": c.get("head_dim") or c["hidden_size"] // c["num_attention_heads"],
        "intermediate_size": c["intermediate_size"], "eps": c.get("rms_norm_eps", c.get("norm_eps")),
        "max_position_embeddings": c["max_position_embeddings"], "theta": theta, "partial": partial,
        "scaling": None if kind == "default" else {"type": kind, "rope_type": kind, **rope},
        "window": c.get("sliding_window"), "attn_bias": c.get("attention_bias", False),
        "mlp_bias": c.get("mlp_bias", False),
    }, tensors


GGUF_NAMES = {
    "attn_norm": "input_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj", "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
}


def gguf_source(path):
    """The same of a llama GGUF file: dequantised, q and k rows back in rotate-half order."""
    import gguf
    reader = gguf.GGUFReader(path)

    def meta(key, default=None):
        f = reader.get_field(key)
        return default if f is None else f.contents()

    heads = meta("llama.attention.head_count")
    kv_heads = meta("llama.attention.head_count_kv", heads)
    head_size = meta("llama.attention.key_length", meta("llama.embedding_length") // heads)
    tensors, scaling = {}, None
    for t in reader.tensors:
        values = np.asarray(gguf.quants.dequantize(t.data, t.tensor_type), np.float32)
        values = values.reshape([int(n) for n in reversed(t.shape)])
        top = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight",
               "output.weight": "lm_head.weight"}
        if t.name == "rope_freqs.weight":  # llama3's scaling; only tiny_gguf.py's file has it here
            scaling = {"type": "llama3", "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
                       "high_freq_factor": 4.0, "original_max_position_embeddings": 32}
            continue
        if t.name in top:
            tensors[top[t.name]] = values
            continue
        _, layer, kind, suffix = t.name.split(".")
        if kind in ("attn_q", "attn_k"):
            # llama.cpp interleaves each head's two halves: row 2i is i, row 2i+1 is i + head_size/2.
            n = heads if kind == "attn_q" else kv_heads
            values = values.reshape(n, head_size // 2, 2, -1).swapaxes(1, 2).reshape(n * head_size, -1)
        tensors[f"model.layers.{layer}.{GGUF_NAMES[kind]}.{suffix}"] = values
    shortest = lambda v: float(str(np.float32(v)))
    return {
        "architecture": "LlamaForCausalLM", "vocab_size": len(tensors["model.embed_tokens.weight"]),
        "hidden_size": meta("llama.embedding_length"), "layers": meta("llama.block_count"), "heads": heads,
        "kv_heads": kv_heads, "head_size": head_size, "intermediate_size": meta("llama.feed_forward_length"),
        "eps": shortest(meta("llama.attention.layer_norm_rms_epsilon")),
        "max_position_embeddings": meta("llama.context_length"), "theta": shortest(meta("llama.rope.freq_base", 1e4)),
        "partial": 1.0, "scaling": scaling, "window": None, "attn_bias": False, "mlp_bias": False,
    }, tensors


# --- TensorRT-LLM's layout ----------------------------------------------------------------------------

def config_json(m, dtype, tp, pp, embedding):
    nemotron = m["architecture"] == "NemotronForCausalLM"
    c = {
        "architecture": "GPTForCausalLM" if nemotron else m["architecture"],
        "dtype": dtype, "logits_dtype": "float32",
        "vocab_size": m["vocab_size"], "hidden_size": m["hidden_size"], "num_hidden_layers": m["layers"],
        "num_attention_heads": m["heads"], "num_key_value_heads": m["kv_heads"], "head_size": m["head_size"],
        "intermediate_size": m["intermediate_size"], "hidden_act": "squared-relu" if nemotron else "silu",
        "norm_epsilon": m["eps"], "position_embedding_type": "rope_gpt_neox",
        "max_position_embeddings": m["max_position_embeddings"],
        "rotary_embedding_dim": int(m["head_size"] * m["partial"]),
        "rotary_base": m["theta"], "rotary_scaling": m["scaling"], "qk_layernorm": False,
        "use_parallel_embedding": embedding is not None, "embedding_sharding_dim": embedding or 0,
        "mapping": {"world_size": tp * pp, "tp_size": tp, "pp_size": pp},
        "quantization": {"quant_algo": None, "kv_cache_quant_algo": None},
    }
    if nemotron:
        c.update(bias=False, rotary_pct=m["partial"])
    else:
        c.update(attn_bias=m["attn_bias"], mlp_bias=m["mlp_bias"])
    if m["window"]:
        c["runtime_defaults"] = {"max_attention_window": [m["window"]]}
    return c


def pad_rows(w, multiple):
    rows = -(-len(w) // multiple) * multiple
    return np.concatenate([w, np.zeros((rows - len(w), *w.shape[1:]), np.float32)])


def part(w, axis, tp, r):
    assert w.shape[axis] % tp == 0
    return np.split(w, tp, axis)[r]


def heads_of(w, count, d, tp, r):
    """Rank r's heads of a projection's rows. Heads are repeated in place where there are fewer than ranks."""
    w = w.reshape(count, d, -1)
    if count < tp:
        w = np.repeat(w, tp // count, 0)
    return part(w, 0, tp, r).reshape(-1, w.shape[2])


def rank_tensors(m, t, tp, pp, embedding, tp_rank, pp_rank):
    """Tensors of one rank file, float32."""
    nemotron = m["architecture"] == "NemotronForCausalLM"
    d, out = m["head_size"], {}

    def norm(target, source):
        w = t[source + ".weight"]
        out[target + ".weight"] = w + np.float32(1) if nemotron else w
        if nemotron:
            out[target + ".bias"] = t[source + ".bias"]

    def qkv(source, suffix):
        pieces = [heads_of(t[f"{source}.{x}_proj.{suffix}"], n, d, tp, tp_rank)
                  for x, n in (("q", m["heads"]), ("k", m["kv_heads"]), ("v", m["kv_heads"]))]
        fused = np.concatenate(pieces)
        return fused[:, 0] if suffix == "bias" else fused

    if pp_rank == 0:
        w = t["model.embed_tokens.weight"]
        if embedding == 0:
            w = part(pad_rows(w, tp), 0, tp, tp_rank)
        elif embedding == 1:
            w = part(w, 1, tp, tp_rank)
        out["transformer.vocab_embedding.weight"] = w
    # The first layers % pp stages hold one layer more; layers are numbered from 0 on each stage.
    split = np.array_split(np.arange(m["layers"]), pp)[pp_rank]
    for local, layer in enumerate(split):
        src, dst = f"model.layers.{layer}", f"transformer.layers.{local}"
        norm(f"{dst}.input_layernorm", f"{src}.input_layernorm")
        norm(f"{dst}.post_layernorm", f"{src}.post_attention_layernorm")
        out[f"{dst}.attention.qkv.weight"] = qkv(f"{src}.self_attn", "weight")
        out[f"{dst}.attention.dense.weight"] = part(t[f"{src}.self_attn.o_proj.weight"], 1, tp, tp_rank)
        if m["attn_bias"]:
            out[f"{dst}.attention.qkv.bias"] = qkv(f"{src}.self_attn", "bias")
            out[f"{dst}.attention.dense.bias"] = t[f"{src}.self_attn.o_proj.bias"]
        # fc is the branch that the activation sees.
        mlp = {"fc": "up_proj"} if nemotron else {"fc": "gate_proj", "gate": "up_proj"}
        for target, source in mlp.items():
            out[f"{dst}.mlp.{target}.weight"] = part(t[f"{src}.mlp.{source}.weight"], 0, tp, tp_rank)
            if m["mlp_bias"]:
                out[f"{dst}.mlp.{target}.bias"] = part(t[f"{src}.mlp.{source}.bias"], 0, tp, tp_rank)
        out[f"{dst}.mlp.proj.weight"] = part(t[f"{src}.mlp.down_proj.weight"], 1, tp, tp_rank)
        if m["mlp_bias"]:
            out[f"{dst}.mlp.proj.bias"] = t[f"{src}.mlp.down_proj.bias"]
    if pp_rank == pp - 1:
        norm("transformer.ln_f", "model.norm")
        head = t.get("lm_head.weight", t["model.embed_tokens.weight"])
        out["lm_head.weight"] = part(pad_rows(head, tp), 0, tp, tp_rank)
    return out


def listing(tensors, dtype):
    return [{"name": name, "dtype": SAFETENSORS_DTYPE[dtype], "shape": list(w.shape),
             "sha256": hashlib.sha256(encode(w, dtype)).hexdigest()} for name, w in sorted(tensors.items())]


def make(name, source):
    m, t = source
    variants = [(dtype, 1, 1, None) for dtype in SAFETENSORS_DTYPE] + EXTRA.get(name, [])
    result = {}
    for dtype, tp, pp, embedding in variants:
        key = f"{dtype}.tp{tp}-pp{pp}" + ("" if embedding is None else f"-emb{embedding}")
        # rank = pp_rank * tp + tp_rank
        ranks = [listing(rank_tensors(m, t, tp, pp, embedding, r % tp, r // tp), dtype) for r in range(tp * pp)]
        result[key] = {"config": config_json(m, dtype, tp, pp, embedding), "ranks": ranks}
    out = TESTDATA / "listings"
    out.mkdir(exist_ok=True)
    text = json.dumps(result, sort_keys=True).replace('}, {"dtype', '},\n{"dtype').replace('"ranks": ', '"ranks":\n')
    (out / f"{name}.json").write_text(text + "\n")
    print(f"{name}: {len(variants)} variants, {len(text)} bytes")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*")
    names = parser.parse_args().names
    for directory in sorted((TESTDATA / "models").iterdir()):
        if not names or directory.name in names:
            make(directory.name, hf_source(directory))
    for path in sorted((TESTDATA / "gguf").glob("*.gguf")):
        if path.stem.startswith("unsupported"):
            continue
        if not names or f"gguf-{path.stem}" in names:
            make(f"gguf-{path.stem}", gguf_source(path))


if __name__ == "__main__":
    main()
