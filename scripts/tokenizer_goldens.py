"""Goldens of tokenizer/ by the official libraries.

    tokenizer_goldens.py classes   the CRC-32 in split_test.go: Oniguruma's character classes
    tokenizer_goldens.py chat      testdata/chat: jinja2 as transformers sets it up
    tokenizer_goldens.py jinja     internal/jinja/testdata/golden.jsonl, its sources rendered by transformers 5.23
    tokenizer_goldens.py variants  testdata/golden/variants.jsonl: HF tokenizers on derived tokenizer.json files
    tokenizer_goldens.py sp        testdata/sp_variants: sentencepiece on small trained models
    tokenizer_goldens.py smollm2 FILE.gguf   testdata/golden/smollm2.jsonl: HF tokenizers on SmolLM2's vocabulary
    tokenizer_goldens.py render TEMPLATE...  prints renderings of any templates as JSON lines

Needs: tokenizers==0.23.3 sentencepiece==0.2.3 gguf==0.19.0 jinja2==3.1.6 (what each subcommand imports).
"""
import argparse
import datetime
import json
import os

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tokenizer", "testdata")
NOW = datetime.datetime(2026, 7, 4, 9, 5, 3)
TOKENS = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}


def path(*parts):
    return os.path.join(ROOT, *parts)


def write_rows(rows, *parts):
    with open(path(*parts), "w", encoding="utf-8") as f:
        for row in rows:
            f.write(json.dumps(row, ensure_ascii=False) + "\n")


# ---- character classes ----------------------------------------------------


def classes(_):
    """Prints the CRC-32 of the classes of all code points, for TestClassesAsOniguruma."""
    import zlib

    from tokenizers import Regex, pre_tokenizers

    points = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
    table = bytearray(0x110000)
    for bit, pattern in enumerate([r"\p{L}", r"\p{N}", r"\s", r"[\p{Lu}\p{Lt}]", r"\p{Ll}", r"[\p{Lm}\p{Lo}\p{M}]"]):
        rest = pre_tokenizers.Split(Regex(pattern), "removed")
        for i in range(0, len(points), 20000):
            part = points[i : i + 20000]
            others = {ord(c) for piece, _ in rest.pre_tokenize_str("".join(map(chr, part))) for c in piece}
            for c in part:
                table[c] |= (c not in others) << bit
    print(hex(zlib.crc32(bytes(table))))


# ---- chat templates -------------------------------------------------------


def environment():
    """The environment of transformers.utils.chat_template_utils, its clock fixed."""
    import jinja2
    import jinja2.ext
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Generation(jinja2.ext.Extension):
        tags = {"generation"}

        def parse(self, parser):
            lineno = next(parser.stream).lineno
            body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
            return jinja2.nodes.CallBlock(self.call_method("_body"), [], [], body).set_lineno(lineno)

        def _body(self, caller):
            return caller()

    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols])
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = NOW.strftime
    return env


def alias_reasoning(chat):
    """What apply_chat_template does to messages: null fields go, reasoning is found under its older names."""
    fields = ("reasoning_content", "thinking", "reasoning")
    out = []
    for message in chat:
        message = {k: v for k, v in message.items() if v is not None}
        reasoning = next((message[k] for k in fields if message.get(k) is not None), None)
        if reasoning is not None:
            message = {"thinking": reasoning, **message, "reasoning_content": reasoning}
        out.append(message)
    return out


def renderings(files):
    conversations = json.load(open(path("chat", "conversations.json"), encoding="utf-8"))
    env = environment()
    for file in files:
        source = open(file, encoding="utf-8", newline="").read()
        for c in conversations:
            row = {"template": os.path.basename(file), "case": c["case"]}
            try:
                row["text"] = env.from_string(source).render(
                    messages=alias_reasoning(c["messages"]), tools=c.get("tools"), documents=None,
                    add_generation_prompt=c["add_generation_prompt"], **TOKENS)
            except Exception as e:  # any refusal is a result
                row["error"] = f"{type(e).__name__}: {e}"
            yield row


def chat(_):
    files = sorted(path("chat", f) for f in os.listdir(path("chat")) if f.endswith(".jinja"))
    write_rows(renderings(files), "chat", "golden.jsonl")


def render(args):
    for row in renderings(args.files):
        print(json.dumps(row, ensure_ascii=False))


def jinja(_):
    """Renders the sources of internal/jinja's golden.jsonl with transformers' own environment."""
    from transformers.utils.chat_template_utils import _compile_jinja_template

    folder = os.path.join(path(), "..", "internal", "jinja", "testdata")
    variables = open(os.path.join(folder, "variables.json"), encoding="utf-8").read()
    rows = []
    for line in open(os.path.join(folder, "golden.jsonl"), encoding="utf-8"):
        row = {"source": json.loads(line)["source"]}
        try:
            row["text"] = _compile_jinja_template(row["source"]).render(**json.loads(variables))
        except Exception as e:  # any refusal is a result
            row["error"] = f"{type(e).__name__}: {e}"
        rows.append(row)
    write_rows(rows, folder, "golden.jsonl")


