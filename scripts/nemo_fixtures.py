#!/usr/bin/env python3
"""Writes tiny checkpoints in NeMo's and Megatron's forms, with the real writers.

    python scripts/nemo_fixtures.py [NAME ...]        default: all

Each takes the weights of a checkpoint in internal/testmodel/testdata/models (so
that exporting both must give the same bytes), puts them under Megatron's names
and lets torch, megatron-core 0.7.0 (zarr), megatron-core 0.14.0 (torch_dist) or
torch.distributed.checkpoint write them. Output: internal/testmodel/testdata/nemo,
tar archives as NeMo packs them (Python's tarfile, one recursive add as "."); a
checkpoint that is a directory in real life is a tar too, for Go to unpack.

Needs: torch 2.9.1, safetensors, psutil, pyyaml, zarr 2.18.7, numcodecs,
tensorstore 0.1.45, ml_dtypes < 0.5, numpy 1.26, and the two releases of megatron-core unpacked side by side:
    pip install --no-deps --target $MCORE/0.7.0 megatron-core==0.7.0
    pip install --no-deps --target $MCORE/0.14.0 megatron-core==0.14.0
"""
import argparse
import gzip
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections import OrderedDict
from pathlib import Path

import torch
import yaml
from safetensors.torch import load_file

ROOT = Path(__file__).resolve().parent.parent
TESTDATA = ROOT / "internal/testmodel/testdata"
MCORE = Path(os.environ.get("MCORE", "/opt/megatron-core"))

# name of the fixture: model, form, ranks (tensor, pipeline)
FIXTURES = {
    "nemotron.zarr": ("nemotron", "zarr", 1, 1),
    "nemotron-f32.zarr-tp2": ("nemotron-f32", "zarr", 2, 1),
    "nemotron.torch-dist": ("nemotron", "torch_dist", 1, 1),
    "nemotron.ckpt": ("nemotron", "ckpt", 1, 1),
    "nemotron-f32.ckpt-legacy": ("nemotron-f32", "ckpt-legacy", 1, 1),
    "nemotron-f32.names-tp2": ("nemotron-f32", "ckpt-names", 2, 1),
    "nemotron-f32.tp2-pp2": ("nemotron-f32", "ckpt", 2, 2),
    "nemotron-f32.nemo2": ("nemotron-f32", "nemo2", 1, 1),
    "nemotron-f32.mcore": ("nemotron-f32", "mcore", 1, 1),
    "nemotron-f32.dcp": ("nemotron-f32", "dcp", 1, 1),
    "nemotron-f32.gzip": ("nemotron-f32", "ckpt-gzip", 1, 1),
    "llama-tied-llama3.ckpt": ("llama-tied-llama3", "ckpt", 1, 1),
    "llama-f16.zarr-tp2": ("llama-f16", "zarr", 2, 1),
    "llama-f16.torch-dist": ("llama-f16", "torch_dist", 2, 1),
    "llama-f16.names-tp2": ("llama-f16", "ckpt-names", 2, 1),
    "llama-f16.tp2": ("llama-f16", "ckpt", 2, 1),
    "llama-bias.zarr-tp2": ("llama-bias", "zarr", 2, 1),
    "llama-bias.torch-dist": ("llama-bias", "torch_dist", 2, 1),
    "llama-bias.tp2": ("llama-bias", "ckpt", 2, 1),
    "llama-tied-llama3.names-pp3": ("llama-tied-llama3", "ckpt-names", 1, 3),
    "llama-f16.singleton": ("llama-f16", "singleton", 2, 1),
    "llama-f16.hf-dcp": ("llama-f16", "hf-dcp", 1, 1),
    "mistral-headdim.nemo2": ("mistral-headdim", "nemo2", 1, 1),
}


