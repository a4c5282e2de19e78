"""cast_peers.py: what casts.py races. A row of PAIRS is one way in which another library quantizes a tensor and reads it
again, and the scheme here that is nearest to it."""

import importlib
from dataclasses import dataclass

from buffers import Buffer
from tensors import Flat, tensor_of

SAME, NEAR, NEAR_4 = 0, 0.1, 0.3  # of the norm; 4 bits: two ways to choose a scale


@dataclass(frozen=True)
class Problem:
    x: Buffer
    dtype: str
    shape: tuple

    @property
    def count(self):
        return self.shape[0] * self.shape[1]


@dataclass(frozen=True)
class Side:
    quantize: object  # gives what dequantize takes
    dequantize: object
    values: object  # of what dequantize gives: a sequence


@dataclass(frozen=True)
class Pair:
    package: str
    name: str
    scheme: str
    make: object  # of the package and a Problem: a Side
    tolerance: float = SAME
    goal: float = None  # how many times as fast as the peer we are to be
    dtypes: tuple = ("f32", "bf16")
    most_threads: int = None


# ---- torch, torchao ------------------------------------------------------------------------------------------------


def torch_side(problem, quantize, dequantize):
    torch = importlib.import_module("torch")
    x = tensor_of(torch, problem.x, problem.dtype, problem.shape)
    return Side(lambda: quantize(x), lambda q: dequantize(q, x.dtype), lambda y: Flat(y.float().flatten()))


def torch_to(name):
    def make(torch, problem):
        return torch_side(problem, lambda x: x.to(getattr(torch, name)), lambda q, dtype: q.to(dtype))

    return make


def torchao_mx(element):
    def make(torchao, problem):
        torch = importlib.import_module("torch")
        mx = importlib.import_module(f"{torchao.__name__}.prototype.mx_formats.mx_tensor").MXTensor
        return torch_side(problem, lambda x: mx.to_mx(x, getattr(torch, element), 32),
                          lambda q, dtype: q.dequantize(dtype))

    return make


def torchao_nvfp4(torchao, problem):
    nvfp4 = importlib.import_module(f"{torchao.__name__}.prototype.mx_formats.nvfp4_tensor").NVFP4Tensor
    return torch_side(problem, nvfp4.to_nvfp4, lambda q, dtype: q.dequantize(dtype))


def torchao_integers(low, high, group):
    """torchao's primitives, compiled: codes of int8, scales of f32; groups along rows, None: a row is one."""

    def make(torchao, problem):
        torch = importlib.import_module("torch")
        primitives = importlib.import_module(f"{torchao.__name__}.quantization.quant_primitives")
        block, symmetric = (1, group or problem.shape[1]), primitives.MappingType.SYMMETRIC
        torch.compiler.reset()  # compiled anew a tensor, not given up after a number of them

        @torch.compile
        def quantize(x):
            scale, zero = primitives.choose_qparams_affine(x, symmetric, block, torch.int8, low, high,
                                                           scale_dtype=torch.float32, zero_point_dtype=torch.int8)
            return primitives.quantize_affine(x, block, scale, zero, torch.int8, low, high), scale, zero

        @torch.compile
        def dequantize(q, scale, zero, dtype):
            return primitives.dequantize_affine(q, block, scale, zero, torch.int8, low, high, output_dtype=dtype)

        return torch_side(problem, quantize, lambda q, dtype: dequantize(*q, dtype))

    return make


# ---- ml_dtypes, ggml -----------------------------------------------------------------------------------------------


def ml_dtypes_as(name):
    def make(ml_dtypes, problem):
        numpy = importlib.import_module("numpy")
        dtype = numpy.float32 if problem.dtype == "f32" else ml_dtypes.bfloat16
        x = numpy.frombuffer(problem.x.pages, dtype=dtype, count=problem.count)
        return Side(lambda: x.astype(getattr(ml_dtypes, name)), lambda q: q.astype(dtype),
                    lambda y: Flat(y.astype(numpy.float32)))

    return make


def ggml_as(kind):
    def make(ggml, problem):
        q, y = Buffer(ggml.bytes_of(kind, *problem.shape)), Buffer(4 * problem.count)
        quantize = ggml.quantizer(kind, problem.x, q, problem.shape)
        dequantize = ggml.dequantizer(kind, q, y, problem.shape)
        return Side(quantize, lambda _: dequantize(), lambda _: y.numbers())

    return make


def ggml(kind, scheme, tolerance):
    return Pair("ggml", kind, scheme, ggml_as(kind), tolerance, dtypes=("f32",), most_threads=1)


PAIRS = (
    Pair("torchao", "MXTensor of E4M3", "mxfp8_e4m3", torchao_mx("float8_e4m3fn"), goal=1),
    Pair("torchao", "MXTensor of E2M1", "mxfp4_e2m1", torchao_mx("float4_e2m1fn_x2"), goal=1),
    Pair("torchao", "NVFP4Tensor", "nvfp4", torchao_nvfp4, NEAR_4, goal=1),
    Pair("torchao", "int8 by rows, compiled", "int8_channel", torchao_integers(-127, 127, None), NEAR, goal=1),
    Pair("torchao", "int4 by groups, compiled", "int4_group32", torchao_integers(-7, 7, 32), NEAR_4, goal=1),
    Pair("torch", "to(float8_e4m3fn)", "e4m3fn", torch_to("float8_e4m3fn"), goal=1),
    Pair("torch", "to(float8_e5m2)", "e5m2", torch_to("float8_e5m2"), goal=1),
    Pair("ml_dtypes", "astype(float8_e4m3fn)", "e4m3fn", ml_dtypes_as("float8_e4m3fn"), goal=1, most_threads=1),
    ggml("MXFP4", "mxfp4_e2m1", NEAR_4),
    ggml("Q4_0", "int4_group32", NEAR_4),
    ggml("Q8_0", "int8/group:32/f16", NEAR),
    ggml("NVFP4", "nvfp4", NEAR_4),
)
