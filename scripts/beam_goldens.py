#!/usr/bin/env python3
"""Reference beam searches on the tiny checkpoints.

    python scripts/beam_goldens.py

transformers' generate(num_beams=…) runs in float32 with eager attention on the
weights as they lie on disk, for widths 2, 3 and 4, length penalties 0, 1, 2 and
-1, early_stopping True, False and "never", without end ids, with one and with
two. Written to trtllm/testdata/beams.json, one search a line.

A search written here in the plainest way, over whole rows of logits and without
a KV cache, must find what generate finds. The same search with TensorRT-LLM's
rules (beamStage3Kernel) is kept too where it finds something else. The rules
differ in two points:

  - What bounds the beams that could still end, without early stopping:
    transformers takes the best beam that lives, TensorRT-LLM the best candidate
    of the step, also when it has just ended.
  - At the last step: transformers takes the best candidates as ended whatever
    their token is; TensorRT-LLM takes those with an end id first, and the beams
    that live only if the search is not done by then.

Prompts are random ids, the first of which no decision of either search is closer
than MARGIN, so that float32 sums in another order find the same.
"""
import itertools
import json
import zlib
from pathlib import Path

import numpy as np
import torch
import transformers
from transformers import AutoModelForCausalLM

ROOT = Path(__file__).resolve().parent.parent
MODELS = ROOT / "internal/testmodel/testdata/models"
OUT = ROOT / "trtllm/testdata/beams.json"
NAMES = ("llama-f32", "nemotron-f32", "llama-gqa")
MARGIN = 1e-3
EARLY = {1: True, 0: False, 2: "never"}  # TensorRT-LLM's numbers


class Search:
    """One search; margin is how close its closest decision was."""

    def __init__(self, model, prompt, width, penalty, early, ends, most, upstream):
        self.model, self.prompt, self.width, self.penalty = model, prompt, width, penalty
        self.early, self.ends, self.most, self.upstream = early, ends, most, upstream
        self.margin = float("inf")

    @torch.no_grad()
    def log_probs(self, beams):
        ids = torch.tensor([self.prompt + list(b) for b, _ in beams])
        rows = self.model(input_ids=ids, use_cache=False).logits[:, -1].double()
        return torch.log_softmax(rows, -1).numpy()

    def score(self, cum, length):
        return cum / length ** self.penalty

    def decide(self, *values):
        """Notes the gaps of numbers whose order matters."""
        for a, b in itertools.pairwise(sorted(values)):
            self.margin = min(self.margin, b - a)

    def run(self):
        live, ended, done = [((), 0.0)], [], False
        for length in range(1, self.most + 1):
            ranked = sorted(((cum + row[token], beam + (token,)) for (beam, cum), row in zip(live, self.log_probs(live))
                             for token in range(len(row))), reverse=True)
            ranked = ranked[:self.width * (1 + max(1, len(self.ends))) + 1]
            self.decide(*(cum for cum, _ in ranked))
            last = length == self.most and not self.upstream
            fresh = [(self.score(cum, length), cum, tokens) for cum, tokens in ranked[:self.width]
                     if tokens[-1] in self.ends or last]
            self.decide(*(s for s, _, _ in ended + fresh))
            ended = sorted(ended + fresh, reverse=True)[:self.width]
            live = [(tokens, cum) for cum, tokens in ranked if tokens[-1] not in self.ends][:self.width]
            if len(ended) == self.width:
                best = ranked[0][0] if self.upstream else live[0][1]
                bound = self.score(best, self.most if self.early == 2 and self.penalty > 0 else length)
                done = self.early == 1 or ended[-1][0] >= bound
                if self.early != 1:
                    self.decide(ended[-1][0], bound)
            if done:
                break
        if self.upstream and not done:
            ended += [(self.score(cum, self.most), cum, tokens) for tokens, cum in live]
            self.decide(*(s for s, _, _ in ended))
        return [self.result(*e) for e in sorted(ended, reverse=True)[:self.width]]

    def result(self, score, cum, tokens):
        end = tokens[-1] in self.ends
        return {"ids": list(tokens[:len(tokens) - end]), "end": end, "score": score, "cum": cum}


