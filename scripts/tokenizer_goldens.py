"""Goldens of tokenizer/ by the official libraries.

    tokenizer_goldens.py classes   the CRC-32 in split_test.go: Oniguruma's character classes
    tokenizer_goldens.py chat      testdata/chat: jinja2 as transformers sets it up
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
    fields = ("reasoning_content", "thinking", "reasoning")
    out = []
    for message in chat:
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


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("what", choices=["classes", "chat", "variants", "sp", "smollm2", "render"])
    p.add_argument("files", nargs="*")
    args = p.parse_args()
    globals()[args.what](args)


if __name__ == "__main__":
    main()
