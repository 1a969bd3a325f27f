"""Goldens of each component of a tokenizer.json by Hugging Face tokenizers, for TestComponents and TestSmallTokenizers.

    component_goldens.py    writes tokenizer/testdata/components.jsonl.gz

Each row is {"kind", "component", "cases"}: "normalizer" with cases [text, normalised], "pre_tokenizer" with [text, pieces], "decoder" with
[tokens, text], or {"kind": "tokenizer", "json", "cases"} with a whole small tokenizer and
cases {"text", "ids", "special", "plain", "limits", "dec", "skip", "stream"}: ids without and with added tokens, with special tokens as plain text, by the
file's truncation and padding; the decoding of "special", kept and skipped, and the chunks of the library's own stream (null: nothing yet).
Cases that the library panics at are left out. Rows {"kind": "checksum", "of", "component", "crc"} have the CRC-32 of what a normalizer or pre-tokenizer
makes of every character between letters and accents (POINTS, FRAME), each result, pieces joined by U+0001, followed by U+0000.

Needs: tokenizers==0.23.3.
"""
import base64
import contextlib
import gzip
import json
import os
import random
import zlib

from tokenizers import Tokenizer
from tokenizers.decoders import DecodeStream

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tokenizer", "testdata")
TEXTS = ["", " ", "Hello, World!", "  two  spaces  ", "it's IT'S don't ſ 'ſ", "line\nbreak\r\n\n\ttab", "naïve café E\u0301e\u0301", "日本語カタカナひらがな한국어 中文。", "123 4567½٤Ⅳ²",
         "ﬁ ﬀ ① ㎏ Å ſ ß ẞ İ ı Σς", "a\u200bb\ufeffc\u0007d\ufffde\u0000", "👩\u200d🔬👍🏽🇩🇪 e\u0327\u0301\u0316x", "▁x▁▁y_z_", "don't... wait--what?! (yes) [no] {a}", "русский ΑΒΓ עברית हिन्दी ไทย",
         "aaa bbb AAA ababab", "\u1e9b\u0323 \uac01\u1100\u1161\u11a8 \U00011935\U00011930 \u0898\u0301a", "o" + "\u0301" * 40, "the end \n "]
TOKENS = [["▁", "▁▁a", "ab", "▁hello"], ["hello", "##ing", "wor", "##", "##ld", "."], ["<0xC3>", "<0xA9>", "a", "<0xE2>", "<0x82>", "b", "<0xAC>"], ["x", "<0xff>", "<0x+A>", "<0x41>", "<0xF0>"],
          ["lo</w>", "wer", "</w>", "a</w>b</w>"], ["h", "e", "<pad>", "l", "|", "o", " do not", " n't", " ."], ["Ġhi", "Ċ", "Ã", "©", "â", "Ĥ", "日本", "Ã©"], ["  a", " a ", "   "], [" ' ", "'s", " ?", "x▁y"]]
