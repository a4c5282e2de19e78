"""make_optimizers.py [FILE]: golden steps of optimizers, by numpy alone, from what docs/numerics.md, "Optimizers", says.

Of each case two tensors, one in each of two groups, take some steps with gradients that a formula makes; what is left of values
and moments is kept, and the norm and factor of the last step. Nothing here knows the library. With torch in the way of Python,
`make_optimizers.py --torch` tells how far torch's own optimizers, in float32 and on the CPU, are from these values.
"""

import json
import struct
import sys

import numpy as np

F = np.float32
SHAPES = ((37, 61), (1500,))
STEPS = 5


def numbers(count, start):
    """Of both signs over 14 binades, a few of them 0."""
    state, out = start, []
    for i in range(count):
        state = (state * 1664525 + 1013904223) % 2**32
        magnitude = (1 + (state >> 9) / 2**23) * 2.0 ** ((state >> 5) % 14 - 11)
        out.append(0.0 if i % 29 == 7 else -magnitude if state >> 31 else magnitude)
    return np.array(out, F)


def group(rate, beta1=0.0, beta2=0.0, epsilon=0.0, decay=0.0, nesterov=False):
    return {"rate": rate, "beta1": beta1, "beta2": beta2, "epsilon": epsilon, "decay": decay, "nesterov": nesterov}


CASES = {  # kind, groups, clip, scale of gradients
    "adamw": ("adamw", (group(0.001, 0.9, 0.999, 1e-8, 0.01), group(0.02, 0.5, 0.95, 1e-4, 0.1)), 0.0, 1.0),
    "adamw_clipped": ("adamw", (group(0.1, 0.9, 0.95, 1e-8, 0.1), group(0.003, 0.0, 0.0, 1e-6, 0.0)), 2.5, 0.125),
    "sgd": ("sgd", (group(0.01), group(0.1, decay=0.05)), 0.0, 1.0),
    "sgd_momentum": ("sgd", (group(0.01, 0.9), group(0.05, 0.75, decay=0.01, nesterov=True)), 1.0, 2.0),
}


def halves(terms):
    """1024 neighbours at a time, by halves; the last ones are filled up with 0."""
    t = np.zeros(-(-len(terms) // 1024) * 1024)
    t[:len(terms)] = terms
    t = t.reshape(-1, 1024)
    while t.shape[1] > 1:
        t = t[:, :t.shape[1] // 2] + t[:, t.shape[1] // 2:]
    return t[:, 0]


def norm_of(gradients):
    sums = np.concatenate([halves(g.astype(np.float64) ** 2) for g in gradients])
    while len(sums) > 1:
        sums = halves(sums)
    return np.sqrt(sums[0])


def adamw(g, x, m, v, c, powers):
    keep, by1, by2 = F(1 - c["rate"] * c["decay"]), F(1 - c["beta1"]), F(1 - c["beta2"])
    m = m + by1 * (g - m) if by1 < 0.5 else g - F(c["beta1"]) * (g - m)
    v = F(c["beta2"]) * v + (by2 * g) * g
    spread = np.sqrt(v) * F(1 / np.sqrt(1 - powers[1])) + F(c["epsilon"])
    return keep * x - (F(c["rate"] / (1 - powers[0])) * m) / spread, m, v


def sgd(g, x, m, v, c, _powers):
    d = g + F(c["decay"]) * x if c["decay"] > 0 else g
    if c["beta1"] > 0:
        m = F(c["beta1"]) * m + d
        d = d + F(c["beta1"]) * m if c["nesterov"] else m
    return x - F(c["rate"]) * d, m, v


def gradients_of(step):
    return [numbers(int(np.prod(shape)), 100 * step + i + 1) for i, shape in enumerate(SHAPES)]


def begin():
    return [numbers(int(np.prod(shape)), 7 + i) for i, shape in enumerate(SHAPES)]


def run(kind, groups, clip, scale):
    x = begin()
    m, v = [np.zeros_like(t) for t in x], [np.zeros_like(t) for t in x]
    powers = [[1.0, 1.0] for _ in groups]
    for step in range(STEPS):
        raw = gradients_of(step)
        norm = norm_of(raw) * scale
        factor = scale * (clip / norm) if clip > 0 and norm > clip else scale
        for i, c in enumerate(groups):
            powers[i] = [powers[i][0] * c["beta1"], powers[i][1] * c["beta2"]]
            update = adamw if kind == "adamw" else sgd
            x[i], m[i], v[i] = update(raw[i] * F(factor), x[i], m[i], v[i], c, powers[i])
            assert x[i].dtype == m[i].dtype == v[i].dtype == F
    return x, m, v, norm, factor


def run_torch(kind, groups, clip, scale):
    import torch

    x = [torch.tensor(t, requires_grad=True) for t in begin()]
    settings = []
    for t, c in zip(x, groups):
        own = {"params": [t], "lr": c["rate"], "weight_decay": c["decay"]}
        own |= ({"betas": (c["beta1"], c["beta2"]), "eps": c["epsilon"]} if kind == "adamw" else
                {"momentum": c["beta1"], "nesterov": c["nesterov"]})
        settings.append(own)
    optimizer = torch.optim.AdamW(settings) if kind == "adamw" else torch.optim.SGD(settings)
    for step in range(STEPS):
        for t, g in zip(x, gradients_of(step)):
            t.grad = torch.tensor(g * F(scale))
        if clip > 0:
            torch.nn.utils.clip_grad_norm_(x, clip)
        optimizer.step()
    return [t.detach().numpy() for t in x]


def compare():
    for name, case in CASES.items():
        ours, theirs, first = run(*case)[0], run_torch(*case), begin()
        far = max(float(np.max(np.abs(a - b)) / np.max(np.abs(a - c))) for a, b, c in zip(ours, theirs, first))
        print(f"{name}: torch's values differ by at most {far:.2g} of the largest update")


def write(path, metadata, tensors):
    header, at = {"__metadata__": metadata}, 0
    for name, values in tensors.items():
        header[name] = {"dtype": "F32", "shape": list(values.shape), "data_offsets": [at, at + values.nbytes]}
        at += values.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for values in tensors.values():
            file.write(values.tobytes())


def thinned(values):
    """Every seventh."""
    return values[::7].copy()


def main(path):
    metadata, tensors = {"numpy": np.__version__}, {}
    for name, case in CASES.items():
        x, m, v, norm, factor = run(*case)
        metadata[f"{name} norm"], metadata[f"{name} factor"] = float(norm).hex(), float(factor).hex()
        for i in range(len(SHAPES)):
            tensors[f"{name}.{i}"] = thinned(x[i])
            if case[0] == "adamw" or case[1][i]["beta1"] > 0:
                tensors[f"{name}.{i}.first"] = thinned(m[i])
            if case[0] == "adamw":
                tensors[f"{name}.{i}.second"] = thinned(v[i])
    write(path, metadata, tensors)


if __name__ == "__main__":
    if sys.argv[1:] == ["--torch"]:
        compare()
    else:
        main(sys.argv[1] if len(sys.argv) > 1 else __file__.replace("make_optimizers.py", "optimizers.safetensors"))
