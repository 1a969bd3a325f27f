#!/usr/bin/env python3
"""Makes the pickles and PyTorch files that the Go tests read.

    python scripts/torch_fixtures.py

- internal/pickle/testdata/protocolN.pkl: the same values in each protocol.
- internal/torchzip/testdata/NAME.pt and NAME-legacy.pt with tensors.json, which
  has each tensor's dtype, shape, strides and bytes in row-major order; and
  refused-NAME.pt, valid files that hold what is not read.
- internal/testmodel/testdata/pytorch/NAME/FORM/: the tiny models as torch.save
  writes them. Their tensors' bytes lie in the models' safetensors already, so
  they are zeroed here before the file is compressed; files.json says which bytes
  go where, and the sha256 of the file that torch wrote.
"""
import collections
import gzip
import hashlib
import io
import json
import pathlib
import pickle
import shutil
import tempfile

import torch
from safetensors.torch import load_file

ROOT = pathlib.Path(__file__).resolve().parent.parent
PICKLES = ROOT / "internal/pickle/testdata"
FILES = ROOT / "internal/torchzip/testdata"
MODELS = ROOT / "internal/testmodel/testdata/models"
BINS = ROOT / "internal/testmodel/testdata/pytorch"
# Names of dtypes as safetensors spells them.
DTYPES = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64",
    torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL",
    torch.float8_e4m3fn: "F8_E4M3", torch.float8_e5m2: "F8_E5M2", torch.float8_e4m3fnuz: "F8_E4M3FNUZ",
    torch.float8_e5m2fnuz: "F8_E5M2FNUZ", torch.float8_e8m0fnu: "F8_E8M0", torch.uint16: "U16", torch.uint32: "U32",
    torch.uint64: "U64", torch.complex64: "C64",
}


def pickles():
    shared = [1]
    value = {
        "none": None, "true": True, "false": False, "zero": 0, "byte": 255, "short": 65535, "negative": -2,
        "int": 2**31 - 1, "long": 2**31, "min": -(2**63), "huge": 2**70 + 1, "minus_huge": -(2**70), "giant": 1 << 4000,
        "float": -1.5, "inf": float("inf"), "empty": "", "text": "häß \\u0041 \\ \n € 😀 \x00",
        "quotes": "'\"", "bytes": b"\x00\xff\n'", "no_bytes": b"", "bytearray": bytearray(b"ab"),
        "tuples": ((), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)), "list": [1, [2, []]], "twice": [shared, shared],
        "dict": {"a": 1, 2: "b", (3, 4): None}, "many": {f"key{i}": i for i in range(20)},
        "set": {7}, "frozenset": frozenset([8]), "ordered": collections.OrderedDict([("z", 1), ("a", 2)]),
        "class": collections.OrderedDict, "path": pathlib.PurePosixPath("a/b"), "complex": 1 + 2j,
        "counter": collections.Counter("aab"), "thousand": list(range(1500)), "string300": "x" * 300,
    }
    for protocol in range(6):
        (PICKLES / f"protocol{protocol}.pkl").write_bytes(pickle.dumps(value, protocol))


class Marked(torch.Tensor):
    pass


def states():
    """Files by name: what is saved, and the dict in it that holds the tensors."""
    x = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    big = (torch.arange(3 * 40 * 50) % 251).to(torch.int16).reshape(3, 40, 50)
    dtypes = {}
    for dtype, name in DTYPES.items():
        if dtype == torch.float8_e8m0fnu or dtype in (torch.uint16, torch.uint32, torch.uint64):
            dtypes[name] = torch.tensor([0, 1, 2, 127], dtype=torch.uint8).view(dtype) if dtype == torch.float8_e8m0fnu else torch.tensor([0, 1, 65535], dtype=torch.int64).to(dtype)
        else:
            dtypes[name] = torch.tensor([[0.0, 1.0], [1.0, 3.0]]).to(dtype)
    yield "dtypes", dtypes, dtypes
    views = collections.OrderedDict(
        whole=x, tied=x, rows=x[1:3], column=x[:, 2], block=x[1:4, 2:5], transposed=x.t(), step=x[::2, ::3],
        scalar=torch.tensor(7.0), element=x[2, 3], empty=torch.zeros(0, 3), empty_view=x[4:], one=x[:, 1:2],
        expanded=x[0].expand(3, 6), expanded_scalar=torch.tensor(5).expand(2, 3), permuted=big.permute(2, 0, 1),
        permuted_block=big.permute(1, 2, 0)[3:30, 7:33:2], diagonal=x.as_strided((4,), (7,)), overlapping=x.as_strided((5, 3), (2, 1), 1),
    )
    yield "views", views, views
    parameter = torch.nn.Parameter(x[0].clone())
    attributed = torch.nn.Parameter(x[1].clone())
    attributed.partition_dim = 0
    parameters = {"parameter": parameter, "attributed": attributed, "buffer": torch.nn.Buffer(x[3].clone()), "hooked": torch.ones(2, requires_grad=True)}
    yield "parameters", parameters, parameters
    module = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2), torch.nn.ModuleDict({"inner": torch.nn.Linear(2, 2, bias=False)}))
    with torch.no_grad():
        for i, p in enumerate(module.parameters()):
            p.copy_(torch.arange(p.numel()).reshape(p.shape) + i)
    yield "module", module.state_dict(), module.state_dict()
    nested = {"language_model": {"embedding": {"word": {"weight": x}}, "layers": {0: {"weight": x[0]}, 1: {"weight": x[1]}}}}
    flat = {"language_model.embedding.word.weight": x, "language_model.layers.0.weight": x[0], "language_model.layers.1.weight": x[1]}
    yield "nested", {"model": nested, "iteration": 5, "args": {"lr": 0.1}}, flat
    extra = {"state_dict": collections.OrderedDict([("a.weight", x), ("a._extra_state", io.BytesIO(b"inner")), ("b._extra_state", None)])}
    extra |= {"epoch": 3, "huge": 2**80, "optimizer_states": [{"state": {0: {"exp_avg": x * 2}}}], "dtype": torch.bfloat16,
              "device": torch.device("cpu"), "size": x.shape, "layout": torch.strided, "set": {1}, "bytes": b"\x80", "complex": 1j}
    yield "checkpoint", extra, {"a.weight": x}