@torch.no_grad()
def generate(model, prompt, width, penalty, early, ends, most):
    out = model.generate(
        torch.tensor([prompt]), attention_mask=torch.ones(1, len(prompt), dtype=torch.long), num_beams=width,
        num_return_sequences=width, do_sample=False, max_new_tokens=most, length_penalty=float(penalty),
        early_stopping=EARLY[early], eos_token_id=list(ends) or None, pad_token_id=0, return_dict_in_generate=True,
        output_scores=True)
    steps = model.compute_transition_scores(out.sequences, out.scores, out.beam_indices)
    results = []
    for ids, score, log_probs, beams in zip(out.sequences, out.sequences_scores, steps, out.beam_indices):
        length = int((beams >= 0).sum())
        ids = ids[len(prompt):len(prompt) + length].tolist()
        end = ids[-1] in ends
        results.append({"ids": ids[:length - end], "end": end, "score": float(score), "cum": float(log_probs[:length].sum())})
    return results


def same(a, b):
    return ([(r["ids"], r["end"]) for r in a] == [(r["ids"], r["end"]) for r in b]
            and np.allclose([(r["score"], r["cum"]) for r in a], [(r["score"], r["cum"]) for r in b], atol=2e-4))


def end_ids(model, prompt, n, most):
    """Tokens that a search without end ids meets, in the middle of what it finds."""
    found = [r["ids"] for r in generate(model, prompt, 4, 1, 1, (), most)]
    later = [token for ids in found for token in ids[2:-1] if token not in (ids[0], ids[1])]
    return tuple(sorted(set(later), key=lambda t: (-later.count(t), t))[:2 * n:2])


def case(name, model, i, width, penalty, early):
    """One search; every other one should be one that TensorRT-LLM does otherwise, if that is soon found."""
    tries = 40 if i % 2 else 0
    rng = np.random.Generator(np.random.PCG64(zlib.crc32(f"{name}/{i}".encode())))
    most = int(rng.integers(6, 13))
    while True:
        prompt = rng.integers(4, model.config.vocab_size, int(rng.integers(1, 10))).tolist()
        ends = end_ids(model, prompt, (i + i // 3) % 3, most)
        settings = (prompt, width, penalty, early, ends, most)
        theirs, ours = Search(model, *settings, False), Search(model, *settings, True)
        found, upstream = theirs.run(), ours.run()
        tries -= 1
        if min(theirs.margin, ours.margin) < MARGIN or tries > 0 and same(found, upstream):
            continue
        want = generate(model, *settings)
        if not same(want, found):
            raise SystemExit(f"{name} {settings}: generate finds {want}, the plain search {found}")
        c = {"model": name, "prompt": prompt, "width": width, "length_penalty": penalty, "early_stopping": early,
             "end_ids": list(ends), "max_tokens": most, "beams": want}
        if not same(upstream, want):
            c["upstream"] = upstream
        return c


def rounded(beams):
    return [{**b, "score": round(b["score"], 5), "cum": round(b["cum"], 5)} for b in beams]


def main():
    torch.set_num_threads(1)  # one order of summation
    cases = []
    for m, name in enumerate(NAMES):  # each setting on two of them
        model = AutoModelForCausalLM.from_pretrained(MODELS / name, dtype=torch.float32, attn_implementation="eager").eval()
        model.generation_config.eos_token_id = None
        for i, (width, penalty, early) in enumerate(itertools.product((2, 3, 4), (0, 1, 2, -1), (1, 0, 2))):
            if (i + m) % 3 == 0:
                continue
            c = case(name, model, i + m, width, penalty, early)
            c.update({k: rounded(c[k]) for k in ("beams", "upstream") if k in c})
            cases.append(c)
    differ = sum("upstream" in c for c in cases)
    ended = sum(b["end"] for c in cases for b in c["beams"])
    print(f"{len(cases)} searches, {differ} of which TensorRT-LLM does otherwise, {ended} beams with an end id")
    lines = ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases)
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(f'{{"made_with":{json.dumps({"torch": torch.__version__, "transformers": transformers.__version__})},\n'
                   f'"searches":[\n{lines}\n]}}\n')


if __name__ == "__main__":
    main()
