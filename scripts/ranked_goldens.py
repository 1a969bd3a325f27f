"""Goldens of tokenizer/ for tekken.json and tiktoken files, by mistral-common and tiktoken.

    ranked_goldens.py goldens          tokenizer/testdata/ranked: a small tekken.json, a small file of ranks, and rows for them
    ranked_goldens.py rows DIR FILE... rows for real files (tekken_*.json, qwen.tiktoken, ...) into DIR, for
                                       TRTGO_RANKED_ROWS=DIR go test -run RankedRows ./tokenizer; nothing of it is to be committed

Needs: mistral-common==1.13.1 tiktoken==0.14.0
"""
import base64
import collections
import hashlib
import json
import os
import random
import shutil
import sys

import tiktoken
import tiktoken_ext.openai_public as openai
from mistral_common.tokens.tokenizers.base import SpecialTokenPolicy
from mistral_common.tokens.tokenizers.tekken import Tekkenizer

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tokenizer", "testdata", "ranked")
TEKKEN = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+"
          r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN = LLAMA3.replace("{1,3}", "")
WORDS = ("the cat and a dog hello world Hello WORLD sea lighthouse keeper 123 456789 7 x y , . - é naïve 日本語 привет Мир 😀 👍🏽 don't I'LL we've "
         "C++ foo_bar() /* */ aaaa aaaaa aaaaaaaaa [INST] [/INST] <s> </s> <unk> <|endoftext|> <|im_start|> ́e क्षि").split()


def cl100k():
    saved = openai.load_tiktoken_bpe
    openai.load_tiktoken_bpe = lambda *a, **k: {}
    try:
        return openai.cl100k_base()["pat_str"]
    finally:
        openai.load_tiktoken_bpe = saved


def text(rng):
    parts = []
    for _ in range(rng.choice([0, 1, 2, 3, 5, 9, 20, 60])):
        kind = rng.random()
        if kind < 0.6:
            parts.append(rng.choice(WORDS))
        elif kind < 0.7:
            parts.append(chr(rng.choice([rng.randrange(1, 128), rng.randrange(0x80, 0x800), rng.randrange(0x3040, 0x3100), rng.randrange(0x1F600, 0x1F650),
                                         rng.randrange(0x2000, 0x2100), rng.randrange(0xE000, 0x10FFFF)])))
        elif kind < 0.8:
            parts.append("".join(rng.choice("abcAB'sté1 2.\n") for _ in range(rng.randrange(1, 9))))
        else:
            parts.append(rng.choice([" ", "  ", "\t", "\n", "\n\n", " \n ", "   ", "\r\n", "\u3000", "\u00a0"]))
        if rng.random() < 0.6:
            parts.append(" ")
    return "".join(parts)


def trained(merges):
    """Byte-pair merges of the words, the most frequent pair first."""
    rng = random.Random(31)
    words = collections.Counter(rng.choice(["", " "]) + rng.choice(WORDS) for _ in range(3000))
    parts = {w: [bytes([b]) for b in w.encode()] for w in sorted(words)}
    ranks = [bytes([b]) for b in range(256)]
    for _ in range(merges):
        pairs = collections.Counter()
        for w, p in parts.items():
            for pair in zip(p, p[1:]):
                pairs[pair] += words[w]
        (a, b), _ = min(pairs.items(), key=lambda x: (-x[1], x[0]))
        ranks.append(a + b)
        for p in parts.values():
            i = 0
            while i + 1 < len(p):
                if p[i] == a and p[i + 1] == b:
                    p[i : i + 2] = [a + b]
                i += 1
    return ranks


def tekken_rows(name, path, rng, count):
    t = Tekkenizer.from_file(path)
    first = {"bos": t.bos_id, "eos": t.eos_id, "size": t.n_words}
    for i in range(count):
        s = text(rng)
        yield {"file": name, "text": s, "ids": t.encode(s, bos=False, eos=False), "ids_special": t.encode(s, bos=True, eos=True), **(first if i == 0 else {})}
    for _ in range(count):
        ids = [rng.randrange(t.n_words) if rng.random() < 0.6 else rng.randrange(t.num_special_tokens + 256) for _ in range(rng.randrange(1, 9))]
        yield {"file": name, "ids": ids, "dec": t.decode(ids, SpecialTokenPolicy.KEEP), "dec_skip": t.decode(ids, SpecialTokenPolicy.IGNORE)}


