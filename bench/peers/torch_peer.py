"""torch_peer.py: what PyTorch reaches on the same GPU, for comparison: its bf16 product, torch._scaled_mm of FP8 with
one scale a tensor and one a row, and an eager fake quantization to MXFP8. Needs a Python with torch, and CUDA there;
says so and exits with 77 without.

Launches go through more memory than the caches hold, captured into a CUDA graph, replayed and timed by events. The
JSON is written anew after every row and is whole at any time; a row that is wrong or fails is marked, and the next
goes on."""

import argparse
import statistics
import sys
import time

from whole_file import write

try:
    import torch
except ImportError:
    torch = None

ROTATED_BYTES = 240 << 20  # four times the largest L2 cache
SAMPLE_SECONDS = 4e-3
MAX_LAUNCHES = 200
SAMPLES = 9
PRODUCT_TOLERANCE, CAST_TOLERANCE = 0.02, 0.06  # of a result's norm: of 8 bits of bf16, of 4 of e4m3
GROUP, E4M3_EMAX, E4M3_MAX = 32, 8, 448.0
CAST = (4096, 4096)


def slots_of(make, size):
    """Operands of one launch, as often as they fill the caches, at least twice."""
    return [make() for _ in range(max(2, min(64, ROTATED_BYTES // size + 1)))]


def samples_of(launch, slots):
    """Seconds of one launch in each sample, and how they were taken."""

    def run(count):
        for turn in range(count):
            launch(*slots[turn % len(slots)])

    run(len(slots))  # loads kernels
    torch.cuda.synchronize()
    start = time.perf_counter()
    run(1)
    torch.cuda.synchronize()
    count = max(1, min(MAX_LAUNCHES, int(SAMPLE_SECONDS / (time.perf_counter() - start))))
    replay, timing = (lambda: run(count)), "queue"
    try:
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            run(count)
        replay, timing = graph.replay, "graph"
    except RuntimeError as error:
        sys.stderr.write(f"torch_peer: no graph: {error}\n")
    replay()
    samples = []
    for _ in range(SAMPLES):
        first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        first.record()
        replay()
        last.record()
        last.synchronize()
        samples.append(1e-3 * first.elapsed_time(last) / count)
    return samples, timing


def difference(result, expected, tolerance):
    """A sentence where the two are too far apart, else None."""
    norm = torch.linalg.vector_norm
    error, size = float(norm(result.float() - expected)), float(norm(expected))
    return None if error <= tolerance * size else f"the result is off by {error:.3g}, its norm is {size:.3g}"


# ---- Rows ----------------------------------------------------------------------------------------------------------


def random(*shape):
    return torch.randn(*shape, device="cuda", dtype=torch.bfloat16)


def product(m, n, k, dtype, multiply):
    """A [m, k] times B [n, k] transposed; `multiply` gives D of bf16. The first row of D is checked."""

    def make():
        return random(m, k).to(dtype), random(n, k).to(dtype).t()

    slots = slots_of(make, (m * k + n * k) * (2 if dtype == torch.bfloat16 else 1))
    a, b = slots[0]
    why = difference(multiply(a, b)[:1], a[:1].float() @ b.float(), PRODUCT_TOLERANCE)
    return why, *samples_of(multiply, slots)


def scaled(scales):
    """torch._scaled_mm with scales of 1, of the shapes that `scales` gives for m and n."""

    def multiply(a, b):
        key = a.shape[0], b.shape[1]
        if key not in ones:
            ones[key] = [torch.ones(shape, device="cuda") for shape in scales(*key)]
        return torch._scaled_mm(a, b, *ones[key], out_dtype=torch.bfloat16)

    ones = {}
    return multiply


def fake_quantize(x):
    """MXFP8 as it is written without kernels of one's own: groups of 32, e4m3, scales by the floor rule."""
    groups = x.float().view(-1, GROUP)
    exponents = torch.floor(torch.log2(groups.abs().amax(1, keepdim=True))) - E4M3_EMAX
    scales = torch.exp2(exponents.clamp(-127, 127))
    codes = (groups / scales).clamp(-E4M3_MAX, E4M3_MAX).to(torch.float8_e4m3fn)
    return (codes.float() * scales).view(x.shape).to(x.dtype)


def cast():
    slots = slots_of(lambda: (random(*CAST),), 2 * CAST[0] * CAST[1])
    why = difference(fake_quantize(*slots[0]), slots[0][0].float(), CAST_TOLERANCE)
    return why, *samples_of(fake_quantize, slots)


def rows_of(shapes):
    """(name, {"flops" or "bytes": amount}, what measures it) of each row."""
    kinds = [("bf16", torch.bfloat16, torch.mm),
             ("fp8_e4m3 tensor scales", torch.float8_e4m3fn, scaled(lambda m, n: ((), ()))),
             ("fp8_e4m3 row scales", torch.float8_e4m3fn, scaled(lambda m, n: ((m, 1), (1, n))))]
    for m, n, k in shapes:
        for name, dtype, multiply in kinds:
            yield (f"{m}x{n}x{k} {name}", {"flops": 2 * m * n * k},
                   lambda m=m, n=n, k=k, dtype=dtype, multiply=multiply: product(m, n, k, dtype, multiply))
    yield f"{CAST[0]}x{CAST[1]} fake quantize mxfp8_e4m3, eager", {"bytes": 4 * CAST[0] * CAST[1]}, cast


def measure(name, amount, work):
    row = {"name": name, "status": "right", "why": None, "seconds": None, **amount, "timing": None}
    try:
        row["why"], samples, row["timing"] = work()
        cuts = statistics.quantiles(samples, n=10, method="inclusive")
        row["seconds"] = {"median": statistics.median(samples), "p10": cuts[0], "p90": cuts[-1]}
        if row["why"]:
            row.update(status="wrong", seconds=None)
    except (RuntimeError, ValueError, TypeError, AttributeError) as error:  # what torch refuses with
        row.update(status="failed", why=str(error).partition("\n")[0] or type(error).__name__)
    return row


# ---- The run -------------------------------------------------------------------------------------------------------


def told(row):
    if row["status"] != "right":
        return f"{row['status'].upper()}: {row['why']}"
    kind, unit, scale = ("flops", "TFLOP/s", 1e-12) if "flops" in row else ("bytes", "GB/s", 1e-9)
    median = row["seconds"]["median"]
    return f"{1e3 * median:.4f} ms, {scale * row[kind] / median:.1f} {unit}, {row['timing']}"


def run(options):
    document = {"version": 1, "benchmark": "torch", "torch": str(torch.__version__),
                "gpu": str(torch.cuda.get_device_name()), "complete": False, "stopped": None, "rows": []}
    end = time.monotonic() + options.seconds
    for row in rows_of(options.shapes):
        if time.monotonic() >= end:
            document["stopped"] = f"{options.seconds:g} seconds are over"
            break
        document["rows"].append(measure(*row))
        print(f"{row[0]:<48}  {told(document['rows'][-1])}", flush=True)
        write(options.json, document)
        try:
            torch.cuda.synchronize()
            torch.cuda.empty_cache()
        except RuntimeError as error:
            document["stopped"] = f"the device is lost: {error}"
            break
    document["complete"] = document["stopped"] is None
    write(options.json, document)
    if document["stopped"]:
        sys.stderr.write(f"torch_peer: stopped: {document['stopped']}\n")
    return int(any(row["status"] != "right" for row in document["rows"]))


def shape(text):
    sizes = tuple(int(size) for size in text.split("x"))
    if len(sizes) != 3 or min(sizes) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not MxNxK")
    return sizes


def main():
    parser = argparse.ArgumentParser(prog="torch_peer.py", description=__doc__.partition(":")[2].partition("\n\n")[0])
    parser.add_argument("--json", metavar="FILE", help="write everything, anew after every row")
    parser.add_argument("--shapes", metavar="LIST", type=lambda text: [shape(one) for one in text.split(",")],
                        default="16x8192x8192,8192x8192x8192", help="MxNxK, several separated by ',' (%(default)s)")
    parser.add_argument("--seconds", metavar="LIMIT", type=float, default=60, help="begin no row later than this")
    options = parser.parse_args()
    if torch is None or not torch.cuda.is_available():
        missing = "no torch" if torch is None else f"torch {torch.__version__}, which finds no GPU"
        sys.stderr.write(f"torch_peer: {sys.executable} has {missing}: nothing is measured\n")
        return 77
    return run(options)


if __name__ == "__main__":
    sys.exit(main())
