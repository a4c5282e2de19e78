#!/usr/bin/env python3
"""Makes hqo.safetensors: make_hqo.py FILE, with Brevitas 0.12.1 and PyTorch: half-quadratic weight quantizers.

What the file has of each case is what make_catalog.py has; the weights are about normal, with some far out.
"""
import sys

import torch
from brevitas.quant import scaled_int, shifted_scaled_int

from make_catalog import WEIGHT, numbers, quantized, write

ROWS, COLUMNS = 8, 96
CASES = [
    ("Int8WeightPerTensorFloatHQO", scaled_int),
    ("Int8WeightPerChannelFloatHQO", scaled_int),
    ("ShiftedUint8WeightPerTensorFloatHQO", shifted_scaled_int),
    ("ShiftedUint8WeightPerChannelFloatHQO", shifted_scaled_int),
    ("ShiftedUint8WeightPerGroupFloatHQO", shifted_scaled_int),
]


def weights():
    """Sums of six uniform numbers, one in 41 of them four times as large; a row without a negative number."""
    state, out = 7, []
    for i in range(ROWS * COLUMNS):
        total = 0
        for _ in range(6):
            state = (state * 1664525 + 1013904223) % 2**32
            total += (state >> 12) / 2**20 - 0.5
        out.append(total * (4 if i % 41 == 5 else 1))
    w = torch.tensor(out, dtype=torch.float32).reshape(ROWS, COLUMNS)
    w[3] = w[3].abs() + 0.25
    return w


def main():
    w = weights()
    data = {"w": w, "b": numbers(ROWS, 3)}
    tensors = {"w": w}
    for bits in (8, 4, 3):
        for name, module in CASES:
            q = quantized(getattr(module, name), WEIGHT, data, {"bit_width": bits})
            key = f"{name}_{bits}"
            scale = (q.scale_ if hasattr(q, "scale_") else q.scale).detach().float()
            zero = (q.zero_point_ if hasattr(q, "zero_point_") else q.zero_point).detach().float()
            print(key, tuple(scale.shape), scale.flatten()[:4].tolist(), zero.flatten()[:4].tolist())
            tensors[key + ".value"] = q.value.detach().float().reshape(w.shape)
            tensors[key + ".scale"] = scale.reshape(scale.shape or (1,))
            if zero.abs().max() != 0:
                tensors[key + ".zero_point"] = zero.reshape(zero.shape or (1,))
    write(sys.argv[1], tensors)


if __name__ == "__main__":
    with torch.no_grad():
        main()
