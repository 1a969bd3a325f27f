#!/usr/bin/env python3
"""Quantised forms of two tiny models, and what must come of them.

    python scripts/quantised_goldens.py

torch quantises nemotron and llama-gqa of internal/testmodel by the published
rules: FP8 as AutoFP8 and compressed-tensors write it (E4M3 weights, one scale for
each tensor), 8 and 4 bits as trtllm-build does at load (symmetric_quantize), and
4 bits in groups as ModelOpt's AWQ lays them out. Then it computes, in float32 and
without transformers, the logits of each quantised network. Written:

    internal/floatformat/testdata/e4m3.bin
                      256 float32: the value of each code; then pairs of a float32
                      and the code that torch rounds it to, clamped to ±448
    internal/testmodel/testdata/quantised/
      NAME.fp8/       Hugging Face directory
      llama-gqa.awq/  TensorRT-LLM checkpoint
      nemotron.fp8_kv.*  of nemotron.fp8 with an FP8 cache
      NAME.FORM.json  what export must write (tensors of every rank file, as in
                      checkpoint_listing.py), how far the quantised logits are from
                      the unquantised ones; NAME.FORM.logits are the former

Only the division among ranks comes from another script (checkpoint_listing.py).
"""
import hashlib
import json
import shutil
import struct
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

import checkpoint_listing as layout

ROOT = Path(__file__).resolve().parent.parent
TESTDATA = ROOT / "internal/testmodel/testdata"
OUT = TESTDATA / "quantised"
E4M3 = torch.float8_e4m3fn
GROUP = 4  # of AWQ: small, so that two ranks have whole groups
PROMPTS = 3  # of the model's golden

LINEARS = {"self_attn": ("q_proj", "k_proj", "v_proj", "o_proj"), "mlp": ("gate_proj", "up_proj", "down_proj")}


def e4m3(x):
    return x.clamp(-448, 448).to(E4M3)


def bf16(x):
    return x.to(torch.bfloat16).float()


