#!/usr/bin/env python3
"""Makes catalog.safetensors: make_catalog.py FILE, with Brevitas 0.12.1, its examples and PyTorch.

A row of CASES is a class, what it quantizes, and overrides. Of each the file has the value, the scale and, where there is
one that is not 0, the zero point. Inputs are made here, from no random numbers of PyTorch's.
"""
import json
import struct
import sys

import torch
from brevitas import nn as qnn
from brevitas.inject.enum import FloatToIntImplType, RestrictValueType
from brevitas.quant import fixed_point, scaled_int, shifted_scaled_int, ternary
from brevitas.quant.experimental import float_quant_ocp
from brevitas_examples.common.generative import quantizers

WEIGHT, BIAS, ACT = "w", "b", "x"
ROUND = {"restrict_scaling_type": RestrictValueType.POWER_OF_TWO}
RANGE = {"min_val": -0.75, "max_val": 1.5}
SHORT = {"collect_stats_steps": 2}
ROWS = {"dynamic_scaling_broadcastable_fn": lambda x, shape: x.view(*shape[:-1], 1),
        "scaling_stats_permute_dims": None}

# name in the file, module, class, what it quantizes, overrides
CASES = [
    ("Int8BiasPerTensorFloatInternalScaling", scaled_int, None, BIAS, {}),
    ("Int8BiasPerTensorFixedPointInternalScaling", fixed_point, None, BIAS, {}),
    ("Int8ActPerTensorFloatMinMaxInit", scaled_int, None, ACT, RANGE),
    ("Uint8ActPerTensorFloatMaxInit", scaled_int, None, ACT, {"max_val": 1.5}),
    ("Int8ActPerTensorFixedPointMinMaxInit", fixed_point, None, ACT, RANGE),
    ("Uint8ActPerTensorFixedPointMaxInit", fixed_point, None, ACT, {"max_val": 1.5}),
    ("Int8ActPerTensorFloatBatchQuant1d", scaled_int, None, "x3", {}),
    ("Uint8ActPerTensorFloatBatchQuant1d", scaled_int, None, "x3", {}),
    ("Int8ActPerTensorFloatBatchQuant2d", scaled_int, None, "x4", {}),
    ("Uint8ActPerTensorFloatBatchQuant2d", scaled_int, None, "x4", {}),
    ("ShiftedUint8ActPerTensorFixedPoint", shifted_scaled_int, None, ACT, SHORT),
    ("SignedTernaryWeightPerTensorConst", ternary, None, WEIGHT, {}),
    ("SignedTernaryActPerTensorConst", ternary, None, ACT, {}),
    ("ShiftedUint8DynamicActPerTensorFloat", quantizers, None, ACT, {}),
    ("Int8DynamicActPerRowFloat", quantizers, None, ACT, ROWS),
    ("Int8DynamicActPerRowFixedPoint", quantizers, None, ACT, ROWS),
    ("ShiftedUint8DynamicActPerRowFloat", quantizers, None, ACT, ROWS),
    ("FP8e4m3OCPDynamicActPerRowFloat", quantizers, None, ACT, ROWS),
    ("FP8e4m3OCPDynamicActPerRowFixedPoint", quantizers, None, ACT, ROWS),
    ("FP8e4m3FNUZDynamicActPerRowFloat", quantizers, None, ACT, ROWS),
    # what overrides make: powers of two to the nearest, zero points that are not quantized
    ("Fp8e4m3OCPWeightPerTensorFloat_round", float_quant_ocp, "Fp8e4m3OCPWeightPerTensorFloat", WEIGHT, ROUND),
    ("Fp8e5m2OCPWeightPerChannelFloat_round", float_quant_ocp, "Fp8e5m2OCPWeightPerChannelFloat", WEIGHT, ROUND),
    ("ShiftedUint8WeightPerTensorFloat_zpf", shifted_scaled_int, "ShiftedUint8WeightPerTensorFloat", WEIGHT,
     {"quantize_zero_point": False}),
    ("ShiftedUint8WeightPerChannelFloat_zpf", shifted_scaled_int, "ShiftedUint8WeightPerChannelFloat", WEIGHT,
     {"quantize_zero_point": False}),
]


def numbers(count, start):
    """Of both signs over some binades, a few of them 0."""
    state, out = start, []
    for i in range(count):
        state = (state * 1664525 + 1013904223) % 2**32
        magnitude = (1 + (state >> 9) / 2**23) * 2.0 ** ((state >> 3) % 7 - 5)
        out.append(0.0 if i % 29 == 7 else -magnitude if state >> 31 else magnitude)
    return torch.tensor(out, dtype=torch.float32)


def inputs():
    x = numbers(6 * 24, 1).reshape(6, 24)
    x[2] = x[2].abs() + 0.5  # a row without a negative number
    return {"w": numbers(6 * 24, 2).reshape(6, 24), "b": numbers(6, 3), "x": x,
            "x3": numbers(2 * 4 * 9, 4).reshape(2, 4, 9), "x4": numbers(2 * 4 * 9, 5).reshape(2, 4, 3, 3)}


if not hasattr(torch.Tensor, "rename"):  # PyTorch had names of axes, which no number here depends on
    torch.Tensor.rename = lambda self, *names, **more: self


def quantized(quantizer, kind, data, overrides):
    if kind in (WEIGHT, BIAS):
        prefix = "weight_" if kind == WEIGHT else "bias_"
        named = {prefix + key: value for key, value in overrides.items()}
        layer = qnn.QuantLinear(*data["w"].shape[::-1], bias=True, **{prefix + "quant": quantizer}, **named)
        layer.weight.data, layer.bias.data = data["w"].clone(), data["b"].clone()
        layer.eval()
        return layer.quant_weight() if kind == WEIGHT else layer.bias_quant(layer.bias)
    act = qnn.QuantIdentity(act_quant=quantizer, return_quant_tensor=True, **overrides)
    act.train()
    for _ in range(3):
        act(data[kind])
    act.eval()
    return act(data[kind])


def write(path, tensors):
    header, at = {"__metadata__": {"case": "classes by name", "brevitas": "0.12.1", "torch": torch.__version__}}, 0
    for name, tensor in tensors.items():
        size = tensor.numel() * 4
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for tensor in tensors.values():
            file.write(tensor.contiguous().numpy().tobytes())


def main():
    data = inputs()
    tensors = dict(data)
    for name, module, cls, kind, overrides in CASES:
        q = quantized(getattr(module, cls or name), kind, data, overrides)
        value = q.value.detach().float().reshape(data[kind].shape)
        scale = (q.scale_ if hasattr(q, "scale_") else q.scale).detach().float()
        zero = (q.zero_point_ if hasattr(q, "zero_point_") else q.zero_point).detach().float()
        print(name, tuple(value.shape), tuple(scale.shape), tuple(zero.shape), scale.flatten()[:2].tolist(), zero.flatten()[:2].tolist())
        tensors[name + ".value"], tensors[name + ".scale"] = value, scale.reshape(scale.shape or (1,))
        if zero.abs().max() != 0:
            tensors[name + ".zero_point"] = zero.reshape(zero.shape or (1,))
    write(sys.argv[1], tensors)


if __name__ == "__main__":
    with torch.no_grad():
        main()
