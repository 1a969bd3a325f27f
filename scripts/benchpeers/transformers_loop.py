#!/usr/bin/env python3
"""Prompts and decoding by transformers on the CPU, as its users write it.

    python transformers_loop.py MODEL_DIRECTORY THREADS PROMPT TIMES TOKENS

computes a random prompt of PROMPT tokens TIMES times and TOKENS greedy tokens after
the last, and prints a line of JSON: tokens a second of both, of all tokens over all
of their time, and what it runs on. A prompt and a token are computed before that is
measured. Weights and cache are bfloat16, attention is what transformers chooses.
"""
import json
import os
import sys
import time

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch  # noqa: E402
import transformers  # noqa: E402

directory = sys.argv[1]
threads, prompt, times, tokens = map(int, sys.argv[2:])
torch.set_num_threads(threads)
model = transformers.AutoModelForCausalLM.from_pretrained(directory, dtype=torch.bfloat16).eval()
ids = torch.randint(model.config.vocab_size, (1, prompt), generator=torch.Generator().manual_seed(1))


def forward(step, cache):
    out = model(input_ids=step, past_key_values=cache, use_cache=True, logits_to_keep=1)
    return out.logits[:, -1].argmax(-1, keepdim=True), out.past_key_values


@torch.inference_mode()
def measure(times, tokens):
    begin = time.perf_counter()
    for _ in range(times):
        step, cache = forward(ids, None)
    middle = time.perf_counter()
    for _ in range(tokens):
        step, cache = forward(step, cache)
    return times * prompt / (middle - begin), tokens / (time.perf_counter() - middle)


measure(1, 1)
prefill, decode = measure(times, tokens)
print(json.dumps({
    "prefill_tokens_per_second": prefill, "decode_tokens_per_second": decode,
    "details": f"transformers {transformers.__version__} with torch {torch.__version__}, {model.config._attn_implementation} attention",
}))
