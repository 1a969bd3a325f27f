#!/usr/bin/env python3
"""Makes the tiny random Hugging Face checkpoints that the Go tests run on.

    python scripts/tiny_models.py [NAME ...]        default: all

Each case becomes internal/testmodel/testdata/models/NAME: config.json as
transformers 5 saves it, config.v4*.json with the same facts in transformers 4
spelling, generation_config.json and safetensors. Weights come from numpy's
PCG64 with the case's seed and are rounded to the dtype on disk, so that a
float32 and a bfloat16 run see the same numbers.

How the weights are scaled: norms get weights away from one; q and k make
attention scores of standard deviation about 1.7; the rows of the head have
lengths drawn from sqrt(Exp(1)), which gives the logits a Laplace-like
distribution of standard deviation about 3, so that greedy margins are wide.
Where the embedding is small (0.1), a wrong norm epsilon moves the logits.
"""
import argparse
import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from transformers import AutoConfig, AutoModelForCausalLM

ROOT = Path(__file__).resolve().parent.parent
TESTDATA = ROOT / "internal/testmodel/testdata"
MODELS = TESTDATA / "models"
TOKENIZER = ROOT / "scripts/data/llama_text_tokenizer.json"

CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ '<|user|>' + message['role'] + '\n' + message['content'] + eos_token + '\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|user|>assistant\n' }}{% endif %}"
)


@dataclass
class Case:
    """One tiny checkpoint. config holds what differs from BASE."""

    name: str
    seed: int
    config: dict
    embedding_std: float = 1.0
    dtype: torch.dtype = torch.bfloat16
    max_shard_size: str = "1GB"
    text: bool = False
    v4: dict = field(default_factory=dict)  # extra config.v4-KEY.json: edits of the v4 config


BASE = dict(
    model_type="llama", vocab_size=256, hidden_size=64, intermediate_size=88, num_hidden_layers=3,
    num_attention_heads=4, num_key_value_heads=2, rms_norm_eps=1e-5, max_position_embeddings=128,
    tie_word_embeddings=False, bos_token_id=1, eos_token_id=2,
    rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
)
LLAMA3 = {"rope_type": "llama3", "rope_theta": 10000.0, "factor": 8.0, "low_freq_factor": 1.0,
          "high_freq_factor": 4.0, "original_max_position_embeddings": 32}

CASES = [
    # Untied head, grouped queries, an epsilon that shows, a vocabulary that two ranks must pad.
    Case("llama-gqa", 11, dict(vocab_size=257, rms_norm_eps=1e-3), embedding_std=0.1),
    # Tied head; wavelengths fall into all three branches of the llama3 rule.
    Case("llama-tied-llama3", 12, dict(tie_word_embeddings=True, rope_parameters=LLAMA3, eos_token_id=[2, 3],
                                       hidden_size=48, num_attention_heads=3, num_key_value_heads=1)),
    Case("llama-linear-rope", 13, dict(hidden_size=48, num_attention_heads=6, num_key_value_heads=6, rope_parameters={
        "rope_type": "linear", "rope_theta": 5000.0, "factor": 4.0}), embedding_std=0.1),
    Case("llama-bias", 30, dict(hidden_size=48, attention_bias=True, mlp_bias=True)),
    Case("llama-headdim", 15, dict(hidden_size=48, head_dim=20, rope_parameters={
        "rope_type": "default", "rope_theta": 500000.0})),
    Case("mistral-headdim", 16, dict(model_type="mistral", hidden_size=48, num_attention_heads=4, head_dim=16,
                                     sliding_window=96, rms_norm_eps=1e-3, intermediate_size=72,
                                     rope_parameters={"rope_type": "default", "rope_theta": 1000000.0}),
         embedding_std=0.1),
    Case("mistral-window", 17, dict(model_type="mistral", hidden_size=48, num_attention_heads=4, head_dim=16,
                                    sliding_window=12, intermediate_size=72)),
    # 6 heads of 16 on a hidden size of 48; LayerNorm1P, squared ReLU, half of each head rotated.
    Case("nemotron", 18, dict(model_type="nemotron", vocab_size=193, hidden_size=48, num_attention_heads=6,
                              num_key_value_heads=2, head_dim=16, intermediate_size=104, num_hidden_layers=4,
                              norm_eps=1e-3, hidden_act="relu2", bos_token_id=2, eos_token_id=3,
                              rope_parameters={"rope_type": "default", "rope_theta": 10000.0,
                                               "partial_rotary_factor": 0.5}),
         embedding_std=0.1,
         v4={"rope-percent": lambda c: {**without(c, "partial_rotary_factor"), "rope_percent": 0.5,
                                        "rope_percentage": 0.5},
             "kv-channels": lambda c: {**without(c, "head_dim", "norm_eps"), "kv_channels": 16,
                                       "layer_norm_eps": 1e-3}}),
    Case("llama-f32", 19, dict(hidden_size=32, intermediate_size=56, num_hidden_layers=2), dtype=torch.float32),
    Case("llama-f16", 20, dict(hidden_size=32, intermediate_size=56, num_hidden_layers=2), dtype=torch.float16),
    Case("llama-sharded", 21, dict(hidden_size=48, num_hidden_layers=2), max_shard_size="30KB"),
    Case("nemotron-f32", 23, dict(model_type="nemotron", vocab_size=128, hidden_size=32, head_dim=16,
                                  intermediate_size=56, num_hidden_layers=2, norm_eps=1e-5, hidden_act="relu2",
                                  rope_parameters={"rope_type": "default", "rope_theta": 10000.0,
                                                   "partial_rotary_factor": 0.5}), dtype=torch.float32),
    # With a tokenizer and a chat template, for commands that take text.
    Case("llama-text", 22, dict(vocab_size=2603, hidden_size=32, intermediate_size=64, num_hidden_layers=2,
                                tie_word_embeddings=True, bos_token_id=2600, eos_token_id=2601,
                                max_position_embeddings=2048), text=True),
]


