"""Goldens of tokenizer/ for SentencePiece models, by the official trainer and library.

    sentencepiece_goldens.py goldens            tokenizer/testdata/sp_variants/kinds.jsonl and its models: one of each kind
    sentencepiece_goldens.py fuzz DIR [N [S]]   N models (60) with options drawn by seed S, and rows for each, into DIR, for
                                                TRTGO_SENTENCEPIECE_ROWS=DIR go test -run SentencePieceRows ./tokenizer
    sentencepiece_goldens.py rows DIR MODEL...  rows for models that are there

Needs: sentencepiece==0.2.3, protobuf for its sentencepiece_model_pb2.
"""
import base64
import io
import itertools
import json
import os
import random
import sys
import tempfile

import sentencepiece as spm
from sentencepiece import sentencepiece_model_pb2 as pb

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tokenizer", "testdata", "sp_variants")
TYPES = ["unigram", "bpe", "word", "char"]
RULES = [("FB01", "66 69"), ("FF21", "41"), ("3000", "20"), ("A0", "20"), ("9", "20"), ("65 301", "E9"), ("BD", "31 2F 32"), ("200B", ""),
         ("61 62 63", "78"), ("61 62", "20 79 20"), ("2581", "5F")]
BACK = [("74 68 65", "54 48 45"), ("2E 20", "2E 20 20"), ("63 61 74", "64 6F 67"), ("E9", "65 301"), ("20 20", "20"), ("78", "")]
WORDS = ("the cat and a dog hello world used unused of in sea sand lighthouse keeper 123 456 7 x y z , . - é ö naïve 日本語 日 本 привет мир "
         "😀 👍 ab abc aab aaaa aaaaaaaa <sep> ▁ don't I'm C++ foo_bar").split()
SPECIAL = ["<sep>", "the▁", "▁and", "日本", "a▁b", "▁▁", "x"]


def text(rng):
    """A text that may have anything in it, as bytes."""
    parts = []
    for _ in range(rng.choice([0, 1, 1, 2, 3, 5, 9, 20, 60])):
        kind = rng.random()
        if kind < 0.55:
            parts.append(rng.choice(WORDS).encode())
        elif kind < 0.65:
            parts.append("".join(rng.choice("abcxyzthe dog▁ é\u0301ﬁ\u3000\u200b\u00a0½Ａ") for _ in range(rng.randrange(1, 8))).encode())
        elif kind < 0.75:
            parts.append(rng.choice(SPECIAL + ["<s>", "</s>", "<unk>", "<0x41>", "<pad>"]).encode())
        elif kind < 0.82:
            parts.append(chr(rng.choice([rng.randrange(1, 128), rng.randrange(0x80, 0x800), rng.randrange(0x3040, 0x3100), rng.randrange(0x1F600, 0x1F650),
                                         rng.randrange(0x2000, 0x2100), rng.randrange(0xFB00, 0xFB10), rng.randrange(0xFF00, 0xFFF0)])).encode())
        elif kind < 0.86:
            parts.append(bytes(rng.randrange(256) for _ in range(rng.randrange(1, 4))))
        elif kind < 0.9:
            parts.append("日本語".encode()[: rng.randrange(1, 9)])
        else:
            parts.append(rng.choice([" ", "  ", "\t", "\n", "   ", "▁"]).encode())
        if rng.random() < 0.6:
            parts.append(b" ")
    return b"".join(parts)


def corpus(rng):
    return [" ".join(rng.choice(WORDS) for _ in range(rng.randrange(3, 12))) for _ in range(300)]


def rules(table):
    f = tempfile.NamedTemporaryFile("w", suffix=".tsv", delete=False)
    with f:
        f.write("".join(f"{a}\t{b}\n" for a, b in table))
    return f.name


