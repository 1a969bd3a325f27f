#!/usr/bin/env python3
"""Rotary embedding as transformers computes it.

    python3 scripts/rope_goldens.py

Writes build/model/testdata/rope.json: the inverse frequencies, in float32, for the
kinds of scaling that build/model knows, and what cosines and sines are multiplied
by. And internal/testmodel/testdata/rotary: the logits of a tiny checkpoint whose
config.json has another rotary embedding than it was made with, in float32 on one
thread:

    NAME.json     the checkpoint, its new rope_parameters, the prompt, and which
                  positions of it NAME.logits has
    NAME.logits   raw little-endian float32, [positions, vocab_size]

Made with torch 2.9.1 and transformers 5.23.0 on x86-64.
"""
import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, NemotronConfig
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding
from transformers.models.nemotron.modeling_nemotron import NemotronRotaryEmbedding

ROOT = Path(__file__).resolve().parent.parent
TESTDATA = ROOT / "internal/testmodel/testdata"

LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}

CASES = [
    ("llama", 64, 1.0, 10000.0, {"rope_type": "default"}),
    ("smollm2", 64, 1.0, 100000.0, {"rope_type": "default"}),
    ("llama-3", 128, 1.0, 500000.0, {"rope_type": "default"}),
    ("llama-3.1", 128, 1.0, 500000.0, LLAMA3),
    ("llama-3.2", 64, 1.0, 500000.0, {**LLAMA3, "factor": 32.0}),
    ("llama3 short", 48, 1.0, 10000.0, {**LLAMA3, "factor": 4.0, "low_freq_factor": 1.5, "high_freq_factor": 3.5, "original_max_position_embeddings": 32}),
    ("linear", 32, 1.0, 10000.0, {"rope_type": "linear", "factor": 2.5}),
    ("mistral-nemo", 128, 1.0, 1000000.0, {"rope_type": "default"}),
    ("nemotron", 128, 0.5, 10000.0, {"rope_type": "default"}),
    ("yarn", 128, 1.0, 1000000.0, YARN),
    ("yarn-llama-2", 128, 1.0, 10000.0, {**YARN, "factor": 16.0, "original_max_position_embeddings": 4096}),
    ("yarn not truncated", 64, 1.0, 150000.0, {**YARN, "factor": 32.0, "original_max_position_embeddings": 4096, "truncate": False}),
    ("yarn mscales", 64, 1.0, 10000.0, {**YARN, "factor": 40.0, "original_max_position_embeddings": 4096, "mscale": 0.707, "mscale_all_dim": 1.0}),
    ("yarn equal mscales", 64, 1.0, 10000.0, {**YARN, "factor": 40.0, "mscale": 1.0, "mscale_all_dim": 1.0, "beta_fast": 16.0, "beta_slow": 2.0}),
    ("yarn mscale alone", 64, 1.0, 10000.0, {**YARN, "mscale": 2.0}),
    ("yarn attention factor", 64, 1.0, 10000.0, {**YARN, "attention_factor": 0.75}),
    ("yarn one turn", 16, 1.0, 10000.0, {**YARN, "original_max_position_embeddings": 6, "beta_fast": 1.0, "beta_slow": 1.0}),
    ("yarn factor 1", 32, 1.0, 10000.0, {**YARN, "factor": 1.0}),
    ("nemotron yarn", 128, 0.5, 10000.0, YARN),
]

TINY_YARN = {"rope_type": "yarn", "rope_theta": 500.0, "factor": 4.0, "original_max_position_embeddings": 32}
MODELS = [
    ("yarn", "llama-headdim", TINY_YARN),
    ("yarn-mscales", "mistral-headdim", {**TINY_YARN, "mscale": 0.4, "mscale_all_dim": 1.2, "beta_fast": 4.0, "truncate": False}),
]
PROMPT, EVERY = 60, 12  # ids; one position in so many is kept


def frequencies():
    cases = []
    for name, head_dim, partial, theta, scaling in CASES:
        rope = {**scaling, "rope_theta": theta}
        arguments = dict(hidden_size=2 * head_dim, num_attention_heads=2, num_key_value_heads=2, head_dim=head_dim, max_position_embeddings=131072)
        if partial != 1.0:
            rope["partial_rotary_factor"] = partial
            embedding = NemotronRotaryEmbedding(NemotronConfig(rope_parameters=rope, **arguments))
        else:
            embedding = LlamaRotaryEmbedding(LlamaConfig(rope_parameters=rope, **arguments))
        cases.append({"name": name, "dim": int(head_dim * partial), "rotary_base": theta,
                      "rotary_scaling": None if scaling["rope_type"] == "default" else scaling,
                      "magnitude": embedding.attention_scaling, "inv_freq": embedding.inv_freq.double().tolist()})
    text = "[\n" + ",\n".join(json.dumps(c) for c in cases) + "\n]\n"
    (ROOT / "build/model/testdata/rope.json").write_text(text)


@torch.no_grad()
def logits(name, source, rope):
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(shutil.copytree(TESTDATA / "models" / source, Path(scratch) / "model"))
        config = json.loads((directory / "config.json").read_text())
        config["rope_parameters"] = rope
        (directory / "config.json").write_text(json.dumps(config))
        model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32, attn_implementation="eager").eval()
    prompt = np.random.Generator(np.random.PCG64(len(name))).integers(4, config["vocab_size"], PROMPT).tolist()
    positions = list(range(EVERY - 1, PROMPT, EVERY))
    rows = model(input_ids=torch.tensor([prompt]), use_cache=False).logits[0, positions]
    out = TESTDATA / "rotary"
    out.mkdir(exist_ok=True)
    rows.numpy().astype("<f4").tofile(out / f"{name}.logits")
    text = json.dumps({"model": source, "vocab_size": config["vocab_size"], "rope_parameters": rope, "prompt": prompt, "positions": positions})
    (out / f"{name}.json").write_text(text + "\n")


def main():
    torch.set_num_threads(1)  # one order of summation
    frequencies()
    for case in MODELS:
        logits(*case)


if __name__ == "__main__":
    main()