def without(config, *keys):
    return {k: v for k, v in config.items() if k not in keys}


def weights(case, model):
    """Draws every parameter of model, in the order of its state dict."""
    rng = np.random.Generator(np.random.PCG64(case.seed))
    cfg = model.config

    def head_rows(rows, columns):
        lengths = np.sqrt(rng.exponential(1.0, (rows, 1)))
        return rng.standard_normal((rows, columns)) * lengths * 3.0 / np.sqrt(columns)

    out = {}
    for name, p in model.state_dict().items():
        shape = tuple(p.shape)
        if name == "lm_head.weight":
            out[name] = out["model.embed_tokens.weight"] if cfg.tie_word_embeddings else head_rows(*shape)
            continue
        if name == "model.embed_tokens.weight":
            w = head_rows(*shape) if cfg.tie_word_embeddings else rng.standard_normal(shape) * case.embedding_std
        elif name.endswith("norm.weight"):
            w = rng.uniform(0.5, 1.5, shape)
            if cfg.model_type == "nemotron":
                # Stored minus one, in steps that keep 1 + w a bfloat16 number: a bfloat16
                # checkpoint then holds the very weights that the float32 run used.
                w = rng.integers(-77, 78, shape) / 128
                if case.dtype == torch.float32:
                    w = rng.uniform(-0.6, 0.6, shape)  # here export has something to round
        elif name.endswith("norm.bias"):
            w = rng.standard_normal(shape) * 0.2
        elif name.endswith(".bias"):
            w = rng.standard_normal(shape) * 0.3
        else:
            gain = {"q_proj": 1.3, "k_proj": 1.3, "v_proj": 1.0, "o_proj": 1.5, "gate_proj": 1.2,
                    "up_proj": 1.0, "down_proj": 1.3}[name.split(".")[-2]]
            # With a tied head a token predicts itself unless the layers outweigh its embedding.
            if cfg.tie_word_embeddings and name.split(".")[-2] in ("o_proj", "down_proj"):
                gain *= 4.0
            w = rng.standard_normal(shape) * gain / np.sqrt(shape[1])
        out[name] = w
    return {k: torch.from_numpy(np.ascontiguousarray(v)).to(torch.float32).to(case.dtype) for k, v in out.items()}


def v4_config(config):
    """The same facts as transformers 4 spelled them."""
    c = without(config, "rope_parameters", "dtype")
    rope = dict(config["rope_parameters"])
    c["rope_theta"] = rope.pop("rope_theta")
    partial = rope.pop("partial_rotary_factor", None)
    if partial is not None:
        c["partial_rotary_factor"] = partial
    kind = rope.pop("rope_type")
    if kind == "default":
        c["rope_scaling"] = None
    elif kind == "linear":  # the oldest spelling has `type`
        c["rope_scaling"] = {"type": "linear", **rope}
    else:
        c["rope_scaling"] = {"rope_type": kind, **rope}
    c["torch_dtype"] = config["dtype"]
    c["transformers_version"] = "4.44.2"
    # Files of that time leave head_dim out where it follows from the rest.
    if c.get("head_dim") == c["hidden_size"] // c["num_attention_heads"] and c["model_type"] == "llama":
        del c["head_dim"]
    return c


def write_json(path, value):
    path.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n")


def write_tokenizer(directory):
    shutil.copyfile(TOKENIZER, directory / "tokenizer.json")
    write_json(directory / "tokenizer_config.json", {
        "bos_token": "<|bos|>", "eos_token": "<|eos|>", "chat_template": CHAT_TEMPLATE,
        "clean_up_tokenization_spaces": False, "model_max_length": 2048,
        "tokenizer_class": "PreTrainedTokenizerFast"})
    write_json(directory / "special_tokens_map.json", {"bos_token": "<|bos|>", "eos_token": "<|eos|>"})


def make(case):
    config = {**BASE, **case.config}
    if config["model_type"] == "nemotron":
        del config["rms_norm_eps"]
    cfg = AutoConfig.for_model(**config)
    torch.manual_seed(case.seed)
    model = AutoModelForCausalLM.from_config(cfg, dtype=case.dtype)
    model.load_state_dict(weights(case, model))
    directory = MODELS / case.name
    shutil.rmtree(directory, ignore_errors=True)
    model.save_pretrained(directory, max_shard_size=case.max_shard_size)
    if case.text:
        write_tokenizer(directory)
    for f in directory.iterdir():
        f.chmod(0o644)
    saved = json.loads((directory / "config.json").read_text())
    v4 = v4_config(saved)
    write_json(directory / "config.v4.json", v4)
    for key, edit in case.v4.items():
        write_json(directory / f"config.v4-{key}.json", edit(v4))
    size = sum(f.stat().st_size for f in directory.iterdir())
    print(f"{case.name}: {sum(p.numel() for p in model.parameters())} parameters, {size} bytes")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*")
    names = parser.parse_args().names
    for case in CASES:
        if not names or case.name in names:
            make(case)


if __name__ == "__main__":
    main()
