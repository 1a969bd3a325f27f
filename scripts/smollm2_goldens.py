#!/usr/bin/env python3
"""What transformers computes on SmolLM2-135M-Instruct, dequantised from GGUF.

    python scripts/smollm2_goldens.py [SmolLM2-135M-Instruct.Q4_1.gguf]

gguf-py dequantises the file, the values are rounded to bfloat16 (as export
does) and transformers runs them in float32 with eager attention. Written to
internal/testmodel/testdata/smollm2/golden.json: for each prompt the ids of
`tokenizers` with the file's vocabulary, 64 greedy ids with log-probs and
margins (end ids do not stop), and at some positions of prompt + greedy ids the
20 best logits with the log-sum-exp of the row. bf16_rms is how far torch's own
bfloat16 run is from that on the same tokens.
"""
import json
import sys
from pathlib import Path

import jinja2.sandbox
import numpy as np
import torch
import transformers

import gguf_values

ROOT = Path(__file__).resolve().parent.parent
GGUF = ROOT / "models/SmolLM2-135M-Instruct.Q4_1.gguf"
OUT = ROOT / "internal/testmodel/testdata/smollm2"
ARTICLES = ROOT / "examples/summarize/testdata/articles.jsonl"
STEPS, BEST = 64, 20

ENGLISH = "Born in north-east France, Soyer trained as a"
CODE = "def fibonacci(n):\n    \"\"\"Return the n-th Fibonacci number.\"\"\"\n"
NUMBERS = "Prices in 2019: 1,250 euros; in 2020: 1,375 euros; in 2021: 1,512.50 euros; in 2022:"
TONGUES = "Le café à Zürich coûte 4,50 francs. 東京の天気は晴れです 🙂. In English, the first sentence means"
QUESTION = [{"role": "user", "content": "Why is the sky blue? Answer in two sentences."}]


def prompts(source, tok):
    def render(messages):
        env = jinja2.sandbox.ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
        return env.from_string(source.meta("tokenizer.chat_template")).render(
            messages=messages, add_generation_prompt=True)

    article = json.loads(ARTICLES.read_text().splitlines()[0])["article"]
    summary = [{"role": "user", "content": "Summarise this article in two sentences.\n\n" + article}]
    for name, text, messages in (
            ("english", ENGLISH, None), ("chat", render(QUESTION), QUESTION), ("article", render(summary), summary),
            ("code", CODE, None), ("numbers", NUMBERS, None), ("tongues", TONGUES, None)):
        yield {"name": name, "text": text, **({"messages": messages} if messages else {}), "ids": tok.encode(text).ids}


@torch.no_grad()
def greedy(model, ids):
    out, cache, step = [], None, torch.tensor([ids])
    for _ in range(STEPS):
        result = model(input_ids=step, past_key_values=cache, use_cache=True, logits_to_keep=1)
        cache = result.past_key_values
        step = result.logits[:, -1].argmax(-1, keepdim=True)
        out.append(int(step))
    return out


@torch.no_grad()
def rows(model, ids):
    return model(input_ids=torch.tensor([ids]), use_cache=False).logits[0].double().numpy()


def logsumexp(a):
    top = a.max(-1)
    return top + np.log(np.exp(a - top[..., None]).sum(-1))


def rms(a):
    return round(float(np.sqrt(np.mean(np.square(a)))), 6)


def measure(prompt, model, half, tok):
    ids = prompt["ids"]
    prompt["greedy_ids"] = greedy(model, ids)
    sequence = ids + prompt["greedy_ids"][:-1]
    exact, rounded = rows(model, sequence), rows(half, sequence)
    steps = exact[len(ids) - 1:]
    # The whole forward pass must choose what the steps with a cache chose.
    assert (steps.argmax(-1) == prompt["greedy_ids"]).all(), prompt["name"]
    two = np.sort(steps, -1)[:, -2:]
    prompt["margins"] = [round(float(m), 5) for m in two[:, 1] - two[:, 0]]
    prompt["log_probs"] = [round(float(v), 6) for v in two[:, 1] - logsumexp(steps)]
    prompt["output_text"] = tok.decode(prompt["greedy_ids"], skip_special_tokens=True)
    n = len(sequence)
    positions = sorted({0, 1, len(ids) // 2, len(ids) - 1, len(ids) + STEPS // 2, n - 1})
    prompt["positions"], errors = [], []
    for p in positions:
        best = np.argsort(-exact[p], kind="stable")[:BEST]
        errors.append(rounded[p][best] - exact[p][best])
        prompt["positions"].append({
            "position": p, "ids": best.tolist(), "logits": [round(float(v), 5) for v in exact[p][best]],
            "log_sum_exp": round(float(logsumexp(exact[p])), 5)})
    prompt["bf16_rms"] = rms(rounded - exact)
    prompt["bf16_rms_best"] = rms(np.concatenate(errors))
    left = np.nonzero(rounded[len(ids) - 1:].argmax(-1) != prompt["greedy_ids"])[0]
    worst = max((prompt["margins"][i] for i in left), default=0)
    print(f"{prompt['name']}: {len(ids)} ids, margin {min(prompt['margins'])}, bf16 rms {prompt['bf16_rms']} "
          f"(best {prompt['bf16_rms_best']}), bf16 differs at {len(left)} steps, margins up to {worst}\n"
          f"    {prompt['output_text'][:160]!r}", flush=True)
    return prompt


def main():
    source = gguf_values.read(Path(sys.argv[1]) if len(sys.argv) > 1 else GGUF)
    tok = source.tokenizer()
    dtype, model = source.model("auto")
    half = source.model("auto")[1].to(torch.bfloat16)
    done = [measure(p, model, half, tok) for p in prompts(source, tok)]
    OUT.mkdir(parents=True, exist_ok=True)
    text = json.dumps({
        "model": "SmolLM2-135M-Instruct.Q4_1.gguf", "weights": dtype, "vocab_size": model.config.vocab_size,
        "prompts": done, "made_with": {"torch": torch.__version__, "transformers": transformers.__version__},
    }, ensure_ascii=False)
    (OUT / "golden.json").write_text(text.replace('], "', '],\n"').replace('{"position"', '\n{"position"') + "\n")
    print(f"{len(text)} characters")


if __name__ == "__main__":
    main()
