#!/usr/bin/env python3
"""What transformers computes of `trtgo eval` on SmolLM2-135M-Instruct, dequantised from GGUF.

    python scripts/eval_goldens.py [SmolLM2-135M-Instruct.Q4_1.gguf]

gguf-py dequantises the file, and transformers runs the values in float32 with
eager attention. A text and multiple-choice questions are made up here, from a
seeded generator. Written to internal/evaluation/testdata:

- `text.txt`: the text that is scored.
- `mmlu/dev`, `mmlu/test`: the questions, in the layout of the MMLU data set.
- `eval.json`: perplexities of the text in windows of several sizes; for each
  question the two tokens that the model writes after upstream's prompt and the
  log-probs of the four letters after lm-evaluation-harness's; for each counted
  token of the text the KL divergence of the model whose linears are rounded to
  int8 from the float32 one, both log-probs and both best tokens.
"""
import csv
import json
import sys
from pathlib import Path

import numpy as np
import torch
import transformers

import gguf_values

ROOT = Path(__file__).resolve().parent.parent
GGUF = ROOT / "models/SmolLM2-135M-Instruct.Q4_1.gguf"
OUT = ROOT / "internal/evaluation/testdata"
WINDOWS = ((96, 48), (512, 256))
COMPARED = (128, 64)
LETTERS = "ABCD"

PLACES = ("the mill", "the harbour", "the old bridge", "the market", "the observatory", "the café")
PEOPLE = ("The miller", "A young surveyor", "The harbour master", "Her neighbour", "The baker from Zürich", "An astronomer")
DEEDS = ("counted the boats", "wrote down the temperature", "waited for the ferry", "repaired the clock", "sold 12 loaves of bread",
         "drew a map of the coast")
WHEN = ("in the morning", "before the storm came", "on the third day of May", "when the bells rang", "at 7:45", "after the harvest")


def make_text(rng):
    def pick(words):
        return words[rng.integers(len(words))]

    paragraphs = []
    for _ in range(6):
        sentences = [f"{pick(PEOPLE)} {pick(DEEDS)} near {pick(PLACES)} {pick(WHEN)}." for _ in range(5)]
        paragraphs.append(" ".join(sentences))
    return "\n\n".join(paragraphs) + "\n\nIt cost 3,50 € — “cheap”, said the baker. 東京 is far away. 🙂\n"


def arithmetic(rng):
    a, b = (int(n) for n in rng.integers(2, 30, 2))
    return f"What is {a} + {b}?", str(a + b), [str(a + b + d) for d in (-3, 2, 10)]


CAPITALS = {"France": "Paris", "Italy": "Rome", "Japan": "Tokyo", "Spain": "Madrid", "Egypt": "Cairo", "Norway": "Oslo",
            "Portugal": "Lisbon", "Greece": "Athens", "Peru": "Lima", "Kenya": "Nairobi", "Cuba": "Havana", "Poland": "Warsaw"}
KINDS = {"fruit": ("apple", "pear", "cherry"), "tool": ("hammer", "saw", "drill"), "bird": ("sparrow", "heron", "owl"),
         "colour": ("red", "green", "violet"), "metal": ("iron", "copper", "tin")}


def geography(rng):
    names = list(CAPITALS)
    rng.shuffle(names)
    return f"Which city is the capital of {names[0]}?", CAPITALS[names[0]], [CAPITALS[n] for n in names[1:4]]


def miscellaneous(rng):
    kinds = list(KINDS)
    rng.shuffle(kinds)
    words = [KINDS[k][rng.integers(3)] for k in kinds]
    # Commas, quotes and line ends, which CSV has to quote; blanks, which only one of the two prompts keeps.
    return f' Here is a list, "of words":\nwhich of them is a {kinds[0]}? ', words[0], words[1:4]


SUBJECTS = {"elementary_mathematics": arithmetic, "high_school_geography": geography, "miscellaneous": miscellaneous}


def draw(rng, make):
    question, right, wrong = make(rng)
    at = int(rng.integers(4))
    return [question, *wrong[:at], right, *wrong[at:], LETTERS[at]]


def write_csv(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="", encoding="utf-8") as f:
        csv.writer(f, lineterminator="\n").writerows(rows)


@torch.no_grad()
def log_softmax(model, ids):
    return torch.log_softmax(model(input_ids=torch.tensor([ids]), use_cache=False).logits[0].double(), -1)


def windows(n, length, stride):
    """(begin, first counted token, end) as in transformers' guide on the perplexity of fixed-length models."""
    counted = 0
    for begin in range(0, n, stride):
        end = min(begin + length, n)
        first = max(counted, begin + 1)
        if first < end:
            yield begin, first, end
        counted = end
        if end == n:
            break


def perplexity(model, ids, length, stride):
    nll, tokens = 0.0, 0
    for begin, first, end in windows(len(ids), length, stride):
        rows = log_softmax(model, ids[begin:end])
        for i in range(first, end):
            nll -= rows[i - 1 - begin, ids[i]].item()
        tokens += end - first
    return {"max_length": length, "stride": stride, "tokens": tokens, "windows": len(list(windows(len(ids), length, stride))),
            "nll": nll, "perplexity": float(np.exp(nll / tokens))}


def upstream_prompt(subject, dev, question):
    """TensorRT-LLM's mmlu.py: the subject's name has a blank before each word, the head line one more."""
    def example(row, answer):
        lines = [row[0]] + [f"{letter}. {choice}" for letter, choice in zip(LETTERS, row[1:5])]
        return "\n".join(lines) + "\nAnswer:" + (f" {row[5]}\n\n" if answer else "")

    head = "The following are multiple choice questions (with answers) about {}.\n\n"
    name = "".join(" " + word for word in subject.split("_"))
    return head.format(name) + "".join(example(row, True) for row in dev) + example(question, False)


