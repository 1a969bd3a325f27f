#!/usr/bin/env python3
"""Compares two recorded networks: what `trtgo build --network_only` writes, and what record_network.py wrote of trtllm-build.

    compare_networks.py OURS.json THEIRS.json

Inputs (name, type, shape, ranges of the profiles), outputs, and plugins in order with every field's type and value must be
equal. The layers in between may differ in ways that TensorRT makes alike, so their counts are told and fail nothing.
Exit status 0: equal; 1: differences, each in a line; 2: a file cannot be read.
"""

import collections
import json
import struct
import sys


def ranks(path):
    """The networks in a file: one, or an array of one a rank."""
    with open(path, encoding="utf-8") as f:
        data = json.load(f)
    networks = data if isinstance(data, list) else [data]
    for network in networks:
        for key in ("inputs", "outputs", "layers", "profiles"):
            if not isinstance(network, dict) or not isinstance(network.get(key), list):
                raise ValueError(f"{path}: a network has no list of {key}")
    return networks


def sizes(shape):
    """A shape with -1 for what the runtime says, as TensorRT has it; dimensions' names are ours alone."""
    return [d if isinstance(d, int) else -1 for d in shape]


def tensor(t):
    return f"{t['type']} {sizes(t['shape'])}"


def exact(field):
    """A field's value, floats as the 32 bits that a plugin gets."""
    value = field["value"]
    if field["type"] == "FLOAT32":
        values = value if isinstance(value, list) else [value]
        return [struct.pack("<f", v) for v in values]
    if field["type"] == "CHAR":
        return value
    return value if isinstance(value, list) else [value]


def by_id(network):
    tensors = {t["id"]: t for t in network["inputs"]}
    for layer in network["layers"]:
        for t in layer["outputs"]:
            tensors[t["id"]] = t
    return tensors


def compare_inputs(ours, theirs):
    a = {t["name"]: t for t in ours["inputs"]}
    b = {t["name"]: t for t in theirs["inputs"]}
    for name in a.keys() - b.keys():
        yield f"input {name}: only ours has it"
    for name in b.keys() - a.keys():
        yield f"input {name}: only theirs has it, {tensor(b[name])}"
    for name in [n for n in a if n in b]:
        if tensor(a[name]) != tensor(b[name]):
            yield f"input {name}: ours is {tensor(a[name])}, theirs {tensor(b[name])}"
    if len(ours["profiles"]) != len(theirs["profiles"]):
        yield f"profiles: ours has {len(ours['profiles'])}, theirs {len(theirs['profiles'])}"
    for i, (p, q) in enumerate(zip(ours["profiles"], theirs["profiles"])):
        for name in sorted(p.keys() & q.keys()):
            for limit in ("min", "opt", "max"):
                if p[name][limit] != q[name][limit]:
                    yield f"profile {i}, {name}, {limit}: ours is {p[name][limit]}, theirs {q[name][limit]}"
        for name in sorted(q.keys() ^ p.keys()):
            # A shape without any -1 needs no range.
            known = a.get(name) or b.get(name)
            if known is None or -1 in sizes(known["shape"]):
                yield f"profile {i}, {name}: only {'ours' if name in p else 'theirs'} has it"


def compare_outputs(ours, theirs):
    def outputs(network):
        tensors = by_id(network)
        return {o["name"]: tensors.get(o["tensor"], {"type": "?", "shape": []}) for o in network["outputs"]}

    a, b = outputs(ours), outputs(theirs)
    for name in sorted(a.keys() | b.keys()):
        if name not in b or name not in a:
            yield f"output {name}: only {'ours' if name in a else 'theirs'} has it"
        elif tensor(a[name]) != tensor(b[name]):
            yield f"output {name}: ours is {tensor(a[name])}, theirs {tensor(b[name])}"


