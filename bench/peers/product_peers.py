"""product_peers.py: what products.py races. A row of PAIRS is one way in which another library, or this one, multiplies
with weights of a kind, and the scheme here that it is compared with."""

import importlib
from dataclasses import dataclass, field

import ggml_peer
import onednn_peer
import product_ours
from buffers import Buffer, codes
from ours import Quantized
from tensors import Flat, tensor_of

EXACT, ROUNDED, A_QUANTIZED = 1e-5, 0.01, 0.02  # of the norm: sums in f32; bf16 results; 8 bits an element of A
ROTATED_BYTES = 80 << 20  # of weights at least, twice and more what caches hold
MOST_SLOTS = 64


def slots_for(size):
    return max(2, min(MOST_SLOTS, ROTATED_BYTES // size + 1))


@dataclass(frozen=True)
class Problem:
    """Weights and inputs, normal numbers of f32: W [n, k], and A [m, k] for any m."""
    ours: object
    shape: tuple  # n, k
    weights: Buffer
    inputs: Buffer  # of the largest m
    threads: int


@dataclass(frozen=True)
class Side:
    """One library's product: what it multiplies, and what runs it. Values are sequences of numbers."""
    weights: object  # the values that the weights stand for, [n, k]
    slots: int  # as many equal weights lie in memory, and are taken in turns
    product: object  # of m: has launch(slot) and result(slot), the values of D
    inputs: object = None  # the values of A where they are not the problem's


@dataclass(frozen=True)
class Pair:
    package: str
    name: str
    scheme: str  # ours, of the weights; "f32": none
    make: object  # of the package and a Problem: a Side
    a: str = None  # the scheme, of rows or less, that A is quantized to on its way in, here
    is_coded: bool = False  # A is quantized to it beforehand
    tolerance: float = EXACT  # the peer's
    goals: dict = field(default_factory=dict)  # by m: how many times as fast as the peer we are to be


# ---- ggml ----------------------------------------------------------------------------------------------------------


def ggml_product(kind):
    def make(ggml, problem):
        n, k = problem.shape
        codes, values = Buffer(ggml.bytes_of(kind, n, k)), Buffer(4 * n * k)
        ggml.quantizer(kind, problem.weights, codes, (n, k))()
        ggml.dequantizer(kind, codes, values, (n, k))()
        slots = slots_for(codes.size)

        def product(m):
            made = ggml_peer.Product(ggml, kind, [codes] * slots, (m, n, k), problem.threads)
            made.set_a(problem.inputs)
            return made

        return Side(values.numbers(), slots, product)

    return make


# ---- oneDNN --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Runs:
    """A launch and a result a slot."""
    launch: object
    result: object
    held: object = None  # what they read


def onednn_u8s8(onednn, problem):
    n, k = problem.shape
    # 7 bits: without VNNI, sums of two products of 8 bits are cut off at 16 there.
    weights, inputs, slots = codes(n * k, 1), codes(problem.inputs.size // 4, 2, bits=7), slots_for(n * k)

    def product(m):
        planned, d = onednn_peer.Product(onednn, (m, n, k), problem.threads), Buffer(4 * m * n)
        ordered = [planned.reordered(weights) for _ in range(slots)]
        runs = [planned.run(inputs, buffer, d) for buffer in ordered]
        return Runs(lambda slot: runs[slot](), lambda slot: d.numbers("i"), (inputs, ordered))

    return Side(weights.numbers("b"), slots, product, inputs.numbers("B"))


# ---- torch, torchao ------------------------------------------------------------------------------------------------


def torch_runs(torch, modules, inputs):
    """Products of modules, as a Side's `product`."""

    def product(m):
        results = {}

        def launch(slot):
            with torch.no_grad():
                results[slot] = modules[slot](inputs[:m])

        return Runs(launch, lambda slot: results[slot].float().flatten().tolist())

    return product


def torch_product(dtype):
    def make(torch, problem):
        (n, k), kind = problem.shape, getattr(torch, dtype)
        inputs = tensor_of(torch, problem.inputs, "f32", (problem.inputs.size // 4 // k, k)).to(kind)
        weights = tensor_of(torch, problem.weights, "f32", (n, k)).to(kind)
        slots = slots_for(weights.nbytes)
        linear = importlib.import_module("torch.nn.functional").linear
        modules = [lambda a, w=weights.clone(): linear(a, w) for _ in range(slots)]
        return Side(Flat(weights.float().flatten()), slots, torch_runs(torch, modules, inputs))

    return make


def torchao_values(torch, layer):
    """What the weights of a layer stand for; where their layout hides it, what a product with 1 gives."""
    with torch.no_grad():
        try:
            values = layer.weight.dequantize()
        except (AttributeError, NotImplementedError):
            values = layer(torch.eye(layer.in_features, dtype=torch.bfloat16)).t()
        return values.float().flatten()


def torchao_product(module, config, size, **options):
    """`size` is the bytes of a weight, times 2."""

    def make(torchao, problem):
        torch, (n, k) = importlib.import_module("torch"), problem.shape
        made = getattr(importlib.import_module(f"{torchao.__name__}.{module}"), config)(**options)
        quantize = importlib.import_module(f"{torchao.__name__}.quantization").quantize_
        inputs = tensor_of(torch, problem.inputs, "f32", (problem.inputs.size // 4 // k, k)).to(torch.bfloat16)
        slots = slots_for(n * k * size // 2)
        modules = []
        for _ in range(slots):
            layer = torch.nn.Linear(k, n, bias=False, dtype=torch.bfloat16)
            with torch.no_grad():
                layer.weight.copy_(tensor_of(torch, problem.weights, "f32", (n, k)))
            quantize(layer, made)
            modules.append(layer)
        return Side(Flat(torchao_values(torch, modules[0])), slots, torch_runs(torch, modules, inputs))

    return make


# ---- Here ----------------------------------------------------------------------------------------------------------


def ours_f32(_, problem):
    """The same product with weights of f32."""
    weights = [problem.weights.again() for _ in range(slots_for(problem.weights.size))]

    def product(m):
        a = problem.ours.plain(problem.inputs.address, "f32", (m, problem.shape[1]))
        return product_ours.Product(problem.ours, (a, None), weights, (m, *problem.shape))

    return Side(problem.weights.numbers(), len(weights), product)


def ours_quantized(pair, problem):
    """What all peers are compared with."""
    ours, (n, k) = problem.ours, problem.shape
    if pair.scheme == "f32":
        return ours_f32(None, problem)
    first, values = ours.read(pair.scheme, problem.weights, (n, k))
    weights = [first] + [first.again() for _ in range(slots_for(first.size) - 1)]
    inputs = ours.read(pair.a, problem.inputs, (problem.inputs.size // 4 // k, k))[1] if pair.a else problem.inputs

    def product(m):
        a = ours.plain(problem.inputs.address, "f32", (m, k)), pair.a
        if pair.is_coded:
            a = ours.read(pair.a, problem.inputs, (m, k))[0], None
        return product_ours.Product(ours, a, weights, (m, n, k))

    return Side(values.numbers(), len(weights), product, inputs.numbers())


GGML_4 = {1: 0.7, 8: 1.0, 64: 1.2}
GGML_4_CODES = {1: 1.1, 8: 1.0, 64: 1.2}
GGML_8_CODES = {1: 1.0}
A8 = "int8/group:32/f32"  # as ggml quantizes A
INT4 = torchao_product("prototype.quantization.int4", "Int4WeightOnlyOpaqueTensorConfig", 1, group_size=32)
INT8 = torchao_product("quantization", "Int8WeightOnlyConfig", 2, version=2)


def ggml(kind, scheme, a=None, goals=None):
    return Pair("ggml", kind, scheme, ggml_product(kind), a, tolerance=A_QUANTIZED, goals=goals or {})


def without_quantization(scheme):
    return Pair("mfq", "f32 weights", scheme, ours_f32, goals={1: 1.0, 8: 1.0, 64: 1.0, 512: 1.0})


def torch_pairs(scheme):
    return (Pair("torch", "linear f32", scheme, torch_product("float32")),
            Pair("torch", "linear bf16", scheme, torch_product("bfloat16"), tolerance=ROUNDED))


PAIRS = (
    ggml("MXFP4", "mxfp4_e2m1", goals=GGML_4),
    ggml("MXFP4", "mxfp4_e2m1", A8, GGML_4_CODES),
    without_quantization("mxfp4_e2m1"),
    *torch_pairs("mxfp4_e2m1"),
    ggml("Q4_0", "int4_group32", goals=GGML_4),
    ggml("Q4_0", "int4_group32", A8, GGML_4_CODES),
    Pair("torchao", "int4 weights, bf16", "int4_group32", INT4, tolerance=ROUNDED),
    without_quantization("int4_group32"),
    ggml("Q8_0", "mxfp8_e4m3"),
    ggml("Q8_0", "mxfp8_e4m3", "mxfp8_e4m3", GGML_8_CODES),
    without_quantization("mxfp8_e4m3"),
    ggml("Q8_0", "int8_channel"),
    ggml("Q8_0", "int8_channel", "int8_channel", GGML_8_CODES),
    Pair("torchao", "int8 weights, bf16", "int8_channel", INT8, tolerance=ROUNDED),
    without_quantization("int8_channel"),
    *torch_pairs("int8_channel"),
    Pair("onednn", "u8 x s8 to s32", "int8_channel", onednn_u8s8, "int8_channel", is_coded=True,
         goals={64: 0.9, 512: 0.9}),
    Pair("ggml", "F32", "f32", ggml_product("F32")),
    torch_pairs("f32")[0],
)
