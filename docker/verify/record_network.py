#!/usr/bin/env python3
"""Runs trtllm-build and records the TensorRT networks that it makes, in the form of `trtgo build --network_only`.

    record_network.py OUT.json [trtllm-build's arguments]

Runs in TensorRT-LLM's image, in one process (trtllm-build --workers 1). Plugins and their fields are taken down when they are created, and the
network, inputs to outputs, when TensorRT is told to build it: layers that upstream's passes have cut off by then are left out.
"""

import json
import sys


class Recorder:
    """Wraps the calls of the module tensorrt that make networks."""

    def __init__(self, trt):
        self.trt = trt
        self.networks = []
        self.failures = []  # texts
        self.plugins = {}  # (creator, version, namespace, fields), by id of a plugin
        self.added = {}  # those of a network's plugin layers in order, by id of the network
        self.profiles = {}  # by id of a builder config
        self.kept = []  # nothing above may go, or another object could get its id

    def install(self):
        trt = self.trt
        self.wrap(trt.IPluginCreator, "create_plugin", self.created)
        self.wrap(trt.INetworkDefinition, "add_plugin_v2", self.plugin_added)
        self.wrap(trt.IBuilderConfig, "add_optimization_profile", self.profile_added)
        builder, before = trt.Builder, trt.Builder.build_serialized_network

        def build(this, network, config, *rest, **named):
            # A recording that fails must not cost the engine.
            try:
                self.networks.append(self.record(network, config))
            except Exception as failure:  # noqa: BLE001 - whatever it is, it is told at the end
                self.failures.append(f"rank {len(self.networks) + len(self.failures)}: {failure!r}")
            return before(this, network, config, *rest, **named)

        builder.build_serialized_network = build

    def wrap(self, owner, method, after):
        original = getattr(owner, method)

        def wrapped(this, *arguments, **named):
            result = original(this, *arguments, **named)
            after(this, arguments + tuple(named.values()), result)
            return result

        setattr(owner, method, wrapped)

    def keep(self, table, key, value):
        self.kept.append(key)
        table[id(key)] = value

    def created(self, creator, arguments, plugin):
        fields = [recorded_field(f.name, f.type, f.data) for f in arguments[1]]
        self.keep(self.plugins, plugin, (creator.name, creator.plugin_version, creator.plugin_namespace, fields))

    def plugin_added(self, network, arguments, _layer):
        inputs, plugin = arguments
        self.kept.append(network)
        self.added.setdefault(id(network), []).append(self.plugins.get(id(plugin)))

    def profile_added(self, config, arguments, _index):
        self.kept.append(config)
        self.profiles.setdefault(id(config), []).append(arguments[0])

    def record(self, network, config):
        tensors = Numbers()
        inputs = [network.get_input(i) for i in range(network.num_inputs)]
        record = {"name": f"rank{len(self.networks)}", "inputs": [], "weights": []}
        for t in inputs:
            record["inputs"].append({**tensors.describe(t), "name": t.name})
        record["layers"] = list(self.layers(network, tensors))
        record["outputs"] = []
        for i in range(network.num_outputs):
            t = network.get_output(i)
            record["outputs"].append({"name": t.name, "tensor": tensors.number(t)})
        record["profiles"] = [
            {t.name: ranges(profile, t.name) for t in inputs if profile.get_shape(t.name)} for profile in self.profiles.get(id(config), [])
        ]
        return record

    def layers(self, network, tensors):
        all_layers = [network.get_layer(i) for i in range(network.num_layers)]
        known = iter(self.added.get(id(network), []))
        live = reachable(network, all_layers)
        for layer in all_layers:
            plugin = next(known, None) if layer.type == self.trt.LayerType.PLUGIN_V2 else None
            if layer.type == self.trt.LayerType.PLUGIN_V2 and plugin is None:
                raise LookupError(f"layer {layer.name} is a plugin whose making was not seen")
            if layer.name not in live:
                continue
            described = {"name": layer.name, "kind": layer.type.name}
            if plugin is not None:
                creator, version, namespace, fields = plugin
                described.update(kind="Plugin", plugin=creator, version=version, namespace=namespace, fields=fields)
            described["inputs"] = [None if t is None else tensors.number(t) for t in layer_inputs(layer)]
            described["outputs"] = [tensors.describe(t) for t in layer_outputs(layer)]
            yield described


class Numbers:
    """Numbers tensors as they come; in TensorRT their names tell them apart."""

    def __init__(self):
        self.by_name = {}

    def number(self, tensor):
        return self.by_name.setdefault(tensor.name, len(self.by_name))

    def describe(self, tensor):
        return {"id": self.number(tensor), "type": tensor.dtype.name, "shape": [d if d >= 0 else "?" for d in tensor.shape]}


def layer_inputs(layer):
    return [layer.get_input(i) for i in range(layer.num_inputs)]


def layer_outputs(layer):
    return [layer.get_output(i) for i in range(layer.num_outputs)]


def reachable(network, layers):
    """Names of the layers that an output depends on."""
    makers = {t.name: layer for layer in layers for t in layer_outputs(layer)}
    todo = [network.get_output(i).name for i in range(network.num_outputs)]
    live = set()
    while todo:
        layer = makers.get(todo.pop())
        if layer is not None and layer.name not in live:
            live.add(layer.name)
            todo += [t.name for t in layer_inputs(layer) if t is not None]
    return live


def recorded_field(name, kind, data):
    """A field as JSON has it: a number where there is one."""
    values = [] if data is None else data.tolist() if hasattr(data, "tolist") else data
    if kind.name == "CHAR":
        text = bytes(v & 0xFF for v in values) if isinstance(values, list) else values
        return {"name": name, "type": "CHAR", "value": text.decode() if isinstance(text, bytes) else text}
    if isinstance(values, list) and len(values) == 1:
        values = values[0]
    return {"name": name, "type": kind.name, "value": values}


def ranges(profile, name):
    return {limit: list(shape) for limit, shape in zip(("min", "opt", "max"), profile.get_shape(name))}


def main(arguments):
    if not arguments:
        print(__doc__.strip(), file=sys.stderr)
        return 2
    import tensorrt

    recorder = Recorder(tensorrt)
    recorder.install()
    from tensorrt_llm.commands.build import main as build

    sys.argv = ["trtllm-build", *arguments[1:]]
    try:
        build()
    finally:
        if recorder.networks:
            with open(arguments[0], "w", encoding="utf-8") as f:
                json.dump(recorder.networks[0] if len(recorder.networks) == 1 else recorder.networks, f, indent=1)
    if recorder.failures or not recorder.networks:
        for text in recorder.failures or ["trtllm-build built no network in this process"]:
            print(f"record_network: {text}", file=sys.stderr)
        return 1
    print(f"recorded {len(recorder.networks)} networks: {arguments[0]}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
