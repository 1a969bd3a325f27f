#!/usr/bin/env python3
"""Make the goldens of internal/numpyrandom and internal/npy with numpy itself.

    python3 -m venv venv && venv/bin/pip install numpy==2.4.6
    venv/bin/python scripts/numpy_goldens.py

Writes internal/numpyrandom/testdata/numpy.json and internal/npy/testdata/*.npy. Long permutations are kept as their first and
last numbers and the SHA-256 of all of them as little-endian int64.
"""

import hashlib
import json
import pathlib

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parent.parent
SEEDS = [0, 1, 42, 2**32 - 1, 2**32, 1234567890123456789, 2**64 - 1]
LENGTHS = [0, 1, 2, 3, 4, 5, 10, 17, 64, 65, 100, 287, 1000, 11490, 13368, 100000]


def permutation(seed, n):
    p = np.random.default_rng(seed).permutation(n).astype("<i8")
    return {
        "seed": str(seed),
        "n": n,
        "first": p[:20].tolist(),
        "last": p[-5:].tolist() if n else [],
        "sha256": hashlib.sha256(p.tobytes()).hexdigest(),
    }


def raw(seed):
    """Raw outputs, then 32-bit draws around a 64-bit one, which uses no half that was kept back."""
    bits = np.random.PCG64(seed)
    return {"seed": str(seed), "uint64": [str(v) for v in bits.random_raw(8).tolist()]}


def twice(seed):
    """Two permutations from one stream: the half kept back by the first serves the second."""
    g = np.random.default_rng(seed)
    return {"seed": str(seed), "first": g.permutation(6).tolist(), "second": g.permutation(7).tolist()}


def choice(seed, n, size):
    np.random.seed(seed)
    draws = np.random.choice(np.arange(n), size=size).astype("<i8")
    return {
        "seed": seed,
        "n": n,
        "size": size,
        "first": draws[:20].tolist(),
        "sha256": hashlib.sha256(draws.tobytes()).hexdigest(),
    }


def mt(seed):
    """1300 outputs pass two refills of the state."""
    np.random.seed(seed)
    draws = np.random.randint(0, 2**32, size=1300, dtype=np.uint32)
    return {"seed": seed, "first": draws[:5].tolist(), "last": draws[-5:].tolist()}


def write_npy():
    out = ROOT / "internal/npy/testdata"
    out.mkdir(parents=True, exist_ok=True)
    ids = np.array([[1, 2, 3, 4], [5, 6, 2, 2], [-7, 2147483647, -2147483648, 0]])
    np.save(out / "int32.npy", ids.astype("<i4"))
    np.save(out / "int64.npy", ids.astype("<i8"))
    np.save(out / "int64-fortran.npy", np.asfortranarray(ids.astype("<i8")))
    np.save(out / "int32-big-endian.npy", ids.astype(">i4"))
    np.save(out / "int32-vector.npy", np.arange(5, dtype="<i4"))
    np.save(out / "int32-empty.npy", np.zeros((0, 7), dtype="<i4"))
    np.save(out / "float32.npy", (np.arange(24, dtype="<f4") / 7 - 1).reshape(2, 3, 4))
    np.save(out / "float32-fortran.npy", np.asfortranarray((np.arange(24, dtype="<f4") / 7 - 1).reshape(2, 3, 4)))
    np.save(out / "float32-scalar.npy", np.array(2.5, dtype="<f4"))
    np.save(out / "float64.npy", np.arange(3, dtype="<f8"))
    np.save(out / "object.npy", np.array([{"a": 1}], dtype=object))
    for version in [(2, 0), (3, 0)]:
        with open(out / f"int32-version{version[0]}.npy", "wb") as f:
            np.lib.format.write_array(f, ids.astype("<i4"), version=version)


def main():
    golden = {
        "numpy": np.__version__,
        "permutations": [permutation(s, n) for s in SEEDS for n in LENGTHS],
        "raw": [raw(s) for s in SEEDS],
        "twice": [twice(s) for s in SEEDS],
        "choices": [choice(s, n, size) for s in [0, 1, 42, 2**32 - 1] for n, size in
                    [(1, 3), (2, 50), (3, 50), (20, 20), (21, 1000), (1000, 1000), (65536, 100), (65537, 100)]],
        "mt19937": [mt(s) for s in [0, 1, 42, 2**32 - 1]],
    }
    path = ROOT / "internal/numpyrandom/testdata/numpy.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [f'"numpy": {json.dumps(golden.pop("numpy"))}']
    for key, rows in golden.items():
        lines.append(f'"{key}": [\n' + ",\n".join(json.dumps(r) for r in rows) + "\n]")
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    write_npy()


if __name__ == "__main__":
    main()
