#!/usr/bin/env python3
"""Random blocks of every quantised GGUF type that is read, as gguf-py expands them.

    python scripts/gguf_goldens.py        writes export/gguf/testdata/blocks.json

Three blocks of each type: random bytes with sane scales, both signs of the
scale, and a scale that is subnormal in half precision.
"""
import json
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType as Type, GGML_QUANT_SIZES, dequantize

OUT = Path(__file__).resolve().parent.parent / "export/gguf/testdata/blocks.json"
HALVES = {Type.Q4_0: [0], Type.Q4_1: [0, 2], Type.Q8_0: [0], Type.Q6_K: [208]}  # offsets of half-precision numbers

random = np.random.default_rng(2026)
golden = []
for kind, offsets in HALVES.items():
    size = GGML_QUANT_SIZES[kind][1]
    blocks = random.integers(0, 256, (3, size), dtype=np.uint8)
    for i, scale in enumerate([0.0123, -0.75, 3e-6]):
        for j, offset in enumerate(offsets):
            blocks[i, offset:offset + 2] = np.array([scale * (1 - 3 * j)], np.float16).view(np.uint8)
    values = dequantize(blocks.reshape(-1), kind)
    golden.append({"type": kind.name, "blocks": blocks.tobytes().hex(),
                   "values": values.astype("<f4").tobytes().hex()})
OUT.parent.mkdir(exist_ok=True)
OUT.write_text(json.dumps(golden, indent=0) + "\n")