class Source:
    """A Hugging Face checkpoint under Megatron-core's names, layer by layer."""

    def __init__(self, name):
        directory = TESTDATA / "models" / name
        self.config = json.loads((directory / "config.json").read_text())
        self.hf = {}
        for f in sorted(directory.glob("*.safetensors")):
            self.hf.update(load_file(f))
        c = self.config
        self.kind = c["model_type"]
        self.layers = c["num_hidden_layers"]
        self.heads, self.groups = c["num_attention_heads"], c["num_key_value_heads"]
        self.head = c.get("head_dim") or c["hidden_size"] // self.heads
        self.gated = self.kind != "nemotron"
        self.tied = c["tie_word_embeddings"]
        self.bias = c.get("mlp_bias", False)  # and then attention_bias too

    def qkv(self, layer, kind="weight"):
        q, k, v = (self.hf[f"model.layers.{layer}.self_attn.{x}_proj.{kind}"] for x in "qkv")
        q = q.view(self.groups, self.heads // self.groups, self.head, -1)
        k, v = (x.view(self.groups, 1, self.head, -1) for x in (k, v))
        rows = torch.cat([q, k, v], dim=1).reshape((self.heads + 2 * self.groups) * self.head, -1)
        return rows.contiguous()

    def layer(self, i):
        hf, at = self.hf, f"model.layers.{i}."
        out = OrderedDict()
        out["self_attention.linear_proj.weight"] = hf[at + "self_attn.o_proj.weight"]
        out["self_attention.linear_qkv.layer_norm_weight"] = hf[at + "input_layernorm.weight"]
        if self.kind == "nemotron":
            out["self_attention.linear_qkv.layer_norm_bias"] = hf[at + "input_layernorm.bias"]
        out["self_attention.linear_qkv.weight"] = self.qkv(i)
        out["mlp.linear_fc1.layer_norm_weight"] = hf[at + "post_attention_layernorm.weight"]
        if self.kind == "nemotron":
            out["mlp.linear_fc1.layer_norm_bias"] = hf[at + "post_attention_layernorm.bias"]
            out["mlp.linear_fc1.weight"] = hf[at + "mlp.up_proj.weight"]
        else:
            out["mlp.linear_fc1.weight"] = torch.cat([hf[at + "mlp.gate_proj.weight"], hf[at + "mlp.up_proj.weight"]])
        out["mlp.linear_fc2.weight"] = hf[at + "mlp.down_proj.weight"]
        if self.bias:
            out["self_attention.linear_qkv.bias"] = self.qkv(i, "bias").reshape(-1)
            out["self_attention.linear_proj.bias"] = hf[at + "self_attn.o_proj.bias"]
            out["mlp.linear_fc1.bias"] = torch.cat([hf[at + "mlp.gate_proj.bias"], hf[at + "mlp.up_proj.bias"]])
            out["mlp.linear_fc2.bias"] = hf[at + "mlp.down_proj.bias"]
        return out

    def ends(self):
        out = OrderedDict({"embedding.word_embeddings.weight": self.hf["model.embed_tokens.weight"]})
        out["decoder.final_layernorm.weight"] = self.hf["model.norm.weight"]
        if self.kind == "nemotron":
            out["decoder.final_layernorm.bias"] = self.hf["model.norm.bias"]
        if not self.tied:
            out["output_layer.weight"] = self.hf["lm_head.weight"]
        return out

    def split(self, name, tensor, rank, ranks):
        """One tensor-parallel rank's part, as Megatron divides it."""
        if name.endswith(("word_embeddings.weight", "output_layer.weight", "linear_qkv.weight", "linear_qkv.bias")):
            return tensor.chunk(ranks, 0)[rank].clone()
        if name.endswith(("linear_fc1.weight", "linear_fc1.bias")):
            halves = tensor.chunk(2 if self.gated else 1, 0)
            return torch.cat([h.chunk(ranks, 0)[rank] for h in halves]).clone()
        if name.endswith(("linear_proj.weight", "linear_fc2.weight")):
            return tensor.chunk(ranks, 1)[rank].clone()
        return tensor.clone()

    def nemo1(self, mcore, tp, pp):
        """model_config.yaml, with an interpolation as hand-written files have it."""
        c, rope = self.config, self.config["rope_parameters"]
        out = dict(
            mcore_gpt=mcore, megatron_amp_O2=False, micro_batch_size=4, global_batch_size=8, tensor_model_parallel_size=tp,
            pipeline_model_parallel_size=pp, encoder_seq_length=c["max_position_embeddings"],
            max_position_embeddings="${.encoder_seq_length}", num_layers=self.layers, hidden_size=c["hidden_size"],
            ffn_hidden_size=c["intermediate_size"], num_attention_heads=self.heads, num_query_groups=self.groups,
            kv_channels=self.head, init_method_std=0.01, hidden_dropout=0.0, attention_dropout=0.0,
            normalization="layernorm1p" if self.kind == "nemotron" else "rmsnorm",
            layernorm_epsilon=c.get("norm_eps", c.get("rms_norm_eps")), make_vocab_size_divisible_by=1, bias=self.bias,
            activation="squared-relu" if self.kind == "nemotron" else "fast-swiglu", transformer_block_type="pre_ln",
            position_embedding_type="rope", rotary_percentage=rope.get("partial_rotary_factor", 1.0), rotary_base=rope["rope_theta"],
            share_embeddings_and_output_weights=self.tied, precision={"bfloat16": "bf16", "float16": 16, "float32": 32}[c["dtype"]],
            tokenizer=dict(library="megatron", type="GPT2BPETokenizer", model=None, vocab_file=None, merge_file=None),
            target="nemo.collections.nlp.models.language_modeling.megatron_gpt_model.MegatronGPTModel", nemo_version="2.0.0rc0",
        )
        if rope["rope_type"] == "llama3":
            out["scale_positional_embedding"] = True
        return out

    def nemo2(self):
        """context/model.yaml."""
        c, rope = self.config, self.config["rope_parameters"]
        nemotron = self.kind == "nemotron"
        function = "nemo.collections.llm.fn.activation.squared_relu" if nemotron else "torch.nn.functional.silu"
        family = {"nemotron": "nemotron.Nemotron", "llama": "llama.Llama", "mistral": "mistral.Mistral"}[self.kind]
        config = dict(
            _target_=f"nemo.collections.llm.gpt.model.{family}Config", num_layers=self.layers, hidden_size=c["hidden_size"],
            num_attention_heads=self.heads, num_query_groups=self.groups, ffn_hidden_size=c["intermediate_size"],
            kv_channels=self.head, seq_length=c["max_position_embeddings"], add_bias_linear=False, add_qkv_bias=False,
            gated_linear_unit=self.gated, activation_func=dict(_target_=function, _call_=False),
            normalization="LayerNorm" if nemotron else "RMSNorm", layernorm_zero_centered_gamma=nemotron,
            layernorm_epsilon=c.get("norm_eps", c.get("rms_norm_eps")), position_embedding_type="rope",
            rotary_percent=rope.get("partial_rotary_factor", 1.0), rotary_base=rope["rope_theta"],
            share_embeddings_and_output_weights=self.tied, params_dtype=dict(_target_="torch." + c["dtype"], _call_=False),
            make_vocab_size_divisible_by=1,
        )
        if c.get("sliding_window"):
            config["window_size"] = [c["sliding_window"], 0]
        return dict(_target_=f"nemo.collections.llm.gpt.model.{family}Model", config=config,
                    tokenizer=dict(_target_="nemo.collections.common.tokenizers.huggingface.auto_tokenizer.AutoTokenizer",
                                   pretrained_model_name=dict(_target_="builtins.str", attr="nvidia/tiny")))


LEGACY = [
    ("decoder.final_layernorm", "encoder.final_layernorm"), ("decoder.layers", "encoder.layers"),
    ("self_attention.linear_qkv.layer_norm_", "input_layernorm."), ("mlp.linear_fc1.layer_norm_", "post_attention_layernorm."),
    ("self_attention.linear_qkv", "self_attention.query_key_value"), ("self_attention.linear_proj", "self_attention.dense"),
    ("mlp.linear_fc1", "mlp.dense_h_to_4h"), ("mlp.linear_fc2", "mlp.dense_4h_to_h"),
]


def legacy(name):
    for new, old in LEGACY:
        name = name.replace(new, old)
    return "language_model." + name


def rank_states(source, form, tp, pp):
    """The state dict of each model-parallel rank, keyed by its directory ("" alone)."""
    per_stage = source.layers // pp
    for p in range(pp):
        for t in range(tp):
            state = OrderedDict()
            ends = source.ends()
            if p == 0:
                state["embedding.word_embeddings.weight"] = ends.pop("embedding.word_embeddings.weight")
            for i in range(per_stage):
                for name, v in source.layer(p * per_stage + i).items():
                    state[f"decoder.layers.{i}.{name}"] = v
                    if name.endswith("linear_qkv.weight"):
                        state[f"decoder.layers.{i}.self_attention.linear_qkv._extra_state"] = torch.zeros(0, dtype=torch.uint8)
            if p == pp - 1:
                state.update((k, v) for k, v in ends.items() if k != "embedding.word_embeddings.weight")
                if source.tied and p > 0:  # the last stage has a copy
                    state["word_embeddings.weight" if form == "ckpt-names" else "output_layer.weight"] = source.hf["model.embed_tokens.weight"]
            state = OrderedDict((k, source.split(k, v, t, tp) if "_extra" not in k else v) for k, v in state.items())
            if form == "ckpt-names":
                state = OrderedDict((k if k == "word_embeddings.weight" else legacy(k), v) for k, v in state.items() if "_extra" not in k)
                state["language_model.rotary_pos_emb.inv_freq"] = torch.ones(4)
            directory = "" if tp * pp == 1 else f"mp_rank_{t:02d}" if pp == 1 else f"tp_rank_{t:02d}_pp_rank_{p:03d}"
            yield directory, OrderedDict(("model." + k, v) for k, v in state.items())


def write_ckpt(source, form, tp, pp, directory):
    for sub, state in rank_states(source, form, tp, pp):
        (directory / sub).mkdir(exist_ok=True)
        torch.save(state, directory / sub / "model_weights.ckpt", _use_new_zipfile_serialization=form != "ckpt-legacy")
    text = yaml.safe_dump(source.nemo1(form != "ckpt-names", tp, pp), sort_keys=False)
    (directory / "model_config.yaml").write_text(text)


# --- distributed checkpoints: run in processes of their own, each with its megatron-core ---

def sharded(source, prefix, rank, ranks, form):
    from megatron.core.dist_checkpointing import ShardedTensor

    def tensor(key, whole, prepended):
        local = source.split(key, whole, rank, ranks) if ranks > 1 else whole
        offsets = []
        if ranks > 1 and local.shape != whole.shape:
            axis = 0 if local.shape[0] != whole.shape[0] else 1
            offsets = [(axis + len(prepended), rank, ranks)]
        replica = rank if ranks > 1 and local.shape == whole.shape else 0
        return ShardedTensor.from_rank_offsets(prefix + key, local, *prepended, *offsets, replica_id=replica, prepend_axis_num=len(prepended))

    state = {k: tensor(k, v, []) for k, v in source.ends().items()}
    for i in range(source.layers):
        for name, v in source.layer(i).items():
            key, at = "decoder.layers." + name, [(0, i, source.layers)]
            if form == "singleton":
                key, at = f"decoder.layers.{i}.{name}", []
            # The halves are divided one by one (mcore, mlp.py); of a bias not before 0.8, which wrote zarr.
            if source.gated and (name == "mlp.linear_fc1.weight" or name == "mlp.linear_fc1.bias" and form != "zarr"):
                for h, half in enumerate(v.chunk(2, 0)):
                    local = half.chunk(ranks, 0)[rank].clone()
                    suffix, part = ("", (len(at), h * ranks + rank, 2 * ranks))
                    if form == "singleton":
                        suffix, part = ("_w", "_v")[h], (len(at), rank, ranks)
                    state[f"{i}.{name}.{h}"] = ShardedTensor.from_rank_offsets(
                        prefix + key + suffix, local, *at, part, replica_id=0, prepend_axis_num=len(at))
            else:
                state[f"{i}.{name}"] = tensor(key, v, at)
    return state


def save_distributed(fixture, directory, rank):
    model, form, tp, _ = FIXTURES[fixture]
    source = Source(model)
    torch.distributed.init_process_group("gloo", rank=rank, world_size=tp, init_method=f"file://{directory}.rendezvous")
    if form in ("dcp", "hf-dcp"):
        import torch.distributed.checkpoint as dcp
        state = dict(source.hf)
        if form == "dcp":
            state = dict(source.ends())
            for i in range(source.layers):
                state.update({f"decoder.layers.{i}.{k}": v for k, v in source.layer(i).items()})
        dcp.save(state, checkpoint_id=str(directory), no_dist=True)
        return
    from megatron.core import dist_checkpointing
    prefix = {"zarr": "model.", "torch_dist": "model.", "singleton": "model.", "nemo2": "module.", "mcore": ""}[form]
    # The writers wait for a GPU's copies and put their flags there; there is none.
    torch.cuda.synchronize = lambda *_: None
    torch.cuda.current_device = lambda: "cpu"
    if form == "zarr":
        strategy = ("zarr", 1)
    else:
        from megatron.core.dist_checkpointing.strategies.torch import TorchDistSaveShardedStrategy
        strategy = TorchDistSaveShardedStrategy("torch_dist", 1)
    dist_checkpointing.save(sharded(source, prefix, rank, tp, form), str(directory), strategy)
    torch.distributed.barrier()


def write_distributed(fixture, directory):
    directory.mkdir(parents=True)
    _, form, tp, _ = FIXTURES[fixture]
    version = "0.7.0" if form == "zarr" else "0.14.0"
    env = {**os.environ, "PYTHONPATH": str(MCORE / version), "CUDA_VISIBLE_DEVICES": ""}
    ranks = [subprocess.Popen([sys.executable, __file__, "--save", fixture, str(directory), str(r)], env=env) for r in range(tp)]
    assert all(r.wait() == 0 for r in ranks), fixture
    Path(f"{directory}.rendezvous").unlink(missing_ok=True)


def write(fixture, directory):
    model, form, tp, pp = FIXTURES[fixture]
    source = Source(model)
    if form.startswith("ckpt"):
        write_ckpt(source, form, tp, pp, directory)
    elif form == "nemo2":
        write_distributed(fixture, directory / "weights")
        (directory / "context").mkdir()
        (directory / "context/model.yaml").write_text(yaml.safe_dump(source.nemo2()))
    elif form in ("mcore", "dcp", "hf-dcp"):
        write_distributed(fixture, directory / "iter")
        if form != "hf-dcp":
            (directory / "model_config.yaml").write_text(yaml.safe_dump(source.nemo1(True, tp, pp)))
    else:
        write_distributed(fixture, directory / "model_weights")
        (directory / "model_config.yaml").write_text(yaml.safe_dump(source.nemo1(True, tp, pp)))


def plain(member):
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mtime = 1700000000.5  # a fraction, as real ones have: it forces a PAX header
    return member


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--save", nargs=3, metavar=("FIXTURE", "DIRECTORY", "RANK"))
    parser.add_argument("names", nargs="*")
    args = parser.parse_args()
    if args.save:
        save_distributed(args.save[0], Path(args.save[1]), int(args.save[2]))
        return
    out = TESTDATA / "nemo"
    out.mkdir(exist_ok=True)
    for fixture in args.names or FIXTURES:
        with tempfile.TemporaryDirectory() as tmp:
            directory = Path(tmp) / "checkpoint"
            directory.mkdir()
            write(fixture, directory)
            path = out / (fixture + ".tar")
            with tarfile.open(path, "w:") as tar:
                tar.add(directory, arcname=".", filter=plain)
            if FIXTURES[fixture][1] == "ckpt-gzip":
                with open(path, "rb") as f, open(out / (fixture + ".tar.gz"), "wb") as g, gzip.GzipFile("", "wb", mtime=0, fileobj=g) as z:
                    shutil.copyfileobj(f, z)
                path.unlink()
                path = out / (fixture + ".tar.gz")
            print(path.name, path.stat().st_size)


if __name__ == "__main__":
    main()