def row_major(t):
    t = t.detach().contiguous().reshape(-1)
    return t.view(torch.uint8).numpy().tobytes() if t.numel() else b""


def save(value, path, legacy=False):
    torch.save(value, path, _use_new_zipfile_serialization=not legacy)


def files():
    described = {}
    for name, value, tensors in states():
        save(value, FILES / f"{name}.pt")
        save(value, FILES / f"{name}-legacy.pt", legacy=True)
        described[name] = [
            {"name": k, "dtype": DTYPES[t.dtype], "shape": list(t.shape), "stride": list(t.stride()), "offset": t.storage_offset(),
             "bytes": row_major(t).hex()}
            for k, t in tensors.items()
        ]
    (FILES / "tensors.json").write_text("{\n" + ",\n".join(
        f'"{k}": [\n' + ",\n".join(json.dumps(t) for t in v) + "\n]" for k, v in described.items()) + "\n}\n")
    x = torch.ones(2, 2)
    save({"w": torch.nn.Linear(2, 2)}, FILES / "refused-module.pt")
    save({"w": x.to_sparse()}, FILES / "refused-sparse.pt")
    save({"w": torch.quantize_per_tensor(x, 1.0, 0, torch.qint8)}, FILES / "refused-quantised.pt")
    save({"w": x.to("meta")}, FILES / "refused-meta.pt")
    save({"w": x.to(torch.complex128)}, FILES / "refused-complex128.pt")
    save({"w": torch.view_as_real(x.to(torch.complex64)), "c": x.to(torch.complex64).conj()}, FILES / "refused-conjugated.pt")
    save({"w": x.clone().as_subclass(Marked)}, FILES / "refused-subclass.pt")
    torch.jit.script(torch.nn.Linear(2, 2)).save(str(FILES / "refused-script.pt"))


def column_major(t):
    return t.t().contiguous().t()


def forms(tensors, tied):
    """What the forms hold: {form: {file: state dict}}."""
    state = collections.OrderedDict(tensors)
    if tied:
        state["lm_head.weight"] = state["model.embed_tokens.weight"]
    yield "zip", {"pytorch_model.bin": state}
    yield "legacy", {"pytorch_model.bin": state}
    names = list(state)
    if tied:  # transformers keeps what shares a storage in one shard
        names.insert(0, names.pop())
        names.insert(0, names.pop(names.index("model.embed_tokens.weight")))
    half = len(names) // 2
    yield "sharded", {
        "pytorch_model-00001-of-00002.bin": collections.OrderedDict((n, state[n]) for n in names[:half]),
        "pytorch_model-00002-of-00002.bin": collections.OrderedDict((n, state[n]) for n in names[half:]),
    }
    # One storage for all; a small matrix column by column; a parameter.
    flat = torch.cat([t.reshape(-1) for t in tensors.values()])
    views, at = collections.OrderedDict(), 0
    for n, t in tensors.items():
        views[n] = flat[at:at + t.numel()].view(t.shape)
        at += t.numel()
    n = "model.layers.0.self_attn.k_proj.weight"
    views[n] = column_major(tensors[n])
    views["model.norm.weight"] = torch.nn.Parameter(views["model.norm.weight"])
    yield "views", {"pytorch_model.bin": {"state_dict": views}}


def models():
    shutil.rmtree(BINS, ignore_errors=True)
    for directory in sorted(MODELS.iterdir()):
        tensors = {}
        for f in sorted(directory.glob("*.safetensors")):
            tensors |= load_file(f)
        tied = json.loads((directory / "config.json").read_text())["tie_word_embeddings"]
        for form, parts in forms(tensors, tied):
            out = BINS / directory.name / form
            out.mkdir(parents=True)
            index, weight_map = [], {}
            for name, state in parts.items():
                with tempfile.TemporaryDirectory() as temporary:
                    path = pathlib.Path(temporary) / name
                    # The keys of a legacy file are addresses, and so its bytes differ from run to run.
                    save(state, path, legacy=form == "legacy")
                    data = path.read_bytes()
                kept, places = bytearray(data), []
                for n, t in tensors.items():
                    b = row_major(t)
                    at = data.find(b)
                    if at >= 0:
                        places.append([n, at])
                        kept[at:at + len(b)] = bytes(len(b))
                (out / f"{name}.gz").write_bytes(gzip.compress(bytes(kept), 9, mtime=0))
                index.append({"file": name, "sha256": hashlib.sha256(data).hexdigest(), "places": places})
                weight_map |= {n: name for n in state}
            described = {"files": index}
            if len(parts) > 1:
                described["index"] = {"metadata": {"total_size": sum(t.nbytes for t in tensors.values())}, "weight_map": weight_map}
            text = json.dumps(described).replace('], ["', '],\n["').replace('"places"', '\n"places"').replace('"weight_map"', '\n"weight_map"')
            (out / "files.json").write_text(text + "\n")


if __name__ == "__main__":
    torch.manual_seed(0)
    for d in (PICKLES, FILES):
        d.mkdir(parents=True, exist_ok=True)
    pickles()
    files()
    models()