def train(rng, **options):
    out = io.BytesIO()
    options = {"model_type": "unigram", "vocab_size": 140, "minloglevel": 2, "num_threads": 1, "hard_vocab_limit": False, **options}
    if options.get("byte_fallback"):
        options["vocab_size"] += 260
    files = []
    for key, table in [("normalization_rule_tsv", RULES), ("denormalization_rule_tsv", BACK)]:
        if options.pop(key, False):
            options[key] = rules(table)
            files.append(options[key])
    try:
        spm.SentencePieceTrainer.train(sentence_iterator=iter(corpus(rng)), model_writer=out, **options)
    finally:
        for name in files:
            os.remove(name)
    m = pb.ModelProto.FromString(out.getvalue())
    for spec in (m.normalizer_spec, m.denormalizer_spec):
        spec.ClearField("normalization_rule_tsv")
    return m


def change(m, rng, ties=False, unused=False, escape=True, whole_denormalizer=False, great=False, positive=False):
    """Makes of a model what no trainer writes."""
    normal = [p for p in m.pieces if p.type == p.NORMAL]
    for p in normal:
        if ties:
            p.score = -float(rng.randrange(4))
        if positive:
            p.score = rng.choice([0.0, -0.0, 0.5, 1.5, -1.5])
        if great:
            p.score *= 3000  # so that sums leave the range that float32 holds well
        if unused and rng.random() < 0.2:
            p.type = p.UNUSED
    if not escape:
        m.normalizer_spec.escape_whitespaces = False
        for p in normal:
            if rng.random() < 0.5:
                p.piece = p.piece.replace("▁", " ")
        seen = set()
        for p in m.pieces:
            while p.piece in seen:
                p.piece += "q"
            seen.add(p.piece)
    if whole_denormalizer:
        d = m.denormalizer_spec
        for field in ("add_dummy_prefix", "remove_extra_whitespaces", "escape_whitespaces"):
            d.ClearField(field)
        if rng.random() < 0.5:
            d.escape_whitespaces = False
    return m


