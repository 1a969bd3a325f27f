#!/usr/bin/env python3
"""Make small parquet files with pyarrow, for internal/dataset.

    venv/bin/python scripts/table_goldens.py

Writes into internal/dataset/testdata: one file for each codec, page version and kind of string, all with the same rows, and
rows.json, those rows. Every row has an article with a few of all scripts, an id, a list of strings and numbers; some are null.
"""

import json
import pathlib

import pyarrow as pa
import pyarrow.parquet as pq

OUT = pathlib.Path(__file__).resolve().parent.parent / "internal/dataset/testdata"

ROWS = [
    {
        "id": None if i % 11 == 7 else f"id{i}",
        "article": f"Article {i}: Grüße, 日本語, \U0001f600, \"quotes\", a,b\n" + "word " * (i % 5),
        "highlights": f"First line {i % 3}\nsecond line",
        "choices": None if i % 13 == 5 else [f"choice {i} {j}" if j != 2 else None for j in range(i % 5)],
        "answer": i % 4 - 1,
        "score": i / 8,
        "flag": i % 2 == 0,
    }
    for i in range(40)
]


def table(text):
    schema = pa.schema([
        ("id", text), pa.field("article", text, nullable=False), ("highlights", text), ("choices", pa.list_(text)),
        ("answer", pa.int64()), ("score", pa.float32()), ("flag", pa.bool_()),
        ("nested", pa.struct([("a", pa.int32()), ("b", text)])), ("binary", pa.binary()),
    ])
    rows = [dict(row, nested={"a": 1, "b": "x"}, binary=b"\xff\x00") for row in ROWS]
    return pa.Table.from_pylist(rows, schema=schema)


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    for name, text, options in [
        ("snappy", pa.string(), {"compression": "snappy", "row_group_size": 16}),
        ("zstd", pa.large_string(), {"compression": "zstd", "data_page_version": "2.0", "version": "2.6"}),
        ("gzip", pa.string(), {"compression": "gzip", "use_dictionary": False}),
        ("brotli", pa.string(), {"compression": "brotli", "data_page_size": 256, "write_page_index": True}),
        ("delta", pa.string(), {"compression": "none", "use_dictionary": False, "column_encoding": {"article": "DELTA_BYTE_ARRAY", "highlights": "DELTA_LENGTH_BYTE_ARRAY", "answer": "DELTA_BINARY_PACKED"}}),
    ]:
        pq.write_table(table(text), OUT / f"{name}.parquet", store_schema=False, write_statistics=False, **options)
        back = pq.read_table(OUT / f"{name}.parquet").drop(["nested", "binary"]).to_pylist()
        assert back == ROWS, name
    (OUT / "rows.json").write_text(json.dumps(ROWS, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
