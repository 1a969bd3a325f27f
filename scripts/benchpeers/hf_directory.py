#!/usr/bin/env python3
"""Writes a llama GGUF file's values, rounded to bfloat16, as a Hugging Face directory.

    python hf_directory.py MODEL.gguf DIRECTORY
"""
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import gguf_values  # noqa: E402

source, directory = sys.argv[1:]
_, model = gguf_values.read(source).model("bfloat16")
model.config._attn_implementation = None  # the reader's is the slow one; whoever loads this chooses
model.to(torch.bfloat16).save_pretrained(directory)
