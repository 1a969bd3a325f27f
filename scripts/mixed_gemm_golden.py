#!/usr/bin/env python3
"""Makes build/tensorrt/internal/mixedgemm/testdata/layouts.json with numpy alone.

An independent reading of the steps in which TensorRT-LLM prepares weights of 4 and 8 bits
for its mixed matrix multiplications. Where the Go package computes the place of each
number, this does one step after the other on a matrix [in, out] of bytes:

  1 permute rows in blocks of 128/bits,
  2 transpose what lies packed in bytes,
  3 interleave columns by 32-bit words (not on compute capability 9.0),
  4 add half of the range,
  5 shuffle what lies in 32 bits.

    python3 scripts/mixed_gemm_golden.py
"""

import hashlib
import json
import pathlib

import numpy as np

TABLES = {
    (16, 8): "0 1 8 9 2 3 10 11 4 5 12 13 6 7 14 15",
    (16, 4): "0 1 8 9 16 17 24 25 2 3 10 11 18 19 26 27 4 5 12 13 20 21 28 29 6 7 14 15 22 23 30 31",
    (8, 4): "0 1 2 3 16 17 18 19 4 5 6 7 20 21 22 23 8 9 10 11 24 25 26 27 12 13 14 15 28 29 30 31",
}


def numbers(rows, columns, bits):
    """The matrix that the Go test makes too, [in, out]."""
    k, n = np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij")
    mixed = (k * 2654435761 + n * 40503 + k * n * 97) & 0xFFFFFFFF
    return ((mixed >> 11) % (1 << bits)).astype(np.int64) - (1 << (bits - 1))


def pack(matrix, bits):
    """Rows of numbers as rows of bytes, the first number of a byte in its low half."""
    raw = (matrix & ((1 << bits) - 1)).astype(np.uint8)
    return raw if bits == 8 else raw[:, 0::2] | raw[:, 1::2] << 4


def unpack(raw, bits):
    if bits == 8:
        return raw.astype(np.int8).astype(np.int64)
    both = np.empty((raw.shape[0], raw.shape[1] * 2), np.int64)
    both[:, 0::2], both[:, 1::2] = raw & 15, raw >> 4
    return np.where(both > 7, both - 16, both)


def prepare(matrix, input_bits, bits, capability):
    rows, columns = matrix.shape
    raw = pack(matrix, bits)
    table = [int(i) for i in TABLES[input_bits, bits].split()]
    for base in range(0, rows, len(table)):
        block = raw[base : base + len(table)].copy()
        for place, source in enumerate(table):
            raw[base + place] = block[source]
    raw = pack(unpack(raw, bits).T, bits)
    words = np.ascontiguousarray(raw).view("<u4")  # [out, in/(32/bits)]
    interleave = input_bits // bits
    if capability != 90 and interleave > 1:
        of_tile = 1024 // input_bits * bits // 32
        mixed = np.empty(words.size, words.dtype)
        for column in range(columns):
            for word in range(words.shape[1]):
                tile = word // of_tile
                to = interleave * tile * of_tile + of_tile * (column % interleave) + word % of_tile
                mixed[column // interleave * words.shape[1] * interleave + to] = words[column, word]
        words = mixed
    flat = unpack(words.reshape(-1).view(np.uint8).reshape(1, -1), bits).reshape(-1) + (1 << (bits - 1))
    order = {8: [0, 2, 1, 3], 4: [0, 2, 4, 6, 1, 3, 5, 7]}[bits]
    flat = flat.reshape(-1, len(order))[:, order].reshape(1, -1)
    return (flat.astype(np.uint8) if bits == 8 else pack(flat, bits)).tobytes()


def main():
    cases = []
    for input_bits, bits in TABLES:
        for capability in (75, 80, 89, 90, 120):
            for rows, columns in ((128, 8), (256, 16), (384, 68)):
                data = prepare(numbers(rows, columns, bits), input_bits, bits, capability)
                cases.append(
                    {
                        "input": input_bits,
                        "weight": bits,
                        "capability": capability,
                        "in": rows,
                        "out": columns,
                        "first": data[:48].hex(),
                        "sha256": hashlib.sha256(data).hexdigest(),
                    }
                )
    path = pathlib.Path(__file__).parent.parent / "build/tensorrt/internal/mixedgemm/testdata/layouts.json"
    path.write_text("[\n" + ",\n".join(json.dumps(c) for c in cases) + "\n]\n")


if __name__ == "__main__":
    main()