def harness_prompt(subject, dev, question):
    """lm-evaluation-harness's task mmlu: the question is stripped, shots are separated by an empty line."""
    def example(row):
        return row[0].strip() + "".join(f"\n{letter}. {choice}" for letter, choice in zip(LETTERS, row[1:5])) + "\nAnswer:"

    head = f"The following are multiple choice questions (with answers) about {subject.replace('_', ' ')}.\n\n"
    return head + "".join(f"{example(row)} {row[5]}\n\n" for row in dev) + example(question)


def ask(model, tok, subject, dev, row):
    ids = tok.encode(upstream_prompt(subject, dev, row)).ids
    written, margin = [], 1e9
    for _ in range(2):
        last = log_softmax(model, ids + written)[-1]
        best = last.topk(2)
        margin = min(margin, (best.values[0] - best.values[1]).item())
        written.append(int(best.indices[0]))
    text = tok.decode(written, skip_special_tokens=True)
    context = harness_prompt(subject, dev, row)
    prompt = tok.encode(context).ids
    last = log_softmax(model, prompt)[-1]
    letters = []
    for letter in LETTERS:
        whole = tok.encode(context + " " + letter).ids
        assert whole[:-1] == prompt, "a letter with its blank is one token"
        letters.append(last[whole[-1]].item())
    order = sorted(letters)
    return {"prompt_tokens": len(ids), "written": text, "upstream": text.strip().startswith(row[5]),
            "letters": [round(v, 6) for v in letters], "likelihood": LETTERS[int(np.argmax(letters))] == row[5],
            "pick": LETTERS[int(np.argmax(letters))]}, min(margin, order[3] - order[2])


def int8(model):
    """The linears of the layers as export --qformat int8_wo rounds them: by the row, half away from zero."""
    for layer in model.model.layers:
        for linear in (*[getattr(layer.self_attn, n + "_proj") for n in "qkvo"],
                       layer.mlp.gate_proj, layer.mlp.up_proj, layer.mlp.down_proj):
            w = linear.weight.data
            scale = w.abs().amax(1, keepdim=True) / 128
            v = torch.where(scale > 0, w / scale, torch.zeros(()))
            q = (v.double().abs() + 0.5).floor().float().copysign(v).clamp(-128, 127)
            linear.weight.data = q * scale
    return model


def compare(a, b, ids, length, stride):
    tokens = {"position": [], "kl": [], "log_prob_a": [], "log_prob_b": [], "best_a": [], "best_b": []}
    margins = []
    for begin, first, end in windows(len(ids), length, stride):
        p, q = log_softmax(a, ids[begin:end]), log_softmax(b, ids[begin:end])
        for i in range(first, end):
            x, y = p[i - 1 - begin], q[i - 1 - begin]
            tokens["position"].append(i)
            tokens["kl"].append(round((x.exp() * (x - y)).sum().item(), 7))
            tokens["log_prob_a"].append(round(x[ids[i]].item(), 5))
            tokens["log_prob_b"].append(round(y[ids[i]].item(), 5))
            tokens["best_a"].append(int(x.argmax()))
            tokens["best_b"].append(int(y.argmax()))
            margins += [(r.topk(2).values[0] - r.topk(2).values[1]).item() for r in (x, y)]
    agree = np.mean(np.array(tokens["best_a"]) == np.array(tokens["best_b"]))
    print(f"compare: mean KL {np.mean(tokens['kl']):.6f}, best tokens agree at {agree:.4f}, smallest margin {min(margins):.5f}")
    return {"max_length": length, "stride": stride, **tokens}


def main():
    source = gguf_values.read(Path(sys.argv[1]) if len(sys.argv) > 1 else GGUF)
    tok = source.tokenizer()
    _, model = source.model("float32")
    rng = np.random.Generator(np.random.PCG64(20))
    text = make_text(rng)
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "text.txt").write_text(text, encoding="utf-8")
    ids = tok.encode(text).ids
    result = {"model": "SmolLM2-135M-Instruct.Q4_1.gguf", "text_tokens": len(ids), "bytes": len(text.encode()),
              "perplexity": [perplexity(model, ids, *w) for w in WINDOWS], "mmlu": {}}
    for p in result["perplexity"]:
        print(p, flush=True)
    for subject, make in SUBJECTS.items():
        dev, test, answers = [draw(rng, make) for _ in range(5)], [], []
        while len(test) < 6:
            row = draw(rng, make)
            answer, margin = ask(model, tok, subject, dev, row)
            if margin > 0.01:  # otherwise rounding might decide
                test.append(row)
                answers.append(answer)
        write_csv(OUT / f"mmlu/dev/{subject}_dev.csv", dev)
        write_csv(OUT / f"mmlu/test/{subject}_test.csv", test)
        result["mmlu"][subject] = answers
        print(subject, [(a["written"], a["pick"], row[5]) for a, row in zip(answers, test)], flush=True)
    result["compare"] = compare(model, int8(source.model("float32")[1]), ids, *COMPARED)
    result["made_with"] = {"torch": torch.__version__, "transformers": transformers.__version__}
    content = json.dumps(result, ensure_ascii=False).replace('}, {', '},\n{').replace('], "', '],\n"')
    (OUT / "eval.json").write_text(content + "\n", encoding="utf-8")
    print(f"{len(content)} characters")


if __name__ == "__main__":
    main()