class Model:
    """A decoder in float32. `linear(name, weight, x)` computes each linear but the head."""

    def __init__(self, name):
        self.name = name
        directory = TESTDATA / "models" / name
        self.config = json.loads((directory / "config.json").read_text())
        self.stored = load_file(directory / "model.safetensors")
        self.tensors = {n: t.float() for n, t in self.stored.items()}
        self.nemotron = self.config["model_type"] == "nemotron"
        golden = json.loads((TESTDATA / f"goldens/{name}.json").read_text())
        self.prompts = golden["prompts"][:PROMPTS]
        self.kept = lambda layer, x: x  # what a cache gives back
        logits = np.fromfile(TESTDATA / f"goldens/{name}.logits", "<f4").reshape(-1, self.config["vocab_size"])
        self.golden = torch.from_numpy(logits[:sum(map(len, self.prompts))].copy())

    def linears(self):
        for layer in range(self.config["num_hidden_layers"]):
            for block, names in LINEARS.items():
                for n in names:
                    name = f"model.layers.{layer}.{block}.{n}"
                    if name + ".weight" in self.tensors:
                        yield name

    def norm(self, name, x):
        w = self.tensors[name + ".weight"]
        if not self.nemotron:
            return x / (x.pow(2).mean(-1, keepdim=True) + self.config["rms_norm_eps"]).sqrt() * w
        x = x - x.mean(-1, keepdim=True)
        x = x / (x.pow(2).mean(-1, keepdim=True) + self.config["norm_eps"]).sqrt()
        return x * (w + 1) + self.tensors[name + ".bias"]

    def rotate(self, x):
        rope = self.config["rope_parameters"]
        dim = int(x.shape[-1] * rope.get("partial_rotary_factor", 1))
        frequency = rope["rope_theta"] ** -(torch.arange(0, dim, 2).float() / dim)
        angle = torch.arange(x.shape[1])[:, None] * frequency
        c, s = angle.cos(), angle.sin()
        a, b, rest = x[..., :dim // 2], x[..., dim // 2:dim], x[..., dim:]
        return torch.cat([a * c - b * s, b * c + a * s, rest], -1)

    def attention(self, layer, q, k, v):
        c, n = self.config, len(q)
        heads = lambda t, count: t.view(n, count, c["head_dim"]).transpose(0, 1)
        q, k = self.rotate(heads(q, c["num_attention_heads"])), self.rotate(heads(k, c["num_key_value_heads"]))
        group = c["num_attention_heads"] // c["num_key_value_heads"]
        k, v = (self.kept(layer, t).repeat_interleave(group, 0) for t in (k, heads(v, c["num_key_value_heads"])))
        scores = q @ k.transpose(1, 2) / c["head_dim"] ** 0.5
        scores = scores + torch.full((n, n), -torch.inf).triu(1)
        return (scores.softmax(-1) @ v).transpose(0, 1).reshape(n, -1)

    @torch.no_grad()
    def forward(self, ids, linear):
        t = self.tensors
        run = lambda name, x: linear(name, t[name + ".weight"], x)
        x = t["model.embed_tokens.weight"][ids]
        for layer in range(self.config["num_hidden_layers"]):
            p = f"model.layers.{layer}."
            y = self.norm(p + "input_layernorm", x)
            q, k, v = (run(p + f"self_attn.{n}_proj", y) for n in "qkv")
            x = x + run(p + "self_attn.o_proj", self.attention(layer, q, k, v))
            y = self.norm(p + "post_attention_layernorm", x)
            up = run(p + "mlp.up_proj", y)
            if self.nemotron:
                up = up.relu() ** 2
            else:
                up = torch.nn.functional.silu(run(p + "mlp.gate_proj", y)) * up
            x = x + run(p + "mlp.down_proj", up)
        return self.norm("model.norm", x) @ t["lm_head.weight"].T

    def logits(self, linear):
        return torch.cat([self.forward(torch.tensor(p), linear) for p in self.prompts])


def fused(name):
    """The linears that TensorRT-LLM computes as one, and those of one input."""
    head, last = name.rsplit(".", 1)
    if last in ("q_proj", "k_proj", "v_proj"):
        return [f"{head}.{n}_proj" for n in "qkv"]
    return [name]


def siblings(name):
    head, last = name.rsplit(".", 1)
    if last in ("gate_proj", "up_proj"):
        return [f"{head}.gate_proj", f"{head}.up_proj"]
    return fused(name)


class FP8:
    """A model's source form, and the form of one scale for q, k and v."""

    def __init__(self, m):
        self.m = m
        inputs, outputs = {}, {}

        def watch(name, weight, x):
            y = x @ weight.T
            inputs[name] = max(inputs.get(name, 0), x.abs().max().item())
            outputs[name] = max(outputs.get(name, 0), y.abs().max().item())
            return y

        reference = m.logits(watch)
        difference = (reference - m.golden).abs().max().item()
        assert difference < 1e-4, difference
        self.codes, self.scale, self.input_scale, self.kv = {}, {}, {}, {}
        for name in m.linears():
            # Scales that one input shares differ here, so that their maximum shows.
            up = 1.25 if int(name.split(".")[2]) % 2 else 0.75
            odd = {"k_proj": 1.125, "v_proj": 0.875, "up_proj": up}.get(name.rsplit(".", 1)[1], 1)
            w = m.tensors[name + ".weight"]
            self.scale[name] = (w.abs().max() / 448).float()
            self.codes[name] = e4m3(w / self.scale[name])
            self.input_scale[name] = torch.tensor(inputs[name] / 448 * odd)
        for layer in range(m.config["num_hidden_layers"]):
            p = f"model.layers.{layer}.self_attn."
            # Either may be the larger one.
            self.kv[p + "k_scale"] = torch.tensor(outputs[p + "k_proj"] / 448)
            self.kv[p + "v_scale"] = torch.tensor(outputs[p + "v_proj"] / 448 * (1 + layer % 2 * 99))

    def target(self, name):
        """Codes and scale in the checkpoint."""
        scale = max(self.scale[n] for n in fused(name))
        if self.scale[name] == scale:
            return self.codes[name], scale
        return e4m3(self.codes[name].float() * self.scale[name] / scale), scale

    def target_input(self, name):
        return max(self.input_scale[n] for n in siblings(name) if n in self.input_scale)

    def linear(self, rounded):
        def run(name, weight, x):
            codes, scale = self.target(name)
            s = self.target_input(name)
            return (e4m3(x / s).float() * s) @ rounded(codes.float() * scale).T
        return run

    def cache(self, layer, x):
        """Keys and values as an FP8 cache gives them back."""
        p = f"model.layers.{layer}.self_attn."
        scale = max(self.kv[p + "k_scale"], self.kv[p + "v_scale"])
        return e4m3(x * (1 / scale)).float() * scale

    def source(self):
        """Tensors of the Hugging Face form, and which of a model's is which."""
        tensors = dict(self.m.stored)
        for name in self.codes:
            tensors[name + ".weight"] = self.codes[name]
            tensors[name + ".weight_scale"] = self.scale[name].reshape([1] if "mlp" in name else [])
            tensors[name + ".input_scale"] = self.input_scale[name].clone()
        tensors.update(self.kv)
        return tensors

    def ranks(self, tp, pp):
        """Tensors of every rank file as (dtype, shape, bytes)."""
        facts, values = layout.hf_source(TESTDATA / "models" / self.m.name)
        for name in self.codes:
            # The codes travel through the layout as numbers.
            values[name + ".weight"] = self.target(name)[0].view(torch.uint8).numpy().astype(np.float32)
        result = []
        for rank in range(tp * pp):
            tensors = {}
            for name, w in layout.rank_tensors(facts, values, tp, pp, None, rank % tp, rank // tp).items():
                quantised = name.endswith(".weight") and (".mlp." in name or ".attention." in name)
                raw = w.astype(np.uint8).tobytes() if quantised else layout.encode(w, "bfloat16")
                tensors[name] = ("F8_E4M3" if quantised else "BF16", list(w.shape), raw)
            layers = np.array_split(np.arange(facts["layers"]), pp)[rank // tp]
            for local, layer in enumerate(layers):
                tensors.update(self.scales(f"transformer.layers.{local}.", f"model.layers.{layer}."))
            result.append(tensors)
        return result

    def scales(self, target, source):
        modules = {"attention.qkv": "self_attn.q_proj", "attention.dense": "self_attn.o_proj", "mlp.proj": "mlp.down_proj"}
        modules |= {"mlp.fc": "mlp.up_proj"} if self.m.nemotron else {"mlp.fc": "mlp.gate_proj", "mlp.gate": "mlp.up_proj"}
        scales = {}
        for module, theirs in modules.items():
            scales[f"{target}{module}.weights_scaling_factor"] = self.target(source + theirs)[1]
            scales[f"{target}{module}.activation_scaling_factor"] = self.target_input(source + theirs)
        kv = max(self.kv[source + "self_attn.k_scale"], self.kv[source + "self_attn.v_scale"])
        scales[f"{target}attention.kv_cache_scaling_factor"] = kv
        return {n: ("F32", [1], struct.pack("<f", s.item())) for n, s in scales.items()}


def weight_only(bits, rounded):
    """symmetric_quantize: half away from zero, by the float32 scale; the stored one is the model's dtype."""
    most = 2 ** (bits - 1)

    def run(name, weight, x):
        scale = weight.abs().amax(1, keepdim=True) / most
        v = torch.where(scale > 0, weight / scale, torch.zeros(()))
        q = (v.double().abs() + 0.5).floor().float().copysign(v).clamp(-most, most - 1)
        return x @ rounded(q * rounded(scale)).T
    return run


class AWQ:
    """ModelOpt's layout with factors drawn at random instead of searched for."""

    def __init__(self, m):
        self.m = m
        rng = np.random.Generator(np.random.PCG64(4))
        self.factor, self.q, self.scale = {}, {}, {}
        for name in m.linears():
            first = siblings(name)[0]  # llama: there is a gate
            w = m.tensors[name + ".weight"]
            if first not in self.factor:
                self.factor[first] = bf16(torch.from_numpy(rng.uniform(0.5, 2, w.shape[1]).astype(np.float32)))
            self.factor[name] = self.factor[first]
            groups = (w / self.factor[name]).view(w.shape[0], -1, GROUP)
            self.scale[name] = groups.abs().amax(2) / 7
            self.q[name] = (groups / self.scale[name][..., None]).round().clamp(-8, 7).view(w.shape).to(torch.int8)

    def weight(self, name, rounded):
        scale = rounded(self.scale[name]).repeat_interleave(GROUP, 1)
        return self.q[name].float() * scale * self.factor[name]

    def linear(self, rounded):
        return lambda name, weight, x: x @ rounded(self.weight(name, rounded)).T

    def write(self, directory):
        facts, values = layout.hf_source(TESTDATA / "models" / self.m.name)
        config = layout.config_json(facts, "bfloat16", 1, 1, None)
        config["quantization"] = {"quant_algo": "W4A16_AWQ", "kv_cache_quant_algo": None, "group_size": GROUP, "has_zero_point": False,
                                  "pre_quant_scale": True, "exclude_modules": ["lm_head"]}
        config["producer"] = {"name": "modelopt", "version": "0.23.0"}
        stored = {n: torch.from_numpy(np.ascontiguousarray(w)).bfloat16()
                  for n, w in layout.rank_tensors(facts, values, 1, 1, None, 0, 0).items()}
        modules = {"attention.qkv": ("self_attn", "qkv"), "attention.dense": ("self_attn", "o"), "mlp.proj": ("mlp", ["down"]),
                   "mlp.fc": ("mlp", ["gate"]), "mlp.gate": ("mlp", ["up"])}
        for layer in range(facts["layers"]):
            for module, (block, names) in modules.items():
                sources = [f"model.layers.{layer}.{block}.{n}_proj" for n in names]
                q = torch.cat([self.q[s] for s in sources]).numpy()
                pairs = (q[0::2] & 15) | (q[1::2] << 4)  # the even row is the low half
                target = f"transformer.layers.{layer}.{module}"
                stored[target + ".weight"] = torch.from_numpy(pairs.astype(np.int8))
                stored[target + ".weights_scaling_factor"] = torch.cat([self.scale[s] for s in sources])
                stored[target + ".prequant_scaling_factor"] = self.factor[sources[0]].bfloat16()
        directory.mkdir(parents=True)
        (directory / "config.json").write_text(json.dumps(config, indent=4) + "\n")
        save_file({n: t.contiguous() for n, t in stored.items()}, directory / "rank0.safetensors")


def listing(ranks):
    return [[{"name": n, "dtype": d, "shape": s, "sha256": hashlib.sha256(raw).hexdigest()} for n, (d, s, raw) in sorted(r.items())]
            for r in ranks]


def write(m, form, linears, variants=None):
    """linears: dtype of the engine → the linear."""
    result = {"prompts": m.prompts, "vocab_size": m.config["vocab_size"], "logits_std": m.golden.std().item(), "error": {}}
    data = b""
    for dtype, linear in linears.items():
        logits = m.logits(linear)
        difference = logits - m.golden
        result["error"][dtype] = {"rms": difference.pow(2).mean().sqrt().item(), "largest": difference.abs().max().item(),
                                  "same_argmax": (logits.argmax(1) == m.golden.argmax(1)).float().mean().item()}
        data += logits.numpy().astype("<f4").tobytes()
    result["ranks"] = variants or {}
    (OUT / f"{m.name}.{form}.json").write_text(json.dumps(result).replace('}, {"name', '},\n{"name') + "\n")
    (OUT / f"{m.name}.{form}.logits").write_bytes(data)
    print(m.name, form, result["logits_std"], result["error"])


def both(make):
    return {"bfloat16": make(bf16), "float32": make(lambda x: x)}


def autofp8_config(m):
    """As AutoFP8 wrote Minitron-8B-Base-FP8's, with the names of old."""
    c = json.loads((TESTDATA / "models" / m.name / "config.v4-rope-percent.json").read_text())
    c["quantization_config"] = {"quant_method": "fp8", "activation_scheme": "static", "ignored_layers": ["lm_head"], "kv_cache_scheme": "static"}
    return c


def compressed_config(m):
    c = dict(m.config)
    number = {"num_bits": 8, "type": "float", "strategy": "tensor", "symmetric": True, "dynamic": False}
    c["quantization_config"] = {
        "quant_method": "compressed-tensors", "format": "float-quantized", "quantization_status": "compressed", "ignore": ["lm_head"],
        "config_groups": {"group_0": {"targets": ["Linear"], "weights": number, "input_activations": number, "output_activations": None}},
        "kv_cache_scheme": number,
    }
    return c


def codes():
    values = torch.arange(256).to(torch.uint8).view(E4M3).float().numpy().astype("<f4").tobytes()
    rng = np.random.Generator(np.random.PCG64(8))
    x = np.concatenate([rng.normal(0, s, 1000) for s in (1e-3, 1e-2, 1, 100)]).astype(np.float32)
    # Halves between codes, and their neighbours.
    numbers = torch.arange(127).to(torch.uint8).view(E4M3).double().numpy()
    halves = ((numbers[1:] + numbers[:-1]) / 2).astype(np.float32)
    x = np.concatenate([x, halves, -halves, np.nextafter(halves, np.float32(0)), np.nextafter(halves, np.float32(1e9)),
                        np.float32([0, -0.0, 447, 448, 449, 463.9, 464, 465, 1e30, -500, 2**-9, 2**-10, 1.0000001 * 2**-10])])
    code = e4m3(torch.from_numpy(x)).view(torch.uint8).numpy()
    return values + b"".join(struct.pack("<fB", v, c) for v, c in zip(x, code))


def main():
    path = ROOT / "internal/floatformat/testdata"
    path.mkdir(exist_ok=True)
    (path / "e4m3.bin").write_bytes(codes())
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir()
    for name, config, shapes in (("nemotron", autofp8_config, ((1, 1), (2, 2))), ("llama-gqa", compressed_config, ((1, 1), (4, 1)))):
        m = Model(name)
        f = FP8(m)
        directory = OUT / f"{name}.fp8"
        directory.mkdir()
        save_file({n: t.contiguous() for n, t in f.source().items()}, directory / "model.safetensors", metadata={"format": "pt"})
        (directory / "config.json").write_text(json.dumps(config(m), indent=2) + "\n")
        write(m, "fp8", both(f.linear), {f"tp{tp}-pp{pp}": listing(f.ranks(tp, pp)) for tp, pp in shapes})
        if name == "nemotron":
            m.kept = f.cache
            write(m, "fp8_kv", both(f.linear))
            m.kept = lambda layer, x: x
        write(m, "int8_wo", both(lambda r: weight_only(8, r)))
        write(m, "int4_wo", both(lambda r: weight_only(4, r)))
    awq = AWQ(m)
    awq.write(OUT / "llama-gqa.awq")
    write(m, "awq", both(awq.linear))


if __name__ == "__main__":
    main()
