#!/usr/bin/env python3
"""Writes small distributed checkpoints and tar archives with the real writers.

    python scripts/distributed_fixtures.py [NAME ...]        default: all

Outputs are tar archives as NeMo packs them (Python's tarfile, one recursive add as
"."), for Go to read in place and unpacked:
    internal/zarr/testdata      megatron-core 0.7.0, one and two processes
    internal/distcp/testdata    megatron-core 0.14.0 and torch.distributed.checkpoint
    internal/filetree/testdata  GNU tar: its own format, ustar, links, a sparse file
Element i of a tensor, counted in row-major order, is i % 251, in 8-bit floats
i % 9 and in booleans i % 2 != 0. All are exact in every dtype used.

Needs: torch 2.9.1, zarr 2.18.7, numcodecs, tensorstore 0.1.45, ml_dtypes < 0.5,
numpy 1.26, GNU tar, and two releases of megatron-core unpacked side by side:
    pip install --no-deps --target $MCORE/0.7.0 megatron-core==0.7.0
    pip install --no-deps --target $MCORE/0.14.0 megatron-core==0.14.0
"""
import argparse
import io
import math
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parent.parent
MCORE = Path(os.environ.get("MCORE", "/opt/megatron-core"))

# name: package, writer, processes
DISTRIBUTED = {
    "zarr": ("zarr", "mcore-zarr", 1),
    "zarr-tp2": ("zarr", "mcore-zarr", 2),
    "zarr-own": ("zarr", "zarr", 1),
    "torch-dist": ("distcp", "mcore-torch-dist", 1),
    "torch-dist-tp2": ("distcp", "mcore-torch-dist-plans", 2),
    "torch-dist-flat": ("distcp", "mcore-flat-plans", 2),
    "dcp": ("distcp", "dcp", 1),
    "dcp-dtensor": ("distcp", "dcp-dtensor", 2),
    "dcp-transformed": ("distcp", "dcp-transformed", 1),
}
LAYERS, HIDDEN, FFN, VOCAB = 3, 8, 12, 10


def counted(*shape, dtype=torch.bfloat16):
    n = torch.arange(math.prod(shape), dtype=torch.int64).reshape(shape)
    if dtype is torch.bool:
        return n % 2 != 0
    return (n % (9 if dtype.itemsize == 1 and dtype.is_floating_point else 251)).to(dtype)


def mcore_state(rank, ranks):
    """A GPT's weights: stacked layers, divided along each axis as Megatron does."""
    from megatron.core.dist_checkpointing import ShardedTensor
    from megatron.core.dist_checkpointing.mapping import ShardedObject

    state = {}

    def tensor(key, whole, axis=None, layered=True, fragments=1, dtype=torch.bfloat16):
        whole = counted(*((LAYERS,) if layered else ()), *whole, dtype=dtype)
        for layer in range(LAYERS if layered else 1):
            local = whole[layer] if layered else whole
            at = [(0, layer, LAYERS)] if layered else []
            for f in range(fragments):
                part, offsets, replica = local, list(at), rank
                if axis is not None:
                    index = f * ranks + rank
                    part = local.chunk(fragments * ranks, axis)[index].clone()
                    offsets.append((axis + len(at), index, fragments * ranks))
                    replica = 0
                state[f"{key}/{layer}/{f}"] = ShardedTensor.from_rank_offsets(
                    "model." + key, part, *offsets, replica_id=replica, prepend_axis_num=len(at))

    tensor("embedding.word_embeddings.weight", (VOCAB, HIDDEN), axis=0, layered=False)
    tensor("decoder.layers.self_attention.linear_qkv.layer_norm_weight", (HIDDEN,))
    tensor("decoder.layers.mlp.linear_fc1.weight", (2 * FFN, HIDDEN), axis=0, fragments=2)
    tensor("decoder.layers.mlp.linear_fc2.weight", (HIDDEN, FFN), axis=1)
    tensor("decoder.final_layernorm.weight", (HIDDEN,), layered=False, dtype=torch.float32)
    tensor("decoder.half.weight", (4, 6), axis=1, layered=False, dtype=torch.float16)
    for layer in range(LAYERS):
        state[f"extra/{layer}"] = ShardedObject(
            "model.decoder.layers.mlp.linear_fc1._extra_state", io.BytesIO(b"state"), (LAYERS,), (layer,), replica_id=rank)
    return state


