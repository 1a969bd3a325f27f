#!/usr/bin/env python3
"""Reference log-probs of the tiny checkpoints, and what transformers' generate makes
of penalties and bans.

    python scripts/logprob_goldens.py

For each of MODELS, transformers runs in float32 with eager attention on the weights
as they lie on disk, for two prompts of its golden (logit_goldens.py). Written to
internal/testmodel/testdata/logprobs/NAME.json:

    prompts    log-probs of the prompt's tokens and of the golden's first STEPS greedy
               ids under the softmax of the raw logits, the BEST tokens at each with
               theirs, [id, log-prob, id, log-prob ...], the sum over the greedy ids
    generated  greedy output of generate() with a repetition penalty, forbidden
               n-grams or bad words, the smallest margin of the edited logits, the
               log-probs of the ids under the raw ones

Log-probs of prompts and greedy ids come from one pass over the whole sequence,
those of generate() from its own steps with a cache.
"""
import json
from pathlib import Path

import numpy as np
import torch
import transformers

from logit_goldens import TESTDATA, load, log_softmax, logits_of

OUT = TESTDATA / "logprobs"
MODELS = ("llama-f32", "llama-gqa", "nemotron", "nemotron-f32")
BEST = 6  # one more than the tests ask for: it tells how sure the fifth is
PROMPTS = (1, -1)  # the one of five tokens, and the longest
STEPS = 16
MARGIN = 0.02


def rounded(values, digits=5):
    return [round(float(v), digits) for v in values]


def best(row):
    return [v for i in np.argsort(-row, kind="stable")[:BEST] for v in (int(i), round(float(row[i]), 5))]


def forced(model, prompt, greedy):
    """Log-probs of prompt and greedy ids; the first token has none, which is a 0."""
    ids = prompt + greedy
    rows = log_softmax_rows(logits_of(model, ids[:-1]))
    own = np.array([row[token] for row, token in zip(rows, ids[1:])])
    n = len(prompt) - 1
    # The whole pass must choose what the golden's steps chose.
    assert (rows[n:].argmax(-1) == greedy).all()
    return {
        "ids": prompt, "log_probs": rounded([0, *own[:n]]), "best": [best(r) for r in rows[:n]],
        "greedy_ids": greedy, "greedy_log_probs": rounded(own[n:]), "greedy_best": [best(r) for r in rows[n:]],
        "cumulative": round(float(own[n:].sum()), 5),
    }


def log_softmax_rows(rows):
    return np.stack([log_softmax(r) for r in rows])


@torch.no_grad()
def generated(model, index, prompt, plain, options):
    """One greedy run of generate(); end ids do not stop it. It must differ from the plain one."""
    out = model.generate(
        torch.tensor([prompt]), attention_mask=torch.ones(1, len(prompt), dtype=torch.long), do_sample=False,
        max_new_tokens=STEPS, eos_token_id=None, pad_token_id=0,
        return_dict_in_generate=True, output_logits=True, output_scores=True, **options)
    ids = out.sequences[0, len(prompt):].tolist()
    assert len(ids) == STEPS and ids != plain, (options, ids)
    margins = [float(two[0] - two[1]) for two in (s[0].topk(2).values for s in out.scores)]
    log_probs = [log_softmax(row[0].float().numpy())[i] for row, i in zip(out.logits, ids)]
    return {"prompt": index, **options, "ids": ids, "margin": round(min(margins), 3), "log_probs": rounded(log_probs)}


def sure(model, index, prompt, plain, alternatives):
    """The first of the runs in which every margin is at least MARGIN, so that all ids can be compared."""
    for options in alternatives:
        run = generated(model, index, prompt, plain, options)
        print(f"{options}: margin {run['margin']}", flush=True)
        if run["margin"] >= MARGIN:
            return run
    raise SystemExit("none of the options will do")


def measure(name):
    golden = json.loads((TESTDATA / f"goldens/{name}.json").read_text())
    model = load(TESTDATA / "models" / name, torch.float32)
    model.generation_config = transformers.GenerationConfig()
    prompts, runs = [], []
    for index, p in enumerate(PROMPTS):
        prompt, greedy = golden["prompts"][p], golden["greedy_ids"][p][:STEPS]
        prompts.append(forced(model, prompt, greedy))
        _, second, third, _, fifth = greedy[:5]
        runs.append(sure(model, index, prompt, greedy, [{"repetition_penalty": p} for p in (1.5, 1.4, 1.3)]))
        runs.append(sure(model, index, prompt, greedy, [
            {"repetition_penalty": p, "no_repeat_ngram_size": 3} for p in (0.8, 0.85, 0.9, 0.75, 0.7)]))
        runs.append(sure(model, index, prompt, greedy, [{"no_repeat_ngram_size": n} for n in (2, 1)]))
        # One token by itself, and one after another only.
        runs.append(sure(model, index, prompt, greedy, [{"bad_words_ids": [[fifth], [second, third]]}]))
    text = json.dumps({
        "model": name, "weights": golden["weights"], "vocab_size": golden["vocab_size"], "prompts": prompts, "generated": runs,
        "made_with": {"torch": torch.__version__, "transformers": transformers.__version__}}, separators=(",", ":"))
    (OUT / f"{name}.json").write_text(text.replace('],"', '],\n"').replace("},{", "},\n{") + "\n")
    print(f"{name}: {len(text)} characters")


def main():
    torch.set_num_threads(1)  # one order of summation
    OUT.mkdir(parents=True, exist_ok=True)
    for name in MODELS:
        measure(name)


if __name__ == "__main__":
    main()
