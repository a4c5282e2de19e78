"""race_peers.py LIBRARY FOLDER FAKE_GGML: the races of bench/peers without peers, and beside a torch of lists and a ggml of f32
(fake_ggml.c): what they make of peers that are right, wrong, failing and missing. Ours is the real library."""

import csv
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

library, folder, ggml = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
MOCK = {"torch": '''
import contextlib, math, os
from array import array

__version__ = "0+mock"
float32, bfloat16, float8_e4m3fn, float8_e5m2 = (f"torch.{name}" for name in
                                                 ("float32", "bfloat16", "float8_e4m3fn", "float8_e5m2"))
no_grad = contextlib.nullcontext


def e4m3(value):
    step = 2.0 ** (max(math.frexp(value)[1] - 1, -6) - 3)
    return round(value / step) * step


class Tensor:
    dtype = float32

    def __init__(self, values, shape):
        self.values, self.shape, self.nbytes = array("f", values), shape, 4 * len(values)

    def reshape(self, shape):
        return Tensor(self.values, shape)

    def to(self, kind):
        if kind == float8_e4m3fn:
            return Tensor([1.0 if os.environ["FAULT"] == "wrong" else e4m3(value) for value in self.values], self.shape)
        if kind != float32:
            raise RuntimeError(f"a list holds no {kind[6:]}\\nhere")
        return self

    def float(self):
        return self

    clone = float

    def flatten(self):
        return Tensor(self.values, (len(self.values),))

    def tolist(self):
        return list(self.values)

    def __getitem__(self, some):
        if len(self.shape) == 2:
            return Tensor(self.values[:some.stop * self.shape[1]], (some.stop, self.shape[1]))
        values = self.values[some]
        return Tensor(values, (len(values),))


def frombuffer(pages, dtype, count):
    return Tensor(memoryview(pages)[:4 * count].cast("f"), (count,))


def set_num_threads(count):
    print("threads", count)
''', "torch/nn/functional": '''
import os
from torch import Tensor


def linear(a, w):
    (m, k), (n, _) = a.shape, w.shape
    rows = [[sum(x * y for x, y in zip(a.values[i * k:i * k + k], w.values[j * k:j * k + k])) for j in range(n)]
            for i in range(m)]
    return Tensor([value * (2 if os.environ["FAULT"] == "wrong" else 1) for row in rows for value in row], (m, n))
''', "torch/nn/__init__": ""}


def expect(is_so, *about):
    if not is_so:
        sys.exit(f"race_peers: {' '.join(map(str, about))}")


def run(place, race, *options, fault=""):
    """The exit code, what was printed, and the document, None where none was written."""
    path = Path(place) / "rows.json"
    path.unlink(missing_ok=True)
    environment = {key: value for key, value in os.environ.items() if key not in ("MFQ_PEER_GGML", "MFQ_PEER_ONEDNN")}
    done = subprocess.run([sys.executable, "-B", folder / f"{race}.py", "--library", library, "--json", str(path),
                           "--threads", "1", "--rounds", "2", *options], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False,
                          env={**environment, "PYTHONPATH": str(place), "FAULT": fault, "MFQ_FAKE_GGML": fault})
    return done.returncode, done.stdout, json.loads(path.read_text()) if path.exists() else None


def rows_of(document, **wanted):
    rows = [row for row in document["rows"] if all(row[key] == value for key, value in wanted.items())]
    expect(rows, "no row with", wanted, "in", *document["rows"])
    return rows


def expect_measured(row):
    expect((row["status"], row["why"]) == ("right", None), row)
    expect(row["times_peer_least"] <= row["times_peer"] <= row["times_peer_most"], row)
    expect(all(0 < row[key]["p10"] <= row[key]["median"] for key in ("seconds", "peer_seconds")), row)


PRODUCTS = ("products", "--shape", "48x64", "--rows", "1,3")


def check_products_alone(place):
    """Our own weights of f32 are there whatever is missing."""
    code, text, document = run(place, *PRODUCTS, "--ggml", "/nowhere", "--cpu-time")
    expect(code == 0 and document["complete"], code, text)
    for name, why in (("torch", "none here"), ("torchao", "of another time"), ("ggml", "/nowhere/libggml-base.so: "),
                      ("onednn", "no path: --onednn or MFQ_PEER_ONEDNN gives it")):
        expect(f" has no {name}, which is left out: {why}" in text, "without peers:", text)
        expect(document["missing"][name].startswith(why), document["missing"])
    expect({row["peer"] for row in document["rows"]} == {"mfq"} and len(document["rows"]) == 8, *document["rows"])
    for row in document["rows"]:
        expect_measured(row)
        expect(row["plan"] and row["m"] in (1, 3) and 0 <= row["distance"] < 1e-5, row)
    expect(len(run(place, *PRODUCTS, "--quick")[2]["rows"]) == 4, "--quick takes few rows of A")
    for option in ("--shape=4x", "--rows=0"):
        expect(run(place, *PRODUCTS, option)[0] == 2, option)