BEHAVIORS = ["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"]
REGEXES = [r"\s+", r"\w+|[^\w\s]+", r"(?i:ss|ß|it's)", r"[[:punct:]]", r"\d{1,3}(?=(?:\d{3})*\b)", r"(?<=\s)\S", r"(?<!a)b", r"\b", r"", r"^.", r".$", r"(?m:.+)", r"\p{Han}|\p{Hiragana}+|\p{Katakana}+",
           r"[^\p{Latin}\s]+", r"(?i:[a-c]+)", r"a*?b?", r"(?>a+)a", r"[a-z&&[^aeiou]]+", r"\p{Lu}\p{Ll}*", r"\h+", r"\R", "(?x: a # one\n  b )", r"(?i)the|end", r"\p{N}{1,3}+", r"[\w&&[^\d]]+", r"\A\s|\s\z|\S\Z", r"\x41|\u00e9|\x{3042}", r"(?:a|ab)++", r"[[:^space:]]{2}?", r"\W+?", r"[\p{L}\p{M}]+|[\p{P}\p{S}]",
           r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s"]


POINTS = [c for first, last in ((0, 0xD7FF), (0xE000, 0x1FFFF), (0x2F800, 0x2FA1F), (0xE0000, 0xE01FF)) for c in range(first, last + 1)]
FRAME = "a%s\u0316\u0301b"
CHECKED = [("normalizer", {"type": t}) for t in ("NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "Nmt")] + [
    ("normalizer", {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": True, "lowercase": True})] + [
    ("pre_tokenizer", c) for c in ({"type": "Digits", "individual_digits": True}, {"type": "Punctuation", "behavior": "Isolated"}, {"type": "Whitespace"}, {"type": "WhitespaceSplit"},
                                   {"type": "UnicodeScripts"}, {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True})]


def checksum(kind, component):
    part = getattr(Tokenizer.from_str(json.dumps(whole(**{kind: component}))), kind)
    crc = 0
    for c in POINTS:
        s = FRAME % chr(c)
        out = part.normalize_str(s) if kind == "normalizer" else "\x01".join(p for p, _ in part.pre_tokenize_str(s))
        crc = zlib.crc32(out.encode() + b"\0", crc)
    return crc


def whole(**parts):
    j = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None, "pre_tokenizer": None, "post_processor": None, "decoder": None,
         "model": {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "a"}}
    j.update(parts)
    return j


def small_charsmap():
    """A character map of the small SentencePiece model in testdata, which sentencepiece itself wrote."""
    from tokenizer_goldens import proto_fields

    data = open(os.path.join(ROOT, "sp_variants", "charsmap.model"), "rb").read()
    spec = next(v for n, _, v, _ in proto_fields(data) if n == 3)
    return base64.b64encode(next(v for n, _, v, _ in proto_fields(spec) if n == 2)).decode()


def normalizers():
    out = [{"type": t} for t in ("NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "Nmt", "ByteLevel")]
    out += [{"type": "Prepend", "prepend": "▁"}, {"type": "Precompiled", "precompiled_charsmap": small_charsmap()}]
    out += [{"type": "Strip", "strip_left": a, "strip_right": b} for a in (True, False) for b in (True, False)]
    out += [{"type": "Replace", "pattern": p, "content": c} for p, c in (({"String": " "}, "▁"), ({"String": "aa"}, ""), ({"String": ""}, "-"), ({"Regex": r"\s+"}, " "), ({"Regex": r"a|"}, "x"), ({"Regex": r"(?<=\p{L})\d|^\s"}, ""))]
    out += [{"type": "BertNormalizer", "clean_text": a, "handle_chinese_chars": b, "strip_accents": c, "lowercase": d} for a, b, c, d in
            ((True, True, None, True), (True, False, None, False), (False, True, True, False), (False, False, False, True))]
    return out + [{"type": "Sequence", "normalizers": [{"type": "NFD"}, {"type": "StripAccents"}, {"type": "Sequence", "normalizers": [{"type": "Lowercase"}]}]}]


def pre_tokenizers():
    out = [{"type": "Split", "pattern": {"Regex": r}, "behavior": BEHAVIORS[i % 5], "invert": i % 3 == 1} for i, r in enumerate(REGEXES)]
    out += [{"type": "Split", "pattern": p, "behavior": b, "invert": i} for p in ({"String": " "}, {"Regex": r"\s|a"}) for b in BEHAVIORS for i in (True, False)]
    out += [{"type": "Split", "pattern": {"String": ""}, "behavior": "Isolated", "invert": False}]
    out += [{"type": "ByteLevel", "add_prefix_space": a, "trim_offsets": True, "use_regex": b} for a in (True, False) for b in (True, False)]
    out += [{"type": "Metaspace", "replacement": "▁", "prepend_scheme": s, "split": b} for s in ("always", "first", "never") for b in (True, False)]
    out += [{"type": "Digits", "individual_digits": b} for b in (True, False)] + [{"type": "Punctuation", "behavior": b} for b in BEHAVIORS]
    out += [{"type": t} for t in ("Whitespace", "WhitespaceSplit", "BertPreTokenizer", "UnicodeScripts")]
    out += [{"type": "CharDelimiterSplit", "delimiter": "_"}, {"type": "FixedLength", "length": 3}]
    seq = [[8, 1], [0, -1], [-7, 5], [-2, -9]]
    return out + [{"type": "Sequence", "pretokenizers": [out[i] for i in s]} for s in seq]


def decoders():
    out = [{"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}, {"type": "ByteFallback"}, {"type": "Fuse"}]
    out += [{"type": "Replace", "pattern": p, "content": c} for p, c in (({"String": "▁"}, " "), ({"Regex": "a+"}, "x"), ({"String": ""}, "-"))]
    out += [{"type": "Strip", "content": " ", "start": a, "stop": b} for a, b in ((1, 0), (2, 1), (0, 0))]
    out += [{"type": "Metaspace", "replacement": "▁", "prepend_scheme": s, "split": True} for s in ("always", "first", "never")]
    out += [{"type": "WordPiece", "prefix": "##", "cleanup": c} for c in (True, False)] + [{"type": "BPEDecoder", "suffix": "</w>"}, {"type": "BPEDecoder", "suffix": "a"}]
    out += [{"type": "CTC", "pad_token": "<pad>", "word_delimiter_token": "|", "cleanup": c} for c in (True, False)]
    for s in ([3, 1, 2, 6], [2, 3], [2, 6], [1, 0], [0, 3], [1, 2, 3], [2, 12], [3, 7], [0, 14, 2, 9], [16, 2, 6]):
        out.append({"type": "Sequence", "decoders": [out[i] for i in s]})
    return out


LETTERS = "abcdehilnorstw ▁é日1,.'"


def words(rng, n):
    return ["".join(rng.choice(LETTERS) for _ in range(rng.choice([1, 2, 3, 4]))) for _ in range(n)]


def bpe(rng):
    prefix, suffix, unk = rng.choice([None, None, "##", ""]), rng.choice([None, None, "</w>", ""]), "<unk>"
    chars = [c for c in LETTERS if rng.random() < 0.85]
    p, s = prefix or "", suffix or ""
    spelled = [unk] + chars + [p + c for c in chars] + [c + s for c in chars] + [p + c + s for c in chars]
    fallback = rng.random() < 0.3
    if fallback:
        spelled += ["<0x%02X>" % b for b in range(256) if rng.random() < 0.3 or b > 127]
    vocab = {t: i for i, t in enumerate(dict.fromkeys(spelled))}
    tokens, merges = [t for t in vocab if t[0] != "<"], []
    for _ in range(rng.choice([10, 30, 60])):
        a, b = rng.choice(tokens), rng.choice(tokens)
        if s and a.endswith(s) or not b.startswith(p):
            continue
        joined = a + b[len(p):]
        vocab.setdefault(joined, len(vocab))
        tokens.append(joined)
        merges.append([a, b])
    return {"type": "BPE", "dropout": None, "unk_token": rng.choice([unk, None]), "continuing_subword_prefix": prefix, "end_of_word_suffix": suffix, "fuse_unk": rng.random() < 0.5,
            "byte_fallback": fallback, "ignore_merges": rng.random() < 0.3, "vocab": vocab, "merges": merges}


def unigram(rng):
    vocab = {"<unk>": 0.0} | {c: -rng.randrange(1, 60) / 4 for c in LETTERS if rng.random() < 0.85} | {w: -rng.randrange(1, 80) / 4 for w in words(rng, 15)}
    fallback = rng.random() < 0.3
    if fallback:
        vocab |= {"<0x%02X>" % b: -20.0 for b in range(128, 256)}
    return {"type": "Unigram", "unk_id": 0, "vocab": list(vocab.items()), "byte_fallback": fallback}


def word_piece(rng):
    tokens = ["[UNK]"] + [c for c in LETTERS if rng.random() < 0.9] + ["##" + c for c in LETTERS if rng.random() < 0.9] + words(rng, 20) + ["##" + w for w in words(rng, 20)]
    return {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": rng.choice([100, 5]), "vocab": {t: i for i, t in enumerate(dict.fromkeys(tokens))}}


def word_level(rng):
    return {"type": "WordLevel", "unk_token": "[UNK]", "vocab": {t: i for i, t in enumerate(dict.fromkeys(["[UNK]", *LETTERS, *words(rng, 30)]))}}


def added(rng, n):
    flags = ("single_word", "lstrip", "rstrip")
    return [{"id": n + i, "content": c, **{f: rng.random() < 0.25 for f in flags}, "normalized": rng.random() < 0.5, "special": rng.random() < 0.5}
            for i, c in enumerate(rng.sample(["<s>", "</s>", "<b>", "[CLS]", "ab", "tok", "é", "a b", "日", "Éb"], rng.choice([0, 2, 4])))]


def post_processor(rng, n):
    i, j = rng.randrange(n), rng.randrange(n)
    template = {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "x", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "y", "type_id": 0}}],
                "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
                "special_tokens": {"x": {"id": "x", "ids": [i], "tokens": ["x"]}, "y": {"id": "y", "ids": [j, i], "tokens": ["y", "z"]}}}
    bert = {"type": "BertProcessing", "sep": ["s", i], "cls": ["c", j]}
    roberta = {"type": "RobertaProcessing", "sep": ["s", i], "cls": ["c", j], "trim_offsets": True, "add_prefix_space": False}
    offsets = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}
    return rng.choice([None, template, bert, roberta, {"type": "Sequence", "processors": [offsets, template]}, {"type": "Sequence", "processors": [bert, roberta]}])


def text(rng):
    pool = [" ", "  ", "<s>", "</s>", "<b>", "Ab", "AB", "Ébc", "é", "日本", "🙂", "x", "ab", "[CLS]", " <s> ", "tok", "Tok", "tokab"]
    return "".join(rng.choice(words(rng, 1) + pool) for _ in range(rng.choice([1, 3, 8, 14])))


def tokenizers():
    rng = random.Random(5)
    ps, ds = pre_tokenizers(), decoders()
    # Empty matches and texts of which nothing is left make the library go astray where added tokens are normalised.
    usable = [x for x in normalizers() if x["type"] not in ("Precompiled", "Strip") and x.get("pattern") not in ({"Regex": "a|"}, {"String": ""})]
    for i in range(36):
        model = [bpe, bpe, unigram, word_piece, word_level, bpe][i % 6](rng)
        n = len(model["vocab"])
        yield whole(model=model, added_tokens=added(rng, n), normalizer=rng.choice([None, *usable]), pre_tokenizer=rng.choice([None, *ps[-25:]]), decoder=rng.choice([None, *ds]),
                    post_processor=post_processor(rng, n),
                    truncation=rng.choice([None, {"direction": rng.choice(["Left", "Right"]), "max_length": rng.choice([0, 3, 8]), "strategy": rng.choice(["LongestFirst", "OnlyFirst"]), "stride": 0}]),
                    padding=rng.choice([None, {"strategy": rng.choice(["BatchLongest", {"Fixed": 6}]), "direction": rng.choice(["Left", "Right"]), "pad_to_multiple_of": rng.choice([None, 4]),
                                               "pad_id": rng.randrange(n), "pad_type_id": 0, "pad_token": "p"}])), [text(rng) for _ in range(5)]


def case(j, s):
    t = Tokenizer.from_str(json.dumps(j))
    out = {"text": s, "limits": t.encode(s).ids}
    t.no_truncation()
    t.no_padding()
    out["ids"], out["special"] = t.encode(s, add_special_tokens=False).ids, t.encode(s).ids
    t.encode_special_tokens = True
    out["plain"] = t.encode(s, add_special_tokens=False).ids
    out["dec"], out["skip"] = t.decode(out["special"], skip_special_tokens=False), t.decode(out["special"])
    stream, chunks = DecodeStream(skip_special_tokens=True), []
    with contextlib.suppress(Exception):
        for i in out["special"]:
            chunks.append(stream.step(t, i))
        out["stream"] = chunks
    return out


def main():
    rows, left_out = [], 0
    for kind, components in (("normalizer", normalizers()), ("pre_tokenizer", pre_tokenizers()), ("decoder", decoders())):
        for c in components:
            part = getattr(Tokenizer.from_str(json.dumps(whole(**{kind: c}))), kind)
            run = {"normalizer": part.normalize_str if kind == "normalizer" else None, "pre_tokenizer": lambda s: [p for p, _ in part.pre_tokenize_str(s)], "decoder": lambda s: part.decode(s)}[kind]
            cases = []
            for s in TOKENS if kind == "decoder" else TEXTS:
                try:
                    cases.append([s, run(s)])
                except BaseException:  # a panic of the library's
                    left_out += 1
            rows.append({"kind": kind, "component": c, "cases": cases})
    for j, texts in tokenizers():
        cases = []
        for s in texts:
            try:
                cases.append(case(j, s))
            except BaseException:
                left_out += 1
        rows.append({"kind": "tokenizer", "json": j, "cases": cases})
    rows += [{"kind": "checksum", "of": kind, "component": c, "crc": checksum(kind, c)} for kind, c in CHECKED]
    with open(os.path.join(ROOT, "components.jsonl.gz"), "wb") as f, gzip.GzipFile("", "wb", 9, f, mtime=0) as z:
        for row in rows:
            z.write(json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")
    print(len(rows), "rows,", left_out, "cases left out")


if __name__ == "__main__":
    main()
