#!/usr/bin/env python3
"""Writes export/nemo/testdata/io.json, NeMo 2's context as the library fiddle
serialises it, for the weights of nemotron-f32.nemo2. NeMo's classes are stood in
for by empty ones of the same names; fiddle records names and arguments alone.

    python scripts/nemo_io_fixture.py

Needs: fiddle 0.3.1.
"""
import json
import sys
import types
from pathlib import Path

import fiddle
from fiddle._src.experimental import serialization

ROOT = Path(__file__).resolve().parent.parent
MODEL = ROOT / "internal/testmodel/testdata/models/nemotron-f32/config.json"


def module(name, **members):
    parts = name.split(".")
    for i in range(len(parts)):
        parent = ".".join(parts[:i + 1])
        sys.modules.setdefault(parent, types.ModuleType(parent))
    for key, member in members.items():
        member.__module__, member.__qualname__, member.__name__ = name, key, key
        setattr(sys.modules[name], key, member)


class NemotronConfig:
    def __init__(self, **arguments):
        pass


class NemotronModel:
    def __init__(self, config=None, optim=None, tokenizer=None):
        pass


class AutoTokenizer:
    def __init__(self, pretrained_model_name=None):
        pass


class TrainerContext:
    def __init__(self, model=None, trainer=None, extra=None):
        pass


def squared_relu(x):
    return x


def main():
    module("nemo.collections.llm.gpt.model.nemotron", NemotronConfig=NemotronConfig, NemotronModel=NemotronModel)
    module("nemo.collections.llm.fn.activation", squared_relu=squared_relu)
    module("nemo.collections.common.tokenizers.huggingface.auto_tokenizer", AutoTokenizer=AutoTokenizer)
    module("nemo.lightning.io.pl", TrainerContext=TrainerContext)
    c = json.loads(MODEL.read_text())
    config = fiddle.Config(
        NemotronConfig, num_layers=c["num_hidden_layers"], hidden_size=c["hidden_size"], ffn_hidden_size=c["intermediate_size"],
        num_attention_heads=c["num_attention_heads"], num_query_groups=c["num_key_value_heads"], kv_channels=c["head_dim"],
        seq_length=c["max_position_embeddings"], layernorm_epsilon=c["norm_eps"], activation_func=squared_relu, window_size=[4096, 0],
    )
    tokenizer = fiddle.Config(AutoTokenizer, pretrained_model_name="nvidia/tiny")
    context = fiddle.Config(TrainerContext, model=fiddle.Config(NemotronModel, config=config, tokenizer=tokenizer), extra={})
    (ROOT / "export/nemo/testdata/io.json").write_text(serialization.dump_json(context))


if __name__ == "__main__":
    main()
