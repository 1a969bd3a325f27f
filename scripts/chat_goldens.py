#!/usr/bin/env python3
"""Make the golden of trtgo chat: conversations by transformers' chat template and greedy generate.

    venv/bin/pip install -r scripts/requirements.txt
    venv/bin/python scripts/chat_goldens.py

The model is the tiny llama-text in float32 with eager attention. Each answer, decoded without special tokens, goes into the
conversation; the oldest turns leave it until prompt and answer fit max_seq_len. No decision between two tokens is closer than
MARGIN, so that sums in another order find the same.

Writes cmd/trtgo/testdata/chat.json: of each conversation its limits, its messages, and of each turn the ids of prompt and
answer, the answer's text and the number of turns that left.
"""

import json
import pathlib

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

ROOT = pathlib.Path(__file__).resolve().parent.parent
MODEL = ROOT / "internal/testmodel/testdata/models/llama-text"
MARGIN = 0.001
CASES = [
    {"system": "", "max_seq_len": 512, "max_output_len": 12, "messages": ["Hello", "What is the capital of France?", "And why, über all?", "Thanks <3"]},
    {"system": "Be brief.", "max_seq_len": 128, "max_output_len": 12, "messages": ["one", "two\n\n  lines", "three", "four, which is longer", "5", "six"]},
]

tokenizer = AutoTokenizer.from_pretrained(MODEL)
model = AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.float32, attn_implementation="eager").eval()


def render(system, turns, message):
    messages = [{"role": "system", "content": system}] if system else []
    for user, assistant in turns:
        messages += [{"role": "user", "content": user}, {"role": "assistant", "content": assistant}]
    messages.append({"role": "user", "content": message})
    return tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)


def answer(ids, length):
    with torch.no_grad():
        out = model.generate(
            torch.tensor([ids]), attention_mask=torch.ones(1, len(ids), dtype=torch.long), do_sample=False, max_new_tokens=length,
            pad_token_id=model.config.eos_token_id, return_dict_in_generate=True, output_logits=True,
        )
    for logits in out.logits:
        best = logits[0].topk(2).values
        assert best[0] - best[1] > MARGIN, "two tokens are too close: choose other messages"
    new = out.sequences[0, len(ids):].tolist()
    ended = bool(new) and new[-1] == model.config.eos_token_id
    return (new[:-1], "end") if ended else (new, "length")


def converse(case):
    kept, turns = [], []
    for message in case["messages"]:
        forgotten = 0
        while len(ids := render(case["system"], kept[forgotten:], message)) > case["max_seq_len"] - case["max_output_len"]:
            forgotten += 1
        new, reason = answer(ids, case["max_output_len"])
        text = tokenizer.decode(new, skip_special_tokens=True)
        kept = kept[forgotten:] + [(message, text)]
        turns.append({"input_ids": ids, "output_ids": new, "text": text, "finish_reason": reason, "forgotten_turns": forgotten})
    return {**case, "turns": turns}


conversations = [converse(case) for case in CASES]
assert sum(turn["forgotten_turns"] for turn in conversations[1]["turns"]) > 1
target = ROOT / "cmd/trtgo/testdata/chat.json"
lines = ",\n".join(json.dumps(c, ensure_ascii=False, separators=(",", ":")) for c in conversations)
target.write_text("[\n" + lines + "\n]\n", encoding="utf-8")
print(target, target.stat().st_size, "bytes")