def flat_state(rank, ranks):
    """A distributed optimizer's moments: each process has a slice of the flat tensor."""
    from megatron.core.dist_checkpointing import ShardedTensor

    whole = counted(LAYERS, HIDDEN, FFN, dtype=torch.float32)
    state = {}
    for layer in range(LAYERS):
        part = whole[layer].flatten()
        half = slice(rank * len(part) // ranks, (rank + 1) * len(part) // ranks)
        state[f"moment/{layer}"] = ShardedTensor.from_rank_offsets_flat(
            "optimizer.state.exp_avg.decoder.layers.mlp.linear_fc2.weight", part[half].clone(), (HIDDEN, FFN),
            (0, layer, LAYERS), flattened_range=half, prepend_axis_num=1)
        weight = counted(LAYERS, HIDDEN)[layer]
        state[f"weight/{layer}"] = ShardedTensor.from_rank_offsets(
            "decoder.layers.norm.weight", weight, (0, layer, LAYERS), replica_id=rank, prepend_axis_num=1)
    return state


def dcp_state():
    whole = counted(6, 10)
    dtypes = {str(d).removeprefix("torch."): d for d in (
        torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16, torch.int8,
        torch.uint8, torch.bool, torch.float8_e4m3fn, torch.float8_e5m2, torch.complex128)}
    state = {"dtypes": {name: counted(3, 5, dtype=d) for name, d in dtypes.items()}}
    state["scalar"] = torch.tensor(0.0)
    state["empty"] = torch.zeros(0, 4)
    state["transposed"] = counted(4, 6).t().contiguous().t()  # its values are counted, its strides are not
    state["part"] = counted(8, 10).narrow(0, 0, 3)
    state["tied"] = [whole, whole]
    state["step"] = 17
    state["arguments"] = {"name": "tiny", "parts": (1, 2)}
    return state


def dtensor_state(ranks):
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import Replicate, Shard, distribute_tensor

    mesh = init_device_mesh("cpu", (ranks,))
    return {
        "rows": distribute_tensor(counted(7, 6), mesh, [Shard(0)]),  # 4 and 3
        "columns": distribute_tensor(counted(6, 8), mesh, [Shard(1)]),
        "one": distribute_tensor(counted(1, 6), mesh, [Shard(0)]),  # all in the first process
        "replicated": distribute_tensor(counted(5, dtype=torch.float32), mesh, [Replicate()]),
    }


class Reversed:
    """A transform that torch records as a descriptor, as it does compression."""

    @staticmethod
    def make():
        from torch.distributed.checkpoint._extension import StreamTransformExtension

        class Extension(StreamTransformExtension):
            @staticmethod
            def from_descriptor(version):
                return Extension()

            @staticmethod
            def registry_name():
                return "stream.none"

            def get_descriptor(self):
                return "stream.none/1"

            def transform_to(self, output):
                return output

            def transform_from(self, input):
                return input

        return Extension()


def own_zarr(directory):
    """What zarr itself writes: whole chunks at the edge, other dtypes, and what is refused."""
    import zarr

    for name, shape, chunks, dtype, more in [
        ("edge", (5, 7), (2, 3), "<f4", {}), ("nested", (4, 6), (2, 6), "<i8", {"dimension_separator": "/"}),
        ("scalar", (), (), "<f8", {}), ("bytes", (6,), (4,), "|u1", {}), ("flags", (6,), (4,), "|b1", {}),
        ("void", (4, 3), (2, 3), "V2", {}), ("big", (4,), (2,), ">f4", {}), ("fortran", (4, 4), (2, 2), "<f4", {"order": "F"}),
        ("compressed", (4,), (2,), "<f4", {"compressor": zarr.Blosc()}), ("filtered", (4,), (2,), "<i4", {"filters": [zarr.Delta("<i4")]}),
    ]:
        array = zarr.open_array(str(directory / name), mode="w", shape=shape, chunks=chunks, dtype=dtype, fill_value=None,
                                zarr_version=2, **{"compressor": None, **more})
        if dtype == "V2":
            array[...] = counted(*shape, dtype=torch.bfloat16).view(torch.int16).numpy().view("V2")
        else:
            array[...] = counted(*shape, dtype=torch.bool if dtype == "|b1" else torch.int64).numpy().astype(dtype)


def keep_plans():
    """Makes torch leave Megatron's own attributes in .metadata, as it did before 2.9."""
    import dataclasses
    import types

    from torch.distributed.checkpoint import filesystem

    def replace(metadata, **changes):
        vars(metadata).update(changes)
        return metadata

    filesystem.dataclasses = types.SimpleNamespace(**{**vars(dataclasses), "replace": replace})


def save(fixture, directory, rank):
    _, form, ranks = DISTRIBUTED[fixture]
    rendezvous = f"file://{os.path.abspath(directory)}.rendezvous"
    if form == "zarr":
        own_zarr(Path(directory))
        return
    torch.distributed.init_process_group("gloo", rank=rank, world_size=ranks, init_method=rendezvous)
    if form.startswith("dcp"):
        import torch.distributed.checkpoint as dcp
        from torch.distributed.checkpoint import FileSystemWriter

        if form == "dcp-transformed":
            writer = FileSystemWriter(directory, _extensions=[Reversed.make()])
            dcp.save({"weight": counted(3, 4)}, storage_writer=writer)
        else:
            dcp.save(dcp_state() if form == "dcp" else dtensor_state(ranks), checkpoint_id=directory)
        return
    from megatron.core import dist_checkpointing

    torch.cuda.synchronize = lambda *_: None  # the writers wait for a GPU's copies; there is none
    torch.cuda.current_device = lambda: torch.device("cpu")
    if form == "mcore-zarr":
        strategy = ("zarr", 1)
    else:
        from megatron.core.dist_checkpointing.strategies.torch import TorchDistSaveShardedStrategy
        strategy = TorchDistSaveShardedStrategy("torch_dist", 1)
    if form.endswith("plans"):
        keep_plans()
    state = flat_state(rank, ranks) if "flat" in form else mcore_state(rank, ranks)
    dist_checkpointing.save(state, directory, strategy)
    torch.distributed.barrier()


def write_distributed(fixture):
    package, form, ranks = DISTRIBUTED[fixture]
    with tempfile.TemporaryDirectory() as tmp:
        directory = Path(tmp) / "checkpoint"
        directory.mkdir()
        env = {**os.environ, "PYTHONPATH": str(MCORE / ("0.7.0" if "zarr" in form else "0.14.0")), "CUDA_VISIBLE_DEVICES": ""}
        # The name is relative, because torch keeps it in .metadata.
        command = [sys.executable, os.path.abspath(__file__), "--save", fixture, directory.name]
        processes = [subprocess.Popen([*command, str(r)], env=env, cwd=tmp) for r in range(ranks)]
        assert all([p.wait() == 0 for p in processes]), fixture
        out = ROOT / "internal" / package / "testdata" / f"{fixture}.tar"
        out.parent.mkdir(exist_ok=True)
        with tarfile.open(out, "w:") as tar:
            tar.add(directory, arcname=".", filter=plain)
        print(out.relative_to(ROOT), out.stat().st_size)


def plain(member):
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mtime = 1700000000.5  # a fraction, as real ones have: it forces a PAX header
    return member


def write_archives():
    """Archives of GNU tar, of the same files."""
    out = ROOT / "internal/filetree/testdata"
    out.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as tmp:
        tree = Path(tmp) / "tree"
        deep = tree / ("d" * 60) / ("e" * 60)
        deep.mkdir(parents=True)
        (deep / "long").write_text("a name of more than a hundred characters\n")
        (tree / "a").mkdir()
        (tree / "a/b").write_text("b\n")
        (tree / "a.c").write_bytes(bytes(range(256)) * 3)
        (tree / "empty").touch()
        plain = ["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--mtime=@1700000000"]

        def tar(name, *options):
            subprocess.run(["tar", "-C", tree, *plain, *options, "-cf", out / name, "."], check=True)
            print((out / name).relative_to(ROOT), (out / name).stat().st_size)

        tar("gnu.tar", "--format=gnu")
        tar("ustar.tar", "--format=ustar")
        tar("pax.tar", "--format=pax")
        tar("v7.tar", "--format=v7", f"--exclude={'d' * 60}")
        os.link(tree / "a/b", tree / "hard")
        os.symlink("a/b", tree / "soft")
        os.symlink("../soft", tree / "a/chained")
        os.symlink("../../outside", tree / "a/outside")
        os.symlink("/etc/hostname", tree / "absolute")
        os.symlink("a", tree / "folder")
        os.mkfifo(tree / "pipe")
        tar("links.tar", "--format=gnu")
        for name in ("hard", "soft", "a/chained", "a/outside", "absolute", "folder", "pipe"):
            (tree / name).unlink()
        with open(tree / "holes", "wb") as f:
            f.truncate(1 << 20)
            f.seek(1 << 19)
            f.write(b"data")
        tar("sparse-gnu.tar", "--format=gnu", "--sparse")
        for version in ("0.0", "0.1", "1.0"):
            tar(f"sparse-pax-{version}.tar", "--format=pax", "--sparse", f"--sparse-version={version}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--save", nargs=3, metavar=("FIXTURE", "DIRECTORY", "RANK"))
    parser.add_argument("names", nargs="*", help=f"of {', '.join(DISTRIBUTED)} and archives")
    args = parser.parse_args()
    if args.save:
        save(args.save[0], args.save[1], int(args.save[2]))
        return
    for name in args.names or [*DISTRIBUTED, "archives"]:
        write_archives() if name == "archives" else write_distributed(name)


if __name__ == "__main__":
    main()
