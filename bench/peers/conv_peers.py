"""conv_peers.py: what convolutions.py races: layers, and ways to run them."""

import importlib
from dataclasses import dataclass

from buffers import Buffer
from conv_ours import Convolution
from tensors import Flat, tensor_of


@dataclass(frozen=True)
class Layer:
    """Of stride 1, padded to as many outputs as inputs, square images and filters, channels last."""
    name: str  # filter, channels, size of an image
    batch: int
    size: int
    channels: int
    filters: int
    filter: int
    groups: int = 1

    @property
    def input_shape(self):
        return self.batch, self.size, self.size, self.channels

    @property
    def weight_shape(self):
        return self.filters, self.filter, self.filter, self.channels // self.groups

    @property
    def output_shape(self):
        return self.batch, self.size, self.size, self.filters

    @property
    def outputs(self):
        return self.batch * self.size * self.size * self.filters


LAYERS = (
    Layer("3 x 3, 128 at 28²", 8, 28, 128, 128, 3),
    Layer("1 x 1, 256 to 512 at 28²", 8, 28, 256, 512, 1),
    Layer("depthwise 3 x 3, 96 at 56²", 8, 56, 96, 96, 3, 96),
    Layer("depthwise 7 x 7, 96 at 56²", 8, 56, 96, 96, 7, 96),
)


@dataclass(frozen=True)
class Problem:
    ours: object
    layer: Layer
    x: Buffer  # of f32
    weight: Buffer


@dataclass(frozen=True)
class Side:
    """What is convolved, as sequences of values, and what runs it."""
    x: object
    weight: object
    launch: object
    result: object
    plan: str = None


@dataclass(frozen=True)
class Pair:
    package: str
    name: str  # filter, channels, size of an image
    scheme: str  # of the weights here
    a: str  # to which the input is quantized on its way in
    make: object  # of the package and a Problem: a Side
    goal: float = None


def torch_f32(torch, problem):
    """In torch's own layout of channels last."""
    layer, functional = problem.layer, importlib.import_module("torch.nn.functional")
    x, weight = (tensor_of(torch, buffer, "f32", shape).permute(0, 3, 1, 2) for buffer, shape in
                 ((problem.x, layer.input_shape), (problem.weight, layer.weight_shape)))
    results = {}

    def launch(_):
        with torch.no_grad():
            results[0] = functional.conv2d(x, weight, padding=layer.filter // 2, groups=layer.groups)

    return Side(problem.x.numbers(), problem.weight.numbers(), launch,
                lambda: Flat(results[0].permute(0, 2, 3, 1).flatten()))


def ours_f32(_, problem):
    """The same convolution of this library, without quantization."""
    x = problem.ours.plain(problem.x.address, "f32", problem.layer.input_shape)
    made = Convolution(problem.ours, (x, None), problem.weight, problem.layer)
    return Side(problem.x.numbers(), problem.weight.numbers(), made.launch, made.result, made.describe())


def ours_quantized(pair, problem):
    ours, layer = problem.ours, problem.layer
    weight, weight_values = ours.read(pair.scheme, problem.weight, layer.weight_shape)
    x_values = ours.read(pair.a, problem.x, layer.input_shape)[1]
    x = ours.plain(problem.x.address, "f32", layer.input_shape)
    made = Convolution(ours, (x, pair.a), weight, layer)
    return Side(x_values.numbers(), weight_values.numbers(), made.launch, made.result, made.describe())


PAIRS = tuple(Pair(package, name, scheme, a, make, goal)
              for scheme, a in (("mxfp8_e4m3", "mxfp8_e4m3"), ("int8_channel", "int8_tensor"))
              for package, name, make, goal in (("mfq", "f32", ours_f32, None),
                                                ("torch", "conv2d f32", torch_f32, 1.0)))
