#!/usr/bin/env python3
"""Make the goldens of internal/evaluation: TensorRT-LLM's summarize.py in a few lines, with transformers in the engine's place.

    venv/bin/pip install -r scripts/requirements.txt
    venv/bin/python scripts/summarize_goldens.py

The model is the tiny llama-text in float32, its tokenizer truncates on the left, and sampling is greedy. The loop is written
after upstream's, with one difference: in a batch that is partly skipped each output keeps its own reference. Prompts by the
chat template are cut as evaluation.Prompter promises: tokens from the beginning of the article alone.

Writes internal/evaluation/testdata/summarize.json: articles, the samples of each case with the ids of prompt and output, the
lines of trtllm.out, totals and scores; and prompts by the chat template.
"""

import json
import pathlib

import numpy as np
import torch
from rouge_score import rouge_scorer, scoring
from transformers import AutoModelForCausalLM, AutoTokenizer

ROOT = pathlib.Path(__file__).resolve().parent.parent
MODEL = ROOT / "internal/testmodel/testdata/models/llama-text"
NEWS = [json.loads(line) for line in open(ROOT / "examples/summarize/testdata/articles.jsonl", encoding="utf-8")]
TYPES = ["rouge1", "rouge2", "rougeL", "rougeLsum"]
INSTRUCTION = "Summarize the following news article in two or three short sentences. Answer with the summary only.\n\n"
OUTPUT_LEN = 8

tokenizer = AutoTokenizer.from_pretrained(MODEL, truncation_side="left")
model = AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.float32, attn_implementation="eager").eval()


def articles():
    """Whole articles, pieces, and what a data set may hold besides."""
    rows = []
    for number, news in enumerate(NEWS):
        text = news["article"]
        if number > 1:
            text = text[37 * number:37 * number + 40 * number]
        rows.append({"article": text, "highlights": news["highlights"], "id": news["id"]})
    for text in ["", " \n\t", "Tiny.", "It did n't sail ; it was n't fixed .", "\x1c\u00a0\u3000Café\u2028naïve \x00 😀\x1c",
                 "日本語のニュース。" * 20, "a <|eos|> in the text is that token", "x" * 300]:
        rows.append({"article": text, "highlights": "the reference is fixed\nand has two lines", "id": ""})
    return rows


def prompt(text, limit, special):
    text = (text + " TL;DR: ").strip().replace(" n't", "n't")
    return tokenizer.encode(text, add_special_tokens=special, truncation=True, max_length=limit)


def generate(ids):
    out = model.generate(torch.tensor([ids]), max_new_tokens=OUTPUT_LEN, do_sample=False, pad_token_id=tokenizer.eos_token_id,
                         return_dict_in_generate=True, output_scores=True)
    for scores in out.scores:
        best = scores[0].topk(2).values
        assert best[0] - best[1] > 1e-3, "a choice that float32 arithmetic in another order might change"
    return out.sequences[0, len(ids):].tolist()


def perplexity(ids):
    """e to the power of the mean of -ln p of all tokens but the first, as upstream's eval_ppl has it over prompt and output."""
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits[0, :-1].double()
    return float(torch.nn.functional.cross_entropy(logits, torch.tensor(ids[1:])).exp())


def summarize(rows, seed, batch_size, max_ite, limit, minimum, special):
    order = np.random.default_rng(seed).permutation(len(rows)).tolist()
    samples, start, iterations = [], 0, 0
    while start < len(order) and iterations < max_ite:
        batch = []
        for index in range(start, min(start + batch_size, len(order))):
            ids = prompt(rows[order[index]]["article"], limit, special)
            if len(ids) > minimum:
                batch.append({"index": index, "row": order[index], "prompt": ids})
        start += batch_size
        if not batch:
            continue
        for sample in batch:
            sample["output"] = generate(sample["prompt"])
            sample["summary"] = tokenizer.decode(sample["output"], skip_special_tokens=True)
            samples.append(sample)
        iterations += 1
    scorer, aggregator = rouge_scorer.RougeScorer(TYPES), scoring.BootstrapAggregator()
    for sample in samples:
        aggregator.add_scores(scorer.score(rows[sample["row"]]["highlights"], sample["summary"]))
    np.random.seed(0)
    result = aggregator.aggregate()
    return {
        "seed": seed, "batch_size": batch_size, "max_ite": max_ite, "max_input_length": limit, "min_input_length": minimum,
        "add_special_tokens": special, "samples": samples,
        "trtllm_out": "".join(f"[{s['index']}] [Beam 0] {s['summary']}\n" for s in samples),
        "output_tokens": sum(len(s["output"]) for s in samples),
        "perplexity": float(np.mean([perplexity(s["prompt"] + s["output"]) for s in samples])),
        "median": [100 * result[t].mid.fmeasure for t in TYPES],
    }


def render(text):
    messages = [{"role": "user", "content": INSTRUCTION + text}]
    return tokenizer.encode(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True), add_special_tokens=False)


def chat_prompt(article, limit):
    text = article.strip().replace(" n't", "n't")
    ids, own = render(text), tokenizer.encode(text, add_special_tokens=False)
    while len(ids) > limit:
        own = own[1:] if len(own) <= limit else own[-limit:]
        ids = render(tokenizer.decode(own).lstrip("\ufffd \n\t\r\x0b\x0c\u00a0\u2028\u3000"))
    return ids


def main():
    rows = articles()
    golden = {
        "articles": rows,
        "cases": [
            summarize(rows, 0, 1, 20, 923, 0, True),
            summarize(rows, 3, 4, 3, 40, 23, True),  # there is a prompt of 23
            summarize(rows, 11, 3, 50, 64, 24, False),
            summarize(rows, 0, 1, 6, 24, 23, True),  # only prompts that were cut; single ones are skipped and do not count
        ],
        "chats": [
            {"row": row, "max_input_length": limit, "prompt": chat_prompt(rows[row]["article"], limit)}
            for limit, some in [(1200, range(0, 18, 3)), (150, [0, 9, 13, 15, 17]), (101, [1, 5, 15])] for row in some
        ],
    }
    lines = [f'"articles": [\n' + ",\n".join(json.dumps(r, ensure_ascii=False) for r in golden["articles"]) + "\n]"]
    for key in ["cases", "chats"]:
        lines.append(f'"{key}": [\n' + ",\n".join(json.dumps(c, ensure_ascii=False, separators=(",", ":")) for c in golden[key]) + "\n]")
    out = ROOT / "internal/evaluation/testdata/summarize.json"
    out.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