def rows(name, data, rng, count):
    p = spm.SentencePieceProcessor(model_proto=data)
    size = p.get_piece_size()
    named = {"bos": p.bos_id(), "eos": p.eos_id(), "pad": p.pad_id(), "unk": p.unk_id()}
    for i in range(count):
        t = text(rng)
        ids = p.encode(t)
        row = {"model": name, "ids": ids, "dec": p.decode(ids)}
        try:
            row["text"] = t.decode()
        except UnicodeDecodeError:
            row["b64"] = base64.b64encode(t).decode()
        yield {**row, **(named if i == 0 else {})}
    for _ in range(count // 2):
        ids = [rng.randrange(size) if rng.random() < 0.7 else rng.randrange(min(size, 260)) for _ in range(rng.randrange(1, 12))]
        yield {"model": name, "ids": ids, "dec": p.decode(ids)}


def write(folder, name, m, rng, count, file):
    m.trainer_spec.ClearField("input")
    m.trainer_spec.ClearField("model_prefix")
    data = m.SerializeToString()
    with open(os.path.join(folder, name + ".model"), "wb") as f:
        f.write(data)
    for row in rows(name, data, rng, count):
        file.write(json.dumps(row, ensure_ascii=False) + "\n")


GOLDENS = {
    "unigram": (dict(normalization_rule_name="identity", user_defined_symbols=["<sep>", "日本"]), dict(ties=True)),
    "unigram_bytes": (dict(normalization_rule_name="identity", byte_fallback=True, split_by_whitespace=False, remove_extra_whitespaces=False,
                           vocab_size=60), dict(unused=True)),
    "unigram_great": (dict(normalization_rule_name="identity", vocab_size=60), dict(great=True)),
    "unigram_suffix": (dict(normalization_rule_tsv=True, treat_whitespace_as_suffix=True, denormalization_rule_tsv=True, vocab_size=60), {}),
    "unigram_denorm": (dict(normalization_rule_name="identity", denormalization_rule_tsv=True, vocab_size=60), dict(whole_denormalizer=True)),
    "bpe_positive": (dict(model_type="bpe", normalization_rule_name="identity", vocab_size=80, add_dummy_prefix=False), dict(positive=True, unused=True)),
    "bpe_denorm": (dict(model_type="bpe", normalization_rule_tsv=True, denormalization_rule_tsv=True, vocab_size=80,
                        user_defined_symbols=["<sep>", "a▁b"]), {}),
    "bpe_spaces": (dict(model_type="bpe", normalization_rule_name="identity", vocab_size=80, user_defined_symbols=["x", "▁▁"]), dict(escape=False)),
    "word": (dict(model_type="word", normalization_rule_name="identity", user_defined_symbols=["<sep>"]), dict(unused=True)),
    "word_bytes": (dict(model_type="word", normalization_rule_name="identity", byte_fallback=True, vocab_size=30, remove_extra_whitespaces=False,
                        treat_whitespace_as_suffix=True), {}),
    "char": (dict(model_type="char", normalization_rule_tsv=True, user_defined_symbols=["<sep>", "日本"], unk_surface="?", vocab_size=40), dict(unused=True)),
}


def goldens():
    with open(os.path.join(OUT, "kinds.jsonl"), "w", encoding="utf-8") as f:
        for i, (name, (options, changes)) in enumerate(GOLDENS.items()):
            rng = random.Random(700 + i)
            write(OUT, name, change(train(rng, **options), rng, **changes), rng, 16, f)


def fuzz(folder, count=60, seed=1):
    os.makedirs(folder, exist_ok=True)
    rng = random.Random(seed)
    with open(os.path.join(folder, "rows.jsonl"), "w", encoding="utf-8") as f:
        for i in itertools.count():
            if i == count:
                break
            coin = lambda p=0.5: rng.random() < p
            o = dict(model_type=rng.choice(["unigram", "unigram", "unigram", "bpe", "bpe", "bpe", "word", "char"]), add_dummy_prefix=coin(),
                     remove_extra_whitespaces=coin(), treat_whitespace_as_suffix=coin(0.3), byte_fallback=coin(), split_by_whitespace=coin(0.7),
                     split_digits=coin(), allow_whitespace_only_pieces=coin(), vocab_size=rng.choice([60, 100, 200]),
                     character_coverage=rng.choice([0.98, 0.99, 1.0]), user_defined_symbols=rng.sample(SPECIAL, rng.choice([0, 0, 1, 3])),
                     control_symbols=rng.sample(["b", "y", "<ctl>", "cat"], rng.choice([0, 1, 2])), pad_id=rng.choice([-1, 3]),
                     unk_surface=rng.choice([" ⁇ ", "", "?"]), denormalization_rule_tsv=coin(0.3))
            if coin(0.3):
                o["normalization_rule_tsv"] = True
            else:
                o["normalization_rule_name"] = rng.choice(["nmt_nfkc", "nfkc", "nmt_nfkc_cf", "nfkc_cf", "identity", "identity"])
            changes = dict(ties=coin(0.3), unused=coin(0.3), escape=coin(0.85), whole_denormalizer=coin(), great=coin(0.15), positive=coin(0.15))
            try:
                m = change(train(rng, **o), rng, **changes)
                spm.SentencePieceProcessor(model_proto=m.SerializeToString())
            except Exception as e:  # options that do not go together
                print(f"{i}: {str(e)[:120]}", file=sys.stderr)
                continue
            write(folder, f"m{i}", m, rng, 150, f)


def rows_of(folder, paths):
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "rows.jsonl"), "w", encoding="utf-8") as f:
        for path in paths:
            with open(path, "rb") as model:
                write(folder, os.path.basename(path), pb.ModelProto.FromString(model.read()), random.Random(5), 1500, f)


if __name__ == "__main__":
    if sys.argv[1] == "goldens":
        goldens()
    elif sys.argv[1] == "fuzz":
        fuzz(sys.argv[2], *map(int, sys.argv[3:]))
    else:
        rows_of(sys.argv[2], sys.argv[3:])
