"""A stand-in for the module tensorrt, as far as record_network.py uses it: it keeps what it is given."""

import enum


class DataType(enum.Enum):
    FLOAT, HALF, INT8, INT32, BOOL, UINT8, FP8, BF16, INT64, INT4 = range(10)


class PluginFieldType(enum.Enum):
    FLOAT16, FLOAT32, FLOAT64, INT8, INT16, INT32, CHAR, DIMS, UNKNOWN, BF16, INT64 = range(11)


class LayerType(enum.Enum):
    CONSTANT, ELEMENTWISE, PLUGIN_V2, OTHER = range(4)


class Array(list):
    """A list that is asked for its values as an array of numpy is."""

    def tolist(self):
        return list(self)


class PluginField:
    def __init__(self, name, data, type):  # noqa: A002 - TensorRT's own name
        self.name, self.data, self.type = name, Array(data), type


class PluginFieldCollection(list):
    pass


class Plugin:
    pass


class IPluginCreator:
    plugin_version = "1"

    def __init__(self, name, namespace):
        self.name, self.plugin_namespace = name, namespace

    def create_plugin(self, name, fields):
        return Plugin()


class Tensor:
    def __init__(self, name, dtype, shape):
        self.name, self.dtype, self.shape = name, dtype, shape


class Layer:
    def __init__(self, type, name, inputs, outputs):  # noqa: A002 - TensorRT's own name
        self.type, self.name, self.inputs, self.outputs = type, name, inputs, outputs

    num_inputs = property(lambda self: len(self.inputs))
    num_outputs = property(lambda self: len(self.outputs))

    def get_input(self, i):
        return self.inputs[i]

    def get_output(self, i):
        return self.outputs[i]


class INetworkDefinition:
    def __init__(self):
        self.inputs, self.layers, self.outputs = [], [], []

    num_inputs = property(lambda self: len(self.inputs))
    num_layers = property(lambda self: len(self.layers))
    num_outputs = property(lambda self: len(self.outputs))

    def get_input(self, i):
        return self.inputs[i]

    def get_layer(self, i):
        return self.layers[i]

    def get_output(self, i):
        return self.outputs[i]

    def add_input(self, name, dtype, shape):
        self.inputs.append(Tensor(name, dtype, shape))
        return self.inputs[-1]

    def add(self, type, inputs, name=None):  # noqa: A002 - TensorRT's own name
        """Every kind of layer but plugins, which TensorRT has methods of their own for."""
        self.layers.append(Layer(type, name or f"(Unnamed Layer* {len(self.layers)})", inputs, []))
        return self.layers[-1]

    def add_plugin_v2(self, inputs, plugin):
        return self.add(LayerType.PLUGIN_V2, inputs)

    def mark_output(self, tensor):
        self.outputs.append(tensor)


class OptimizationProfile:
    def __init__(self):
        self.shapes = {}

    def set_shape(self, name, least, best, most):
        self.shapes[name] = [least, best, most]

    def get_shape(self, name):
        return self.shapes.get(name, [])


class IBuilderConfig:
    def add_optimization_profile(self, profile):
        return 0


class Builder:
    def build_serialized_network(self, network, config):
        return b"plan"
