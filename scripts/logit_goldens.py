#!/usr/bin/env python3
"""Reference logits and greedy continuations of the tiny checkpoints.

    python scripts/logit_goldens.py [NAME ...]      default: all of testdata/models and testdata/gguf

For each checkpoint, transformers runs in float32 with eager attention on the
weights as they lie on disk; a quantised GGUF's are dequantised by gguf-py and
rounded to bfloat16, as export does. Written to internal/testmodel/testdata/goldens:

    NAME.logits   raw little-endian float32, [sum of prompt lengths, vocab_size]
    NAME.json     prompts, greedy ids (32, end ids do not stop), their log-probs,
                  the top-1 margin of each step, and how far transformers' own
                  bfloat16 run is from its float32 run on the same tokens

Prompts are random ids. Of many candidates with a seed made of the model's name
the first one is taken whose 32 greedy steps all have a margin of at least
MARGIN and at least 6 different ids, so that comparing greedy ids is no luck.
"""
import argparse
import json
import zlib
from pathlib import Path

import numpy as np
import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer

import gguf_values

ROOT = Path(__file__).resolve().parent.parent
TESTDATA = ROOT / "internal/testmodel/testdata"
STEPS = 32
MARGIN = 0.35  # a little more than the 0.3 which the tests ask for
DISTINCT = 6
LENGTHS = (1, 5, 20, 40)
SHORT = ("llama-f32", "llama-f16", "llama-sharded", "nemotron-f32", "gguf-")  # these go without the longest
TEXTS = ("The river rose 42 metres in 2031.", "def area(x):\n\treturn x*x  # it's\n", "naïve Zürich 東京 🙂",
         "<|im_start|>user\nhi<|im_end|>\n", "  two  spaces,and  1234567 'll")
CANDIDATES, ROUNDS = 512, 12


def load(directory, dtype):
    model = AutoModelForCausalLM.from_pretrained(directory, dtype=dtype, attn_implementation="eager")
    return model.eval()


def stop_ids(model):
    eos = model.config.eos_token_id
    return set(eos if isinstance(eos, list) else [eos])


@torch.no_grad()
def search(model, length, seed):
    """The first random prompt whose greedy run has wide margins, else the best one."""
    rng = np.random.Generator(np.random.PCG64(seed))
    stops = torch.tensor(sorted(stop_ids(model)))
    best = (0.02, None)
    for _ in range(ROUNDS):
        prompts = torch.from_numpy(rng.integers(4, model.config.vocab_size, (CANDIDATES, length)))
        if length == 1:  # there are only so many
            prompts = torch.arange(4, model.config.vocab_size)[:, None]
        ids, cache, rows = prompts, None, torch.arange(len(prompts))
        smallest, chosen = torch.full((len(prompts),), 1e9), torch.empty((len(prompts), 0), dtype=torch.long)
        for _ in range(STEPS):
            out = model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
            cache = out.past_key_values
            top = out.logits[:, -1].topk(2)
            smallest = torch.minimum(smallest, top.values[:, 0] - top.values[:, 1])
            chosen = torch.cat([chosen, top.indices[:, :1]], 1)
            # Rows that can no longer win are dropped: most die within a few steps.
            alive = torch.nonzero((smallest > best[0]) & ~torch.isin(top.indices[:, 0], stops))[:, 0]
            if len(alive) == 0:
                break
            cache.batch_select_indices(alive)
            smallest, chosen, rows, ids = smallest[alive], chosen[alive], rows[alive], top.indices[alive, :1]
        else:
            for i, row in enumerate(rows):
                if len(set(chosen[i].tolist())) >= DISTINCT and smallest[i] > best[0]:
                    best = (smallest[i].item(), prompts[row].tolist())
                if best[0] >= MARGIN:
                    return best[1]
        if length == 1:
            break
    if best[1] is None:
        raise SystemExit(f"no prompt of length {length} will do")
    return best[1]


@torch.no_grad()
def logits_of(model, ids):
    return model(input_ids=torch.tensor([ids]), use_cache=False).logits[0].float().numpy()


def log_softmax(row):
    row = row.astype(np.float64)
    return row - row.max() - np.log(np.exp(row - row.max()).sum())


def greedy(model, prompt):
    """Recomputes the whole sequence at each step: no cache to be wrong."""
    ids, out, log_probs, margins = list(prompt), [], [], []
    for _ in range(STEPS):
        row = logits_of(model, ids)[-1]
        second, first = np.sort(row)[-2:]
        token = int(row.argmax())
        log_probs.append(round(float(log_softmax(row)[token]), 6))
        margins.append(round(float(first - second), 5))
        out.append(token)
        ids.append(token)
    return out, log_probs, margins


def rms(a):
    return float(np.sqrt(np.mean(np.square(a, dtype=np.float64))))


@torch.no_grad()
def wide(model, ids):
    """Whether the greedy run of one prompt would be taken by search."""
    cache, chosen, step = None, [], torch.tensor([ids])
    for _ in range(STEPS):
        out = model(input_ids=step, past_key_values=cache, use_cache=True, logits_to_keep=1)
        cache, top = out.past_key_values, out.logits[0, -1].topk(2)
        if top.values[0] - top.values[1] < MARGIN or top.indices[0] >= 2600:  # special tokens
            return False
        chosen.append(int(top.indices[0]))
        step = top.indices[None, :1]
    return len(set(chosen)) >= DISTINCT + 2