# ---- variants of the small byte-level tokenizer ------------------------------

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
QWEN2 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
TEKKEN = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+"
          r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")


def byte_level(prefix=False, regex=False):
    return {"type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": True, "use_regex": regex}


def split(pattern, behavior="Isolated", invert=False):
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": behavior, "invert": invert}


def sequence(*parts):
    return {"type": "Sequence", "pretokenizers": list(parts)}


def token(content, **flags):
    return {"id": 0, "content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
            "special": False, **flags}


TOKENS_TEXT = ["a<x>b", " <x> <x>", "one <left> two", "one  <left>  two", "tail <right>   two", "<right> <left>", "<left><right>",
               "word<w>word", "word <w> word", "<w>", "(<w>)", "é<w>", "_<w>_", "<w>9", "<xx><x>x", "<xxx>", "NORM norm", "a<|bos|>b<s2>c",
               " <s2> ", "\n<left>\n<right>\n", "<x", "x>", "  \t<both>\u3000 z", "<both><both>"]
# One more space after <right>, and the library panics.
SPACE_TEXT = ["<right>  two", "a  b <right>  <right>", "   <right>  "]
PLAIN_TEXT = ["it's John's, I'LL we'Ve 'ſx", "12345 ١٢٣ ½Ⅳ x1y22", "ABCdef GHIjkl McDonald ǅungla naïve ÉCOLE",
              "a/b//c ../x /\n/", "  lead\t\ttabs \r\n\r\n end  ", "日本語abc 한국어 हिन्दी ไทย", "foo_bar.baz(qux)[0] != 'q'\n\treturn x+=1;",
              "\u0085\u2028x\u00a0y", "", " ", "\x00\x7f", "🎉👍🏻🇫🇷 ok"]


def variants(_):
    from tokenizers import Tokenizer

    base = json.load(open(path("hf_bbpe_llama3", "tokenizer.json"), encoding="utf-8"))
    patches = {
        "gpt2": {"pre_tokenizer": byte_level(regex=True), "ignore": False},
        "gpt2 with prefix space": {"pre_tokenizer": byte_level(prefix=True, regex=True), "ignore": False},
        "gpt2 as split": {"pre_tokenizer": sequence(split(GPT2), byte_level(prefix=True)), "ignore": False},
        "smollm": {"pre_tokenizer": sequence({"type": "Digits", "individual_digits": True}, byte_level(regex=True)), "ignore": False},
        "digit runs": {"pre_tokenizer": sequence({"type": "Digits", "individual_digits": False}, byte_level(prefix=True, regex=True)), "ignore": True},
        "qwen2": {"pre_tokenizer": sequence(split(QWEN2), byte_level()), "ignore": False},
        "tekken": {"pre_tokenizer": sequence(split(TEKKEN, "Removed", True), byte_level()), "ignore": True},
        "no split": {"pre_tokenizer": byte_level(), "ignore": False},
        "bytes missing": {"pre_tokenizer": byte_level(regex=True), "ignore": False, "drop": ["e", "Ġ", "Ã", "©"]},
        "bytes unknown": {"pre_tokenizer": byte_level(regex=True), "ignore": False, "drop": ["e", "Ã", "©"], "unk": "!"},
        "bytes unknown, fused": {"pre_tokenizer": byte_level(regex=True), "ignore": False, "drop": ["e", "Ã", "©"], "unk": "!", "fuse": True},
        "added tokens": {"pre_tokenizer": byte_level(regex=True), "ignore": False, "added": [
            token("<x>"), token("<xx>"), token("<left>", lstrip=True), token("<right>", rstrip=True), token("<both>", lstrip=True, rstrip=True),
            token("<w>", single_word=True), token("NORM", normalized=True), token("<s2>", special=True), token("é")]},
        "added space": {"pre_tokenizer": byte_level(regex=True), "ignore": False, "added": [token("<right>", rstrip=True), token("  ", lstrip=True)]},
    }
    rows = []
    for name, p in patches.items():
        j = json.loads(json.dumps(base))
        model = j["model"]
        j["pre_tokenizer"] = p["pre_tokenizer"]
        model["ignore_merges"] = p["ignore"]
        gone = set(p.get("drop", []))
        if gone:
            # Everything spelled with a missing byte goes, so that no merge lacks its parts.
            model["vocab"] = {t: i for t, i in model["vocab"].items() if not gone & set(t)}
            model["merges"] = [m for m in model["merges"] if not gone & set(m[0] + m[1])]
            j["added_tokens"] = []
            j["post_processor"] = None
        model["unk_token"] = p.get("unk")
        model["fuse_unk"] = p.get("fuse", False)
        j["added_tokens"] += p.get("added", [])
        model["merges"] = [" ".join(m) for m in model["merges"]]
        t = Tokenizer.from_str(json.dumps(j))
        for s in PLAIN_TEXT + {"added tokens": TOKENS_TEXT, "added space": SPACE_TEXT}.get(name, []):
            row = {"variant": name, "text": s, "ids": t.encode(s, add_special_tokens=False).ids}
            t.encode_special_tokens = True
            plain = t.encode(s, add_special_tokens=False).ids
            t.encode_special_tokens = False
            if plain != row["ids"]:
                row["ids_plain"] = plain
            row["dec"] = t.decode(row["ids"], skip_special_tokens=False)
            if row["dec"] == s:
                del row["dec"]
            rows.append(row)
    write_rows(rows, "golden", "variants.jsonl")
    with open(path("golden", "variants.json"), "w", encoding="utf-8") as f:
        json.dump(patches, f, ensure_ascii=False, indent=1)
        f.write("\n")


