"""casts.py: quantize and dequantize here beside torchao, torch, ggml and ml_dtypes, on the CPU, in turns, on equal numbers
of threads. Names what is missing.

Before a row is timed, what both sides read again from their codes is compared, at elements that are spread over the tensor:
equal where both define the same, within a part of the norm that cast_peers.py names where they choose other scales. ggml
and ml_dtypes convert on one thread. The JSON is written anew after every row and is whole at any time; a row that is
wrong or fails is marked, and the next goes on."""

import math
import sys
from functools import partial

import race
from buffers import Bf16, Buffer, normal
from cast_peers import PAIRS, Problem, Side
from ggml_peer import Ggml
from ours import Ours, Quantized
from race import Group, Racer, Subject, row_of

COMPARED = 20000  # elements


def ours_side(ours, scheme, problem):
    x = ours.plain(problem.x.address, problem.dtype, problem.shape)
    q, memory = Quantized(ours, scheme, problem.shape), Buffer(problem.x.size)
    y = ours.plain(memory.address, problem.dtype, problem.shape)
    quantize, dequantize = ours.quantizer(x, q), ours.dequantizer(q, y)
    return Side(quantize, lambda _: dequantize(), lambda _: memory.numbers() if problem.dtype == "f32" else Bf16(memory))


class Case:
    """A pair at a tensor."""

    def __init__(self, package, pair, dtype, shape, ours):
        self.problem = Problem(normal(shape[0] * shape[1], 1, dtype), dtype, shape)
        self.pair, self.sides = pair, (ours_side(ours, pair.scheme, self.problem), pair.make(package, self.problem))

    def racers(self, row):
        if row["direction"] == "quantize":
            return [Racer(lambda: None, lambda _, side=side: side.quantize()) for side in self.sides]
        codes = [side.quantize() for side in self.sides]
        return [Racer(lambda q=q: q, side.dequantize) for side, q in zip(self.sides, codes)]

    def compare(self, row):
        step = max(1, self.problem.count // COMPARED)
        mine, peers = (list(side.values(side.dequantize(side.quantize()))[:self.problem.count:step])
                       for side in self.sides)
        row["differing"] = sum(a != b for a, b in zip(mine, peers)) / len(mine)
        row["distance"] = math.dist(mine, peers) / math.hypot(*peers)
        if row["distance"] <= self.pair.tolerance:
            return None
        return (f"the result is off by {row['distance']:.3g} of the norm of the peer's, at most "
                f"{self.pair.tolerance:g} is right")


# ---- Rows ----------------------------------------------------------------------------------------------------------


def cast_row(pair, dtype, direction, threads):
    return row_of(f"{pair.package} {pair.name}, {pair.scheme}, {dtype} {direction}", pair, threads, dtype=dtype,
                  direction=direction, goal=pair.goal)


def groups_of(options, found):
    return [Group(threads, partial(Case, found[pair.package], pair, dtype, options.shape),
                  [cast_row(pair, dtype, direction, threads) for direction in ("quantize", "dequantize")])
            for threads in options.threads for pair in PAIRS
            if pair.package in found and threads <= (pair.most_threads or threads)
            for dtype in (pair.dtypes[:1] if options.quick else pair.dtypes)]


SUBJECT = Subject("casts", ("torch", "torchao", "ml_dtypes", "ggml"), groups_of,
                  lambda options: {"shape": options.shape, "input": "normal"}, loaders={"ggml": Ggml})


def main():
    parser = race.parser(SUBJECT, __doc__)
    parser.add_argument("--shape", metavar="ROWSxCOLUMNS", type=race.shape, default="4096x4096", help="(%(default)s)")
    return race.main(SUBJECT, parser.parse_args(), Ours)


if __name__ == "__main__":
    sys.exit(main())