def text_prompts(model, directory):
    """Prompts in words, and one that the chat template renders, found like those of search."""
    tok = AutoTokenizer.from_pretrained(directory)
    rng = np.random.Generator(np.random.PCG64(zlib.crc32(directory.name.encode())))
    # Words of the vocabulary, so that a prompt has few ids and its logits stay small.
    known = sorted(w[1:] for w in tok.get_vocab() if w[0] == "Ġ" and w[1:].isascii() and w[3:].isalpha())
    found = []
    for words in (2, 2, 3):
        while True:
            text = " ".join(rng.choice(known, words)) + str(rng.choice([".", "?", "!"]))
            found.append({"text": text, "ids": tok(text)["input_ids"]})
            if wide(model, found[-1]["ids"]):
                break
            found.pop()
    while True:
        messages = [{"role": "user", "content": str(rng.choice(known))}]
        text = tok.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        ids = tok(text, add_special_tokens=False)["input_ids"]
        if wide(model, ids):
            return tok, found + [{"text": text, "messages": messages, "ids": ids}]


def measure(name, model, half, stored, prompts):
    """Everything about one model; half is the same model in bfloat16."""
    rows = [logits_of(model, p) for p in prompts]
    runs = [greedy(model, p) for p in prompts]
    errors = [logits_of(half, p) - r for p, r in zip(prompts, rows)]
    forced = []
    for p, run in zip(prompts, runs):
        ids = p + run[0][:-1]
        forced.append(rms(logits_of(half, ids) - logits_of(model, ids)))
    smallest = min(min(run[2]) for run in runs)
    golden = {
        "model": name, "weights": stored, "vocab_size": model.config.vocab_size,
        "prompts": prompts,
        "greedy_ids": [r[0] for r in runs], "log_probs": [r[1] for r in runs], "margins": [r[2] for r in runs],
        "logits_std": round(float(np.concatenate(rows).std()), 4),
        "smallest_margin": smallest,
        "bf16_rms": [round(rms(e), 7) for e in errors],
        "bf16_rms_all": round(rms(np.concatenate(errors)), 7),
        "bf16_rms_forced": [round(e, 7) for e in forced],
        "fast": bool(stored == "bfloat16" and smallest >= 0.3),
        "made_with": {"torch": torch.__version__, "transformers": transformers.__version__},
    }
    print(f"{name}: std {golden['logits_std']}, margin {smallest}, bf16 rms {golden['bf16_rms_all']}, "
          f"distinct {[len(set(r[0])) for r in runs]}, stops hit {any(stop_ids(model) & set(r[0]) for r in runs)}",
          flush=True)
    return golden, np.concatenate(rows)


def write(golden, logits):
    out, name = TESTDATA / "goldens", golden["model"]
    out.mkdir(parents=True, exist_ok=True)
    logits.astype("<f4").tofile(out / f"{name}.logits")
    text = json.dumps(golden, ensure_ascii=False)
    (out / f"{name}.json").write_text(text.replace('], "', '],\n"').replace(', "', ',\n"') + "\n")


def random_prompts(name, model):
    return [search(model, n, zlib.crc32(f"{name}/{n}".encode())) for n in LENGTHS
            if n < 40 or not name.startswith(SHORT)]


def make_hf(name, directory):
    model, half = load(directory, torch.float32), load(directory, torch.bfloat16)
    stored = json.loads((directory / "config.json").read_text())["dtype"]
    if not (directory / "tokenizer.json").exists():
        write(*measure(name, model, half, stored, random_prompts(name, model)))
        return
    tok, texts = text_prompts(model, directory)
    golden, logits = measure(name, model, half, stored, [t["ids"] for t in texts])
    for t, ids in zip(texts, golden["greedy_ids"]):
        t["output_text"] = tok.decode(ids, skip_special_tokens=True)
    write({**golden, "texts": texts}, logits)


def make_gguf(name, path):
    source = gguf_values.read(path)
    stored, model = source.model("auto")
    half = source.model("auto")[1].to(torch.bfloat16)
    golden, logits = measure(name, model, half, stored, random_prompts(name, model))
    tok = source.tokenizer()
    if tok is not None:
        golden["encodings"] = [{"text": t, "ids": tok.encode(t).ids} for t in TEXTS]
    golden["gguf_tensors"] = source.listing()
    write(golden, logits)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*")
    names = parser.parse_args().names
    torch.set_num_threads(1)  # one order of summation
    for directory in sorted((TESTDATA / "models").iterdir()):
        if not names or directory.name in names:
            make_hf(directory.name, directory)
    for path in sorted((TESTDATA / "gguf").glob("*.gguf")):
        name = f"gguf-{path.stem}"
        if (not names or name in names) and not path.stem.startswith("unsupported"):
            make_gguf(name, path)


if __name__ == "__main__":
    main()