# ---- SentencePiece variants ---------------------------------------------------

SP_TEXT = ["hello world", " hello  world ", "   ", "", "▁x▁ y", "ﬁ Ａ１ é ㎡ ½", "tab\there\nnew", "日本 x", "a<sep>b <sep> c<sep>", "<s>x</s><unk>", "<0x41>",
           "\u3000wide\u00a0space", "the cat and the dog", "zzz qqq ÿÿ ł", "e\u0301e\u0301", "\ufeffbom\u200bzw", "1234 56", "unused used", "b the b zebra and hello"]


def sp(_):
    import io

    import sentencepiece as spm

    words = "the cat and the dog hello world a used unused of in sea sand lighthouse keeper 123 456 x y z , . é o ".split()
    import random

    rng = random.Random(9)
    corpus = [" ".join(rng.choice(words) for _ in range(rng.randrange(3, 12))) for _ in range(400)]
    rules = os.path.join(path("sp_variants"), "rules.tsv")
    os.makedirs(path("sp_variants"), exist_ok=True)
    with open(rules, "w") as f:
        for a, b in [("FB01", "66 69"), ("FF21", "41"), ("FF11", "31"), ("3000", "20"), ("A0", "20"), ("9", "20"), ("A", "20"), ("65 301", "E9"),
                     ("BD", "31 2F 32"), ("200B", ""), ("FEFF", "")]:
            f.write(f"{a}\t{b}\n")
    common = dict(model_type="bpe", vocab_size=120, minloglevel=2, num_threads=1, hard_vocab_limit=False)
    options = {
        "collapse": dict(normalization_rule_name="identity"),
        "charsmap": dict(normalization_rule_tsv=rules, user_defined_symbols=["<sep>"]),
        "suffix": dict(normalization_rule_name="identity", treat_whitespace_as_suffix=True, remove_extra_whitespaces=False),
        "crossing": dict(normalization_rule_name="identity", split_by_whitespace=False, remove_extra_whitespaces=False, byte_fallback=True, vocab_size=400),
        "reserved": dict(normalization_rule_name="identity", byte_fallback=True, vocab_size=400, control_symbols=["b", "the"]),
        "no_escape_prefix": dict(normalization_rule_name="identity", add_dummy_prefix=False, pad_id=3, unk_surface="?"),
    }
    rows = []
    for name, o in options.items():
        out = io.BytesIO()
        spm.SentencePieceTrainer.train(sentence_iterator=iter(corpus), model_writer=out, **{**common, **o})
        data = without_paths(out.getvalue())
        if name == "suffix":
            data = with_unused(data, {"and▁", "the▁", "lighthouse▁"})
        if name == "reserved":
            data = with_unused(data, {"z", "an", "hel"})  # z is nothing that could be taken apart
        with open(path("sp_variants", name + ".model"), "wb") as f:
            f.write(data)
        p = spm.SentencePieceProcessor(model_proto=data)
        for s in SP_TEXT:
            ids = p.encode(s)
            rows.append({"variant": name, "text": s, "ids": ids, "dec": p.decode(ids), "bos": p.bos_id(), "eos": p.eos_id(), "pad": p.pad_id()})
        rng = random.Random(4)
        for _ in range(12):
            ids = [rng.randrange(p.vocab_size()) for _ in range(rng.randrange(1, 9))]
            rows.append({"variant": name, "ids": ids, "dec": p.decode(ids)})
    os.remove(rules)
    write_rows(rows, "sp_variants", "golden.jsonl")


