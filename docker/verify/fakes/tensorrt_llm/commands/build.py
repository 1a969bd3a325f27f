"""A stand-in for trtllm-build: makes the networks of the file that FAKE_NETWORK names, by the calls that upstream makes."""

import json
import os
import sys

import tensorrt as trt


def main():
    arguments = sys.argv[1:]
    if "FAKE_BUILD_FAILS" in os.environ:
        raise RuntimeError(os.environ["FAKE_BUILD_FAILS"])
    output = arguments[arguments.index("--output_dir") + 1]
    with open(os.environ["FAKE_NETWORK"], encoding="utf-8") as f:
        data = json.load(f)
    for rank, network in enumerate(data if isinstance(data, list) else [data]):
        plan = build(network)
        os.makedirs(output, exist_ok=True)
        with open(os.path.join(output, f"rank{rank}.engine"), "wb") as f:
            f.write(plan)


def build(data):
    network, config, builder = trt.INetworkDefinition(), trt.IBuilderConfig(), trt.Builder()
    tensors = {}
    for t in data["inputs"]:
        tensors[t["id"]] = network.add_input(t["name"], trt.DataType[t["type"]], sizes(t["shape"]))
    # What upstream's passes cut off stays in the network, and no output depends on it.
    cut_off(network)
    for layer in data["layers"]:
        inputs = [None if i is None else tensors[i] for i in layer.get("inputs") or []]
        if layer["kind"] == "Plugin":
            made = network.add_plugin_v2(inputs, plugin(layer))
        else:
            made = network.add(getattr(trt.LayerType, layer["kind"].upper(), trt.LayerType.OTHER), inputs)
        made.name = layer["name"]
        for t in layer["outputs"]:
            tensors[t["id"]] = trt.Tensor(f"{made.name}_output_{t['id']}", trt.DataType[t["type"]], sizes(t["shape"]))
            made.outputs.append(tensors[t["id"]])
    for out in data["outputs"]:
        tensors[out["tensor"]].name = out["name"]
        network.mark_output(tensors[out["tensor"]])
    for ranges in data["profiles"]:
        profile = trt.OptimizationProfile()
        for name, limits in ranges.items():
            profile.set_shape(name, limits["min"], limits["opt"], limits["max"])
        config.add_optimization_profile(profile)
    return builder.build_serialized_network(network, config)


def sizes(shape):
    return tuple(d if isinstance(d, int) else -1 for d in shape)


def plugin(layer):
    creator = trt.IPluginCreator(layer["plugin"], layer["namespace"])
    fields = []
    for f in layer["fields"]:
        value = f["value"]
        if f["type"] == "CHAR":
            value = list(value.encode())
        fields.append(trt.PluginField(f["name"], value if isinstance(value, list) else [value], trt.PluginFieldType[f["type"]]))
    return creator.create_plugin(layer["plugin"], trt.PluginFieldCollection(fields))


def cut_off(network):
    field = trt.PluginField("type_id", [0], trt.PluginFieldType.INT32)
    made = trt.IPluginCreator("Gemm", "tensorrt_llm").create_plugin("old", trt.PluginFieldCollection([field]))
    layer = network.add_plugin_v2(network.inputs[:1], made)
    layer.outputs.append(trt.Tensor("of no use", trt.DataType.HALF, (1,)))
