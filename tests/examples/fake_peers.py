"""fake_peers.py LIBRARY SCRIPT: the race without torch, and beside a torch of lists: what it makes of peers that are
right, wrong, failing, slow, fast and missing. Ours is the real library."""

import csv
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

library, script = sys.argv[1:]
MOCK = '''
import contextlib, ctypes, math, os, types

FAULT = os.environ["FAULT"]
__version__ = "0+mock"
float32, bfloat16, int32, float8_e4m3fn = ("torch.float32", "torch.bfloat16", "torch.int32", "torch.float8_e4m3fn")


class Tensor:
    def __init__(self, values, shape):
        self.memory, self.shape, self.dtype = (ctypes.c_float * len(values))(*values), shape, float32

    def data_ptr(self):
        return ctypes.addressof(self.memory)

    def numel(self):
        return len(self.memory)

    def float(self):
        return self

    detach = requires_grad_ = float

    def each(self, function):
        return Tensor([function(value) for value in self.memory], self.shape)

    def abs(self):
        return self.each(abs)

    def amax(self, axis):
        rows, columns = self.shape
        return Tensor([max(self.memory[row * columns:(row + 1) * columns]) for row in range(rows)], (rows,))

    def max(self):
        return Tensor([max(self.memory)], ())

    def sum(self):
        return int(sum(self.memory))

    def to(self, dtype):
        raise RuntimeError("no such cast\\nin this torch")

    def __float__(self):
        return self.memory[0]

    def __truediv__(self, number):
        return self.each(lambda value: value / number)

    def __sub__(self, other):
        return Tensor([a - b for a, b in zip(self.memory, other.memory)], self.shape)

    def view(self, dtype):
        return Bits(self)


class Bits:
    def __init__(self, tensor):
        self.tensor, self.words = tensor, (ctypes.c_int32 * tensor.numel()).from_buffer_copy(tensor.memory)

    def __ne__(self, other):
        return Tensor([a != b for a, b in zip(self.words, other.words)], self.tensor.shape)


def randn(*shape, dtype):
    if dtype != float32:
        raise RuntimeError("a list holds no bf16")
    return Tensor([0.0 if i == 7 else math.sin(1.5 * i) for i in range(shape[0] * shape[1])], shape)


def empty_like(x):
    return x.each(lambda value: math.nan)


def zeros(count, dtype):
    return [0] * count


def quantized(x, scale, low, high):
    return [s * max(low, min(high, round(v / s))) for v, s in zip(x.memory, scale)]


known = {}


def fake_quantize_per_tensor_affine(x, scale, zero, low, high):
    if FAULT != "fast" or "y" not in known:
        scale = ctypes.c_float(scale).value
        known["y"] = Tensor(quantized(x, [scale] * x.numel(), low, high), x.shape)
    return known["y"]


def fake_quantize_per_channel_affine(x, scale, zeros, axis, low, high):
    spread = [scale.memory[i // x.shape[1]] for i in range(x.numel())]
    return Tensor(quantized(x, spread, low, high)[::-1 if FAULT == "wrong" else 1], x.shape)


def back(y, leaf, upstream):
    values = list(upstream.memory)
    values[7] = -0.0 if FAULT == "wrong" else 0.0
    return [Tensor(values, y.shape)]


def set_num_threads(count):
    print("threads", count)


def manual_seed(seed):
    pass


no_grad = contextlib.nullcontext
autograd = types.SimpleNamespace(grad=back)
linalg = types.SimpleNamespace(vector_norm=lambda x: math.hypot(*x.memory))
'''


def expect(is_so, *about):
    if not is_so:
        sys.exit(f"fake_peers: {' '.join(map(str, about))}")


def run(folder, *options, fault=""):
    """The exit code, what was printed, and the document, None where none was written."""
    path = Path(folder) / "rows.json"
    path.unlink(missing_ok=True)
    command = [sys.executable, "-B", script, "--library", library, "--json", str(path), "--shape", "4x32"]
    done = subprocess.run([*command, "--rounds", "2", *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, check=False, env={**os.environ, "PYTHONPATH": str(folder), "FAULT": fault})
    return done.returncode, done.stdout, json.loads(path.read_text()) if path.exists() else None


def check_none(folder):
    code, text, document = run(folder)
    expect(code == 77 and document is None, code, text)
    for name, why in (("torch", "none here"), ("torchao", "of another time"), ("brevitas", "ZeroDivisionError")):
        expect(f" has no {name}, which is left out: {why}\n" in text, "without peers:", text)
    expect("without torch nothing is measured" in text, text)
    for option in ("--shape=4x", "--shape=4x4x4", "--threads=0", "--filter=("):
        expect(run(folder, option)[0] == 2, option)


def check_rows(folder):
    table = Path(folder) / "rows.csv"
    code, text, document = run(folder, "--threads", "2,1", "--csv", str(table))
    expect(document is not None, code, text)
    expect(code == 1 and document["complete"] and not document["stopped"], code, text)
    expect(document["peers"] == {"torch": "0+mock"} and set(document["missing"]) == {"torchao", "brevitas"}, document)
    expect(document["machine"]["isa"] and document["machine"]["mfq"], document["machine"])
    rows = document["rows"]
    with open(table, encoding="utf-8") as lines:
        expect([line["name"] for line in csv.DictReader(lines)] == [row["name"] for row in rows], text)
    expect(len(rows) == 20 and len({row["name"] for row in rows}) == 20, "rows:", *rows)
    expect("threads 2" in text and "threads 1" in text, text)
    for row in rows:
        good = row["dtype"] == "f32" and "float8" not in row["work"]
        refused = "no such cast" if row["dtype"] == "f32" else "a list holds no bf16"
        expect((row["status"], row["why"]) == (("right", None) if good else ("failed", refused)), row)
        if good:
            expect(row["times_peer_least"] <= row["times_peer"] <= row["times_peer_most"], row)
            expect(all(0 < row[key]["p10"] <= row[key]["median"] for key in ("seconds", "peer_seconds")), row)
            expect(row["differing"] == 0 and row["distance"] < 1e-6, row)


def check_wrong(folder):
    code, text, document = run(folder, "--filter", "channel_affine, f32 .* 1 ", fault="wrong")
    forward, backward = document["rows"]
    expect(code == 1 and {forward["status"], backward["status"]} == {"wrong"}, code, text)
    expect(forward["why"].startswith("the result is off by ") and forward["seconds"] is None, forward)
    expect(backward["why"] == "0.78 % of the elements differ from the peer's, and none should", backward)


def check_gate(folder):
    one = ("--filter", "tensor_affine, f32 forward, 1 ")
    code, text, document = run(folder, *one, "--gate")
    expect(code == 0 and document["rows"][0]["times_peer"] > 1.5, "a slow peer:", code, text)
    code, text, document = run(folder, *one, "--gate", fault="fast")
    expect(code == 3 and ", short of 1.5\n" in text and document["rows"][0]["status"] == "right", code, text)
    expect(run(folder, *one, fault="fast")[0] == 0, "without --gate nothing is short")


with tempfile.TemporaryDirectory() as none, tempfile.TemporaryDirectory() as mock:
    for place, torch in ((none, 'raise ImportError("none here\\nnor there")'), (mock, MOCK)):
        for name, text in (("torch", torch), ("torchao", 'raise AttributeError("of another time")'),
                           ("brevitas", "raise ZeroDivisionError")):
            (Path(place) / f"{name}.py").write_text(text, encoding="utf-8")
    check_none(none)
    check_rows(mock)
    check_wrong(mock)
    check_gate(mock)
