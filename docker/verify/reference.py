#!/usr/bin/env python3
"""What transformers generates greedily for prompts of token ids, to compare an engine with.

    reference.py MODEL_DIR PROMPTS.jsonl OUT.json [--dtype bfloat16] [--max_output_len 32]

A line of PROMPTS.jsonl has "input_ids", as `trtgo run --json` prints them. The weights are rounded to --dtype and computed with in
float32: the numbers that an engine of that type should come near to. Beside them is what transformers itself loses when it computes
in that type. Runs on the first GPU, or on the CPU where there is none.
"""

import argparse
import json
import sys


def prompts(path):
    """Prompts of a file, each once, in order."""
    seen = []
    with open(path, encoding="utf-8") as f:
        for line in f:
            ids = json.loads(line)["input_ids"] if line.strip() else None
            if ids and ids not in seen:
                seen.append(ids)
    return seen


def greedy(torch, model, ids, steps, ends):
    """Ids, log-probs and margins between the two best logits of greedy generation; the end id is among them and ends it."""
    device = next(model.parameters()).device
    tokens, log_probs, margins = [], [], []
    past, feed = None, torch.tensor([ids], device=device)
    while len(tokens) < steps:
        out = model(input_ids=feed, past_key_values=past, use_cache=True)
        past = out.past_key_values
        row = out.logits[0, -1].float()
        best = torch.topk(row, 2)
        token = int(best.indices[0])
        tokens.append(token)
        log_probs.append(float(torch.log_softmax(row, -1)[token]))
        margins.append(float(best.values[0] - best.values[1]))
        if token in ends:
            break
        feed = torch.tensor([[token]], device=device)
    return tokens, log_probs, margins


def forced(torch, model, ids, tokens):
    """Log-probs of given tokens after a prompt."""
    device = next(model.parameters()).device
    logits = model(input_ids=torch.tensor([ids + tokens[:-1]], device=device)).logits[0, len(ids) - 1 :].float()
    picked = torch.log_softmax(logits, -1).gather(1, torch.tensor(tokens, device=device)[:, None])
    return [float(v) for v in picked[:, 0]]


def cast(model, dtype):
    """Changes the type of the weights. The buffers, such as the frequencies of the rotary embedding, are float32 in every type."""
    for parameter in model.parameters():
        parameter.data = parameter.data.to(dtype)


def end_ids(model):
    ends = model.generation_config.eos_token_id if model.generation_config is not None else None
    if ends is None:
        ends = model.config.eos_token_id
    return set(ends if isinstance(ends, list) else [] if ends is None else [ends])


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model_dir")
    parser.add_argument("prompts")
    parser.add_argument("out")
    parser.add_argument("--dtype", default="bfloat16", choices=["float32", "float16", "bfloat16"])
    parser.add_argument("--max_output_len", type=int, default=32)
    o = parser.parse_args(arguments)
    import torch
    import transformers

    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.backends.cuda.matmul.allow_tf32 = False
    dtype = getattr(torch, o.dtype)
    transformers.utils.logging.disable_progress_bar()
    # The argument for the type has another name in each release of transformers.
    model = transformers.AutoModelForCausalLM.from_pretrained(o.model_dir).eval()
    cast(model, dtype)  # rounds the weights
    cast(model, torch.float32)
    try:
        model.to(device)
    except torch.cuda.OutOfMemoryError:
        print("the GPU's memory is too small for the weights in float32: transformers runs on the CPU")
        device = "cpu"
        model.to(device)
    rounded = []
    with torch.inference_mode():
        ends = end_ids(model)
        for ids in prompts(o.prompts):
            tokens, log_probs, margins = greedy(torch, model, ids, o.max_output_len, ends)
            rounded.append({"input_ids": ids, "output_ids": tokens, "log_probs": log_probs, "margins": margins})
        if o.dtype != "float32":
            cast(model, dtype)
            for sequence in rounded:
                sequence["own_log_probs"] = forced(torch, model, sequence["input_ids"], sequence["output_ids"])
    made_with = {"torch": torch.__version__, "transformers": transformers.__version__, "device": device, "dtype": o.dtype}
    with open(o.out, "w", encoding="utf-8") as f:
        json.dump({"made_with": made_with, "end_ids": sorted(ends), "sequences": rounded}, f)
    print(f"transformers generated {sum(len(s['output_ids']) for s in rounded)} tokens for {len(rounded)} prompts on {device}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
