#!/usr/bin/env python3
"""Writes build/model/testdata/rope.json: the inverse frequencies that
transformers computes, in float32, for the kinds of scaling that build/model knows.

    python3 scripts/rope_goldens.py > build/model/testdata/rope.json

Made with torch 2.9.1 and transformers 5.23.0 on x86-64.
"""
import json

from transformers import LlamaConfig, NemotronConfig
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding
from transformers.models.nemotron.modeling_nemotron import NemotronRotaryEmbedding

LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}

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
]


def main():
    cases = []
    for name, head_dim, partial, theta, scaling in CASES:
        rope = {**scaling, "rope_theta": theta}
        arguments = dict(hidden_size=2 * head_dim, num_attention_heads=2, num_key_value_heads=2, head_dim=head_dim, max_position_embeddings=131072)
        if partial != 1.0:
            rope["partial_rotary_factor"] = partial
            embedding = NemotronRotaryEmbedding(NemotronConfig(rope_parameters=rope, **arguments))
        else:
            embedding = LlamaRotaryEmbedding(LlamaConfig(rope_parameters=rope, **arguments))
        assert embedding.attention_scaling == 1.0
        cases.append({"name": name, "dim": int(head_dim * partial), "rotary_base": theta,
                      "rotary_scaling": None if scaling["rope_type"] == "default" else scaling,
                      "inv_freq": embedding.inv_freq.double().tolist()})
    print("[\n" + ",\n".join(json.dumps(c) for c in cases) + "\n]")


if __name__ == "__main__":
    main()