def compare_plugins(ours, theirs):
    def plugins(network):
        return [layer for layer in network["layers"] if layer["kind"] == "Plugin"]

    a, b = plugins(ours), plugins(theirs)
    if len(a) != len(b):
        yield f"plugins: ours has {len(a)}, theirs {len(b)}"
    types = [by_id(ours), by_id(theirs)]
    for i, (p, q) in enumerate(zip(a, b)):
        where = f"plugin {i} ({p['plugin']}, {p['name']}; theirs {q['name']})"
        for key in ("plugin", "version", "namespace"):
            if p.get(key, "") != q.get(key, ""):
                yield f"{where}: {key}: ours is {p.get(key, '')!r}, theirs {q.get(key, '')!r}"
        if p["plugin"] != q["plugin"]:
            return  # what follows would be compared with another
        yield from compare_fields(where, p.get("fields", []), q.get("fields", []))
        for key in ("inputs", "outputs"):
            # Ids are numbers of one recording; what they stand for is compared.
            lists = [[t["id"] if isinstance(t, dict) else t for t in layer.get(key) or []] for layer in (p, q)]
            if len(lists[0]) != len(lists[1]):
                yield f"{where}: ours has {len(lists[0])} {key}, theirs {len(lists[1])}"
                continue
            for j, (x, y) in enumerate(zip(*lists)):
                kinds = ["none" if t is None else types[k].get(t, {"type": "?"})["type"] for k, t in enumerate((x, y))]
                ranks_of = [0 if t is None else len(types[k].get(t, {"shape": []})["shape"]) for k, t in enumerate((x, y))]
                if kinds[0] != kinds[1] or ranks_of[0] != ranks_of[1]:
                    yield f"{where}: {key[:-1]} {j}: ours is {kinds[0]} of {ranks_of[0]} dimensions, theirs {kinds[1]} of {ranks_of[1]}"


def compare_fields(where, ours, theirs):
    a = {f["name"]: f for f in ours}
    b = {f["name"]: f for f in theirs}
    for name in a:
        if name not in b:
            yield f"{where}: field {name}: only ours has it, {a[name]['value']}"
    for name in b:
        if name not in a:
            yield f"{where}: field {name}: only theirs has it, {b[name]['value']}"
        elif a[name]["type"] != b[name]["type"]:
            yield f"{where}: field {name}: ours is of type {a[name]['type']}, theirs {b[name]['type']}"
        elif exact(a[name]) != exact(b[name]):
            yield f"{where}: field {name}: ours is {a[name]['value']}, theirs {b[name]['value']}"


def notes(ours, theirs):
    """What differs and need not be equal."""
    a = [t["name"] for t in ours["inputs"]]
    b = [t["name"] for t in theirs["inputs"]]
    if a != b and sorted(a) == sorted(b):
        yield "inputs are in another order"
    counts = [collections.Counter(layer["kind"].lower().replace("_", "") for layer in n["layers"]) for n in (ours, theirs)]
    for kind in sorted(counts[0].keys() | counts[1].keys()):
        if counts[0][kind] != counts[1][kind]:
            yield f"{kind} layers: ours has {counts[0][kind]}, theirs {counts[1][kind]}"


def compare(ours, theirs):
    """(differences, notes) of two lists of networks."""
    differences, remarks = [], []
    if len(ours) != len(theirs):
        differences.append(f"ours has {len(ours)} ranks, theirs {len(theirs)}")
    for rank, (p, q) in enumerate(zip(ours, theirs)):
        for check in (compare_inputs, compare_outputs, compare_plugins):
            differences += [f"rank {rank}: {text}" for text in check(p, q)]
        remarks += [f"rank {rank}: {text}" for text in notes(p, q)]
    return differences, remarks


def main(arguments):
    if len(arguments) != 2:
        print(__doc__.strip(), file=sys.stderr)
        return 2
    try:
        networks = [ranks(path) for path in arguments]
    except (OSError, ValueError) as failure:
        print(f"compare_networks: {failure}", file=sys.stderr)
        return 2
    differences, remarks = compare(*networks)
    for text in remarks:
        print(f"note: {text}")
    for text in differences:
        print(f"difference: {text}")
    plugins = sum(layer["kind"] == "Plugin" for n in networks[0] for layer in n["layers"])
    inputs = sum(len(n["inputs"]) for n in networks[0])
    print(f"compared {len(networks[0])} ranks with {inputs} inputs and {plugins} plugins: {len(differences)} differences")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