def proto_fields(data):
    """The fields of a protobuf message as (number, wire type, value, raw bytes)."""
    i = 0

    def varint():
        nonlocal i
        v = shift = 0
        while True:
            b = data[i]
            i += 1
            v |= (b & 127) << shift
            shift += 7
            if b < 128:
                return v

    while i < len(data):
        start = i
        key = varint()
        if key & 7 == 0:
            value = varint()
        else:
            n = {1: 8, 5: 4}[key & 7] if key & 7 != 2 else varint()
            value = data[i : i + n]
            i += n
        yield key >> 3, key & 7, value, data[start:i]


def proto_bytes(number, value):
    out = bytearray([number << 3 | 2]) if number < 16 else bytearray([(number << 3 & 127) | 130, number >> 4])
    n = len(value)
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    out.append(n)
    return bytes(out) + value


def without_paths(data):
    """Drops what names files: input and model_prefix of trainer_spec, the rules of normalizer_spec."""
    out = b""
    for number, _, value, raw in proto_fields(data):
        if number == 2:
            raw = proto_bytes(2, b"".join(r for n, _, _, r in proto_fields(value) if n not in (1, 2)))
        if number == 3:
            raw = proto_bytes(3, b"".join(r for n, _, _, r in proto_fields(value) if n != 6))
        out += raw
    return out


def with_unused(data, pieces):
    """Marks pieces as UNUSED (type 5)."""
    out, marked = b"", 0
    for number, _, value, raw in proto_fields(data):
        if number == 1:
            text = next(v for n, _, v, _ in proto_fields(value) if n == 1).decode()
            if text in pieces:
                raw = proto_bytes(1, b"".join(r for n, _, _, r in proto_fields(value) if n != 3) + b"\x18\x05")
                marked += 1
        out += raw
    assert marked == len(pieces), (marked, pieces)
    return out


# ---- SmolLM2 ------------------------------------------------------------------

PROSE = ["The keeper climbed the hundred and twelve steps, as he had every evening since 1987, and lit the lamp himself.",
         "\"It won't hold,\" she said; \"we've seen it crack before -- twice!\"\n\nNobody answered. (The wind, perhaps, did.)",
         "def tide(place: str, at: float = 9.5) -> dict:\n    \"\"\"Height at a place.\"\"\"\n    return {'metres': round(4.1234, 2)}  # TODO\n",
         "for (int i = 0; i < n; ++i) {\n\tsum += a[i]*b[i]; /* dot */\n}\n", "SELECT id, name FROM boats WHERE length_m >= 12.5 AND flag='NO';",
         "<|im_start|>user\nSummarise: the harbour froze.<|im_end|>\n<|im_start|>assistant\n", "https://example.org/a?b=1&c=%20#frag", "x" * 300, " " * 40 + "}" * 7]


def smollm2(args):
    """Builds the tokenizer from the GGUF with the library's own classes, and encodes."""
    from gguf import GGUFReader
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    field = {k: f.contents() for k, f in GGUFReader(args.files[0]).fields.items() if k.startswith("tokenizer")}
    tokens = field["tokenizer.ggml.tokens"]
    merges = [tuple(m.split(" ")) for m in field["tokenizer.ggml.merges"]]
    t = Tokenizer(models.BPE({w: i for i, w in enumerate(tokens)}, merges))
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])
    t.decoder = decoders.ByteLevel()
    t.add_special_tokens([AddedToken(w, special=True, normalized=False) for w, k in zip(tokens, field["tokenizer.ggml.token_type"]) if k == 3])
    rows = []
    for s in [json.loads(line)["text"] for line in open(path("strings.jsonl"), encoding="utf-8")] + PROSE:
        e = t.encode(s)
        row = {"text": s, "ids": e.ids}
        for key, skip in (("dec", False), ("dec_skip", True)):
            d = t.decode(e.ids, skip_special_tokens=skip)
            if d != s:
                row[key] = d
        rows.append(row)
    env = environment()
    conversations = json.load(open(path("chat", "conversations.json"), encoding="utf-8"))
    for c in conversations[:2]:
        text = env.from_string(field["tokenizer.chat_template"]).render(messages=c["messages"], add_generation_prompt=c["add_generation_prompt"],
                                                                        bos_token="<|im_start|>", eos_token="<|im_end|>", tools=None)
        rows.append({"case": c["case"], "text": text, "ids": t.encode(text).ids})
    write_rows(rows, "golden", "smollm2.jsonl")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("what", choices=["classes", "chat", "jinja", "variants", "sp", "smollm2", "render"])
    p.add_argument("files", nargs="*")
    args = p.parse_args()
    globals()[args.what](args)


if __name__ == "__main__":
    main()
