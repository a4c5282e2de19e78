"""fake_peers.py: what fake_quantize.py races. A row of PAIRS is one way in which another library quantizes and
dequantizes in one go, and the scheme here that does the same."""

import importlib
from dataclasses import dataclass

IDENTITY, CLIPPED, BREVITAS = 0, 1, 2  # mfq_ste
VALUES, GRADIENTS = ("f32 forward", "bf16 forward"), ("f32 backward", "bf16 backward")


@dataclass(frozen=True)
class Work:
    """A peer at a tensor: `forward` gives values, through which autograd finds the way back to `leaf`."""
    leaf: object
    forward: object
    scale: object = None  # f32; what the peer measured or was given


@dataclass(frozen=True)
class Pair:
    package: str
    name: str
    scheme: str  # ours
    make: object  # of torch and a tensor; imports the package and returns Work
    goal: float = None  # how many times as fast as the peer we are to be
    ste: int = None  # the backward here that is the peer's; None: it has none, or rounds gradients as well
    through_scale: int = 0
    is_given: bool = False  # no side measures: both have the scale
    same: str = None  # values are compared under this scheme and the peer's scale: it measures another one
    equal: tuple = ()  # where every bit is the same; near otherwise


# ---- Brevitas ------------------------------------------------------------------------------------------------------


def brevitas_weight(module, name, **changes):
    def make(torch, x):
        quantizer = getattr(importlib.import_module(module), name)
        linear = importlib.import_module("brevitas.nn").QuantLinear
        layer = linear(x.shape[1], x.shape[0], bias=False, dtype=x.dtype,
                       weight_quant=quantizer.let(**changes) if changes else quantizer)
        with torch.no_grad():
            layer.weight.copy_(x)
        return Work(layer.weight, lambda: layer.quant_weight().value)

    return make


def brevitas_act(module, name):
    def make(_, x):
        quantizer = getattr(importlib.import_module(module), name)
        layer = importlib.import_module("brevitas.nn").QuantIdentity(act_quant=quantizer, group_dim=-1)
        leaf = leaf_of(x)
        return Work(leaf, lambda: layer.act_quant(leaf).value)

    return make


# ---- torch ---------------------------------------------------------------------------------------------------------


def leaf_of(x):
    return x.detach().requires_grad_()


def torch_tensor(torch, x):
    leaf, scale = leaf_of(x), x.float().abs().max() / 127
    number = float(scale)
    return Work(leaf, lambda: torch.fake_quantize_per_tensor_affine(leaf, number, 0, -128, 127), scale)


def torch_channel(torch, x):
    leaf, scale = leaf_of(x), x.float().abs().amax(1) / 127
    zeros = torch.zeros(x.shape[0], dtype=torch.int32)
    return Work(leaf, lambda: torch.fake_quantize_per_channel_affine(leaf, scale, zeros, 0, -128, 127), scale)


def torch_cast(torch, x):
    return Work(x, lambda: x.to(torch.float8_e4m3fn).to(x.dtype))


# ---- torchao -------------------------------------------------------------------------------------------------------


def torchao_mx(element):
    def make(torch, x):
        mx = importlib.import_module("torchao.prototype.mx_formats.mx_tensor").MXTensor
        return Work(x, lambda: mx.to_mx(x, getattr(torch, element), 32).dequantize(x.dtype))

    return make


def torchao_fp8(torch, x):
    qat = importlib.import_module("torchao.quantization.qat.fake_quantizer")
    rows = importlib.import_module("torchao.quantization.granularity").PerRow()
    quantizer = qat.Float8FakeQuantizer(qat.Float8FakeQuantizeConfig(torch.float8_e4m3fn, rows))
    return Work(x, lambda: quantizer(x), (x.abs().amax(1) / 448).float())


def torchao_int8(is_compiled):
    def make(torch, x):
        qat = importlib.import_module("torchao.quantization.qat.fake_quantizer")
        quantizer = qat.IntxFakeQuantizer(qat.IntxFakeQuantizeConfig(torch.int8, "per_channel", is_symmetric=True))
        leaf = leaf_of(x)
        quantizer(x)
        scale, called = quantizer.scale.float(), quantizer
        if is_compiled:
            torch.compiler.reset()  # compiled anew a tensor, not given up after a number of them
            called = torch.compile(quantizer)
        return Work(leaf, lambda: called(leaf), scale)

    return make


MX = ("brevitas.quant.experimental.mx_quant_ocp", "MXFloat8e4m3Weight")
INT8 = "int8/channel/f32:given"
PAIRS = (
    Pair("brevitas", "MXFloat8e4m3Weight", "brevitas:MXFloat8e4m3Weight", brevitas_weight(*MX), goal=40, ste=BREVITAS,
         through_scale=1, equal=VALUES),
    Pair("brevitas", "MXFloat8e4m3Weight of E2M1", "brevitas:MXFloat8e4m3Weight/e2m1",
         brevitas_weight(*MX, bit_width=4, exponent_bit_width=2, mantissa_bit_width=1), goal=40, ste=BREVITAS,
         through_scale=1, equal=VALUES),
    Pair("brevitas", "MXFloat8e4m3Act", "brevitas:MXFloat8e4m3Act", brevitas_act(MX[0], "MXFloat8e4m3Act"), goal=40,
         ste=BREVITAS, through_scale=1, equal=VALUES),
    Pair("brevitas", "Int8WeightPerChannelFloat", "brevitas:Int8WeightPerChannelFloat",
         brevitas_weight("brevitas.quant", "Int8WeightPerChannelFloat"), goal=40, ste=IDENTITY, through_scale=1,
         equal=VALUES[:1]),
    Pair("torch", "fake_quantize_per_tensor_affine", "int8/tensor/f32:given", torch_tensor, goal=1.5, ste=CLIPPED,
         is_given=True, equal=GRADIENTS),
    Pair("torch", "fake_quantize_per_channel_affine", INT8, torch_channel, goal=1.5, ste=CLIPPED, is_given=True,
         equal=GRADIENTS),
    Pair("torch", "to(float8_e4m3fn) and back", "e4m3fn", torch_cast, equal=VALUES),
    Pair("torchao", "MXTensor of E4M3", "mxfp8_e4m3", torchao_mx("float8_e4m3fn"), goal=10, equal=VALUES),
    Pair("torchao", "MXTensor of E2M1", "mxfp4_e2m1", torchao_mx("float4_e2m1fn_x2"), goal=10, equal=VALUES),
    Pair("torchao", "Float8FakeQuantizer by rows", "fp8_e4m3_channel", torchao_fp8, goal=10,
         same="e4m3fn/channel/f32:given", equal=VALUES),
    Pair("torchao", "IntxFakeQuantizer of int8", "int8_channel", torchao_int8(False), goal=10, ste=CLIPPED,
         same=INT8),
    Pair("torchao", "IntxFakeQuantizer of int8, compiled", "int8_channel", torchao_int8(True), goal=1.5, ste=CLIPPED,
         same=INT8),
)