def check_products_beside(place):
    table = Path(place) / "rows.csv"
    code, text, document = run(place, *PRODUCTS, "--csv", str(table), "--filter", "torch")
    expect(code == 1 and document["complete"] and document["peers"] == {"torch": "0+mock"}, code, text)
    with open(table, encoding="utf-8") as lines:
        expect([line["name"] for line in csv.DictReader(lines)] == [row["name"] for row in document["rows"]], text)
    for row in rows_of(document, work="linear f32"):
        expect_measured(row)
    for row in rows_of(document, work="linear bf16"):
        expect((row["status"], row["why"]) == ("failed", "a list holds no bfloat16"), row)
    code, text, document = run(place, *PRODUCTS, "--filter", "torch linear f32", fault="wrong")
    for row in rows_of(document, status="wrong"):
        expect(row["why"] == "the peer's result is off by 1 of its norm, at most 1e-05 is right", row)
        expect(row["seconds"] is None, row)
    expect(code == 1 and not any(row["status"] == "right" for row in document["rows"]), text)


def check_ggml(place):
    """Weights lie in the second place, since the first takes none."""
    code, text, document = run(place, *PRODUCTS, "--ggml", ggml, "--filter", "ggml (MXFP4|F32)")
    expect(code == 0 and document["peers"] == {"ggml": "0+fake"} and len(document["rows"]) == 6, code, text)
    for row in document["rows"]:
        expect_measured(row)
        expect(row["distance"] < 1e-6, row)
    code, text, document = run(place, *PRODUCTS, "--ggml", ggml, "--filter", "ggml F32", fault="wrong")
    expect(code == 1 and len(rows_of(document, status="wrong")) == 2, text)
    code, text, document = run(place, "casts", "--shape", "4x64", "--ggml", ggml)
    expect(code == 0 and {row["work"] for row in document["rows"]} == {"MXFP4", "Q4_0", "Q8_0", "NVFP4"}, code, text)
    for row in document["rows"]:
        expect_measured(row)
        expect(0 < row["distance"] < 0.3, row)


def check_casts(place):
    """Equal where both define the same; no row of bf16, nor of e5m2, in a list."""
    code, text, document = run(place, "casts", "--shape", "4x64")
    expect(code == 1 and document["complete"] and len(document["rows"]) == 8, code, text)
    for row in rows_of(document, scheme="e4m3fn", dtype="f32"):
        expect_measured(row)
        expect((row["differing"], row["distance"]) == (0, 0), row)
    for row in [*rows_of(document, dtype="bf16"), *rows_of(document, scheme="e5m2")]:
        expect(row["status"] == "failed" and (row["dtype"] == "bf16" or row["why"] == "a list holds no float8_e5m2"), row)
    code, text, document = run(place, "casts", "--shape", "4x64", "--filter", "e4m3fn, f32", fault="wrong")
    expect(code == 1 and len(rows_of(document, status="wrong")) == 2, text)
    expect(document["rows"][0]["why"].endswith(" of the norm of the peer's, at most 0 is right"), *document["rows"])


def check_convolutions(place):
    code, text, document = run(place, "convolutions", "--batch", "1", "--filter", "depthwise 3 x 3", "--cpu-time")
    expect(code == 0 and {row["scheme"] for row in document["rows"]} == {"mxfp8_e4m3", "int8_channel"}, code, text)
    for row in document["rows"]:
        expect_measured(row)
        expect(row["plan"] and row["shape"].startswith("depthwise") and row["distance"] < 1e-5, row)


with tempfile.TemporaryDirectory() as none, tempfile.TemporaryDirectory() as mock:
    missing = {"torch": 'raise ImportError("none here\\nnor there")'}
    for place, files in ((none, missing), (mock, MOCK)):
        for name, text in {**files, "torchao": 'raise AttributeError("of another time")',
                           "ml_dtypes": "raise ZeroDivisionError"}.items():
            file = Path(place) / (f"{name}/__init__.py" if name == "torch" else f"{name}.py")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
    check_products_alone(none)
    check_convolutions(none)
    check_ggml(none)
    expect(run(none, "casts")[0] == 0, "no peers, no rows")
    check_products_beside(mock)
    check_casts(mock)
