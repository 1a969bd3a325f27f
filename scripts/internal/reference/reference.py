"""An official tokenizer library behind a pipe, for scripts/internal/reference.

    reference.py hf FILE         tokenizers (tokenizer.json)
    reference.py sentencepiece FILE
    reference.py tekken FILE     mistral-common
    reference.py tiktoken FILE PATTERN SPECIAL   SPECIAL is JSON: spellings and ids

A request is a byte that says what to do, a count and as many items; an answer is a count and as many
results. Counts and lengths are 32-bit little-endian, lengths first. Items are UTF-8 (sentencepiece: any
bytes) or ids, which are 32-bit too.

    e encode, no special tokens added     s encode, with them     p encode, text of special tokens is plain
    d decode, special tokens kept         k decode, special tokens left out
    E D L  seconds as a float64: of encoding each text, decoding each list, loading the file once for each item
"""
import json
import struct
import sys
import time


class HuggingFace:
    def __init__(self, path):
        import tokenizers

        self.version = "tokenizers " + tokenizers.__version__
        self.library, self.path = tokenizers, path
        self.tokenizer = self.load()
        self.plain = self.load()
        self.plain.encode_special_tokens = True

    def load(self):
        t = self.library.Tokenizer.from_file(self.path)
        t.no_truncation()
        t.no_padding()
        return t

    def text(self, raw):
        return raw.decode("utf-8", "replace")

    def encode(self, text):
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def encode_special(self, text):
        return self.tokenizer.encode(text).ids

    def encode_plain(self, text):
        return self.plain.encode(text, add_special_tokens=False).ids

    def decode(self, ids):
        return self.tokenizer.decode(ids, skip_special_tokens=False)

    def decode_skip(self, ids):
        return self.tokenizer.decode(ids)


class SentencePiece:
    def __init__(self, path):
        import sentencepiece

        self.version = "sentencepiece " + sentencepiece.__version__
        self.library, self.path = sentencepiece, path
        self.processor = self.load()
        self.eos = self.processor.eos_id()

    def load(self):
        return self.library.SentencePieceProcessor(model_file=self.path)

    def text(self, raw):
        return raw

    def encode(self, text):
        return self.processor.encode(text)

    def encode_special(self, text):  # as upstream's T5Tokenizer does with a --vocab_file
        return self.encode(text) + ([self.eos] if self.eos >= 0 else [])

    encode_plain = encode

    def decode_skip(self, ids):
        return self.processor.decode(ids)

    decode = None


class Tekken:
    def __init__(self, path):
        import mistral_common
        from mistral_common.tokens.tokenizers.base import SpecialTokenPolicy
        from mistral_common.tokens.tokenizers.tekken import Tekkenizer

        self.version = "mistral-common " + mistral_common.__version__
        self.kind, self.path, self.policy = Tekkenizer, path, SpecialTokenPolicy
        self.tokenizer = self.load()

    def load(self):
        return self.kind.from_file(self.path)

    def text(self, raw):
        return raw.decode("utf-8", "replace")

    def encode(self, text):
        return self.tokenizer.encode(text, bos=False, eos=False)

    def encode_special(self, text):
        return self.tokenizer.encode(text, bos=True, eos=False)

    encode_plain = encode

    def decode(self, ids):
        return self.tokenizer.decode(ids, special_token_policy=self.policy.KEEP)

    def decode_skip(self, ids):
        return self.tokenizer.decode(ids, special_token_policy=self.policy.IGNORE)


class Tiktoken:
    def __init__(self, path, pattern, special):
        import tiktoken

        self.version = "tiktoken " + tiktoken.__version__
        self.library, self.path, self.pattern, self.special = tiktoken, path, pattern, json.loads(special)
        self.encoding, self.special_ids = self.load(), set(self.special.values())

    def load(self):
        from tiktoken.load import load_tiktoken_bpe

        ranks = load_tiktoken_bpe(self.path)
        return self.library.Encoding("file", pat_str=self.pattern, mergeable_ranks=ranks, special_tokens=self.special)

    def text(self, raw):
        return raw.decode("utf-8", "replace")

    def encode(self, text):
        return self.encoding.encode(text, allowed_special="all")

    encode_special = encode

    def encode_plain(self, text):
        return self.encoding.encode_ordinary(text)

    def decode(self, ids):
        return self.encoding.decode(ids)

    def decode_skip(self, ids):
        return self.encoding.decode([i for i in ids if i not in self.special_ids])


KINDS = {"hf": HuggingFace, "sentencepiece": SentencePiece, "tekken": Tekken, "tiktoken": Tiktoken}


def read(n):
    data = sys.stdin.buffer.read(n)
    if len(data) != n:
        sys.exit(0)
    return data


def items():
    (count,) = struct.unpack("<I", read(4))
    lengths = struct.unpack(f"<{count}I", read(4 * count))
    return [read(n) for n in lengths]


def answer(results):
    out = sys.stdout.buffer
    out.write(struct.pack(f"<{len(results) + 1}I", len(results), *map(len, results)))
    for r in results:
        out.write(r)
    out.flush()


def pack(ids):
    return struct.pack(f"<{len(ids)}i", *ids)


def unpack(raw):
    return list(struct.unpack(f"<{len(raw) // 4}i", raw))


def seconds(function, arguments):
    start = time.perf_counter()
    for a in arguments:
        function(*a)
    return struct.pack("<d", time.perf_counter() - start)


def main():
    t = KINDS[sys.argv[1]](*sys.argv[2:])
    answer([t.version.encode()])
    encoders = {b"e": t.encode, b"s": t.encode_special, b"p": t.encode_plain}
    decoders = {b"d": t.decode, b"k": t.decode_skip}
    while True:
        op, list_ = read(1), items()
        if op in encoders:
            answer([pack(encoders[op](t.text(raw))) for raw in list_])
        elif op in decoders:
            answer([decoders[op](unpack(raw)).encode("utf-8", "replace") for raw in list_])
        elif op == b"E":
            answer([seconds(t.encode, [(t.text(raw),) for raw in list_])])
        elif op == b"D":
            answer([seconds(t.decode_skip, [(unpack(raw),) for raw in list_])])
        elif op == b"L":
            answer([seconds(t.load, [() for _ in list_])])
        else:
            sys.exit(f"reference.py: {op!r} is no request")


if __name__ == "__main__":
    main()