def tiktoken_rows(name, path, pattern, special, rng, count):
    with open(path, "rb") as f:
        ranks = {base64.b64decode(t): int(r) for t, r in (line.split() for line in f.read().splitlines() if line)}
    e = tiktoken.Encoding(name, pat_str=pattern, mergeable_ranks=ranks, special_tokens=special)
    ids = sorted([*ranks.values(), *special.values()])
    for _ in range(count):
        s = text(rng)
        yield {"file": name, "text": s, "ids": e.encode(s, allowed_special="all"), "ids_plain": e.encode_ordinary(s)}
    for _ in range(count):
        some = [rng.choice(ids) for _ in range(rng.randrange(1, 9))]
        yield {"file": name, "ids": some, "dec": e.decode(some)}


def write(file, rows):
    for row in rows:
        file.write(json.dumps(row, ensure_ascii=False) + "\n")


def goldens():
    os.makedirs(OUT, exist_ok=True)
    ranks = trained(160)
    vocab = [{"rank": i, "token_bytes": base64.b64encode(t).decode(), "token_str": None} for i, t in enumerate(ranks)]
    config = {"pattern": TEKKEN, "num_vocab_tokens": len(vocab), "default_vocab_size": 424, "default_num_special_tokens": 24, "version": "v3"}
    with open(os.path.join(OUT, "tekken.json"), "w") as f:
        json.dump({"config": config, "vocab": vocab}, f, separators=(",", ":"))
    config = {**config, "version": "v13", "default_num_special_tokens": 6, "default_vocab_size": 416}
    special = [{"rank": i, "token_str": s, "is_control": True} for i, s in enumerate(["<unk>", "<s>", "</s>", "[INST]"])]
    with open(os.path.join(OUT, "tekken_v13.json"), "w") as f:
        json.dump({"config": config, "vocab": vocab, "special_tokens": special}, f, separators=(",", ":"))
    with open(os.path.join(OUT, "small.tiktoken"), "wb") as f:
        for i, t in enumerate(ranks):
            f.write(base64.b64encode(t) + b" %d\n" % (i if i < 300 else i + 3))  # ranks may have holes
    extra = {"<|endoftext|>": 300, "<|im_start|>": 470}
    decoder = {str(i): {"content": s, "special": True} for s, i in extra.items()}
    with open(os.path.join(OUT, "tokenizer_config.json"), "w") as f:
        json.dump({"pat_str": cl100k(), "added_tokens_decoder": decoder, "eos_token": "<|endoftext|>"}, f)
    with open(os.path.join(OUT, "golden.jsonl"), "w", encoding="utf-8") as f:
        for name in ("tekken.json", "tekken_v13.json"):
            write(f, tekken_rows(name, os.path.join(OUT, name), random.Random(3), 14))
        write(f, tiktoken_rows("small.tiktoken", os.path.join(OUT, "small.tiktoken"), cl100k(), extra, random.Random(4), 24))


def rows(folder, paths):
    os.makedirs(folder, exist_ok=True)
    numbered = lambda first, names: {s: first + i for i, s in enumerate(names)}
    qwen = numbered(151643, ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *(f"<|extra_{i}|>" for i in range(205))])
    with open(os.path.join(folder, "rows.jsonl"), "w", encoding="utf-8") as f:
        for path in paths:
            name, rng = os.path.basename(path), random.Random(8)
            shutil.copy(path, os.path.join(folder, name))
            if name.endswith(".json"):
                write(f, tekken_rows(name, path, rng, 1500))
                continue
            digest = hashlib.sha256(open(path, "rb").read()).hexdigest()[:6]
            contracted = "|".join(branch + r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?" for branch in TEKKEN.split("|")[:2])
            pattern, special = {"b2b1b8": (QWEN, qwen), "82e9d3": (LLAMA3, {"<|begin_of_text|>": 128000, "<|eot_id|>": 128009}),
                                "223921": (cl100k(), {"<|endoftext|>": 100257}),
                                "446a95": ("|".join([contracted, r"\p{N}{1,3}", r" ?[^\s\p{L}\p{N}]+[\r\n/]*", r"\s*[\r\n]+", r"\s+(?!\S)", r"\s+"]),
                                           {"<|endoftext|>": 199999}),
                                "8dde38": (QWEN.replace(r"?\p{L}+", r"?[\p{L}\p{M}]+").replace(r" ?[^\s\p{L}\p{N}]+", r" ?[^\s\p{L}\p{M}\p{N}]+"),
                                           {"<|endoftext|>": 248044, "<|im_start|>": 248045})}[digest]
            write(f, tiktoken_rows(name, path, pattern, special, rng, 1500))


if __name__ == "__main__":
    if sys.argv[1] == "goldens":
        goldens()
    else:
        rows(sys.argv[2], sys.argv[3:])
