"""convolutions.py: convolutions here, inputs quantized on their way in, beside torch's in f32 and this library's own
without quantization, on the CPU, in turns, on equal numbers of threads. Names what is missing; f32 here always is there.

Before a row is timed, elements of both results are compared with sums in float64 over the values that each side
convolves: within 1e-5 of the norm. The JSON is written anew after every row and is whole at any time; a row that is wrong
or fails is marked, and the next goes on."""

import itertools
import math
import operator
import sys
from dataclasses import replace
from functools import partial

import race
from buffers import normal
from conv_ours import ConvOurs
from conv_peers import LAYERS, PAIRS, Problem, ours_quantized
from race import Group, Racer, Subject, row_of

EXACT, CHECKED = 1e-5, 60


class Case:
    """A pair at a layer."""

    def __init__(self, package, pair, layer, ours):
        self.layer = layer
        problem = Problem(ours, layer, *(normal(math.prod(shape), seed) for seed, shape in
                                         enumerate((layer.input_shape, layer.weight_shape))))
        self.sides = ours_quantized(pair, problem), pair.make(package, problem)

    def racers(self, _):
        return [Racer(lambda: None, side.launch) for side in self.sides]

    def compare(self, row):
        row["plan"] = self.sides[0].plan
        mine, row["distance"] = map(self.distance, self.sides)
        for who, distance in (("the result", mine), ("the peer's result", row["distance"])):
            if not distance <= EXACT:
                return f"{who} is off by {distance:.3g} of its norm, at most {EXACT:g} is right"
        return None

    def distance(self, side):
        """From sums in float64, of outputs that are spread over the result."""
        side.launch(None)
        result, last = side.result(), self.layer.outputs - 1
        places = [i * last // (CHECKED - 1) for i in range(CHECKED)]
        wanted = [self.wanted(side, place) for place in places]
        return math.dist(wanted, [list(result[place:place + 1])[0] for place in places]) / math.hypot(*wanted)

    def wanted(self, side, place):
        layer, total = self.layer, 0.0
        pixel, k = divmod(place, layer.filters)
        image, pixel = divmod(pixel, layer.size**2)
        row, column = divmod(pixel, layer.size)
        depth = layer.channels // layer.groups
        first = k // (layer.filters // layer.groups) * depth
        for r, s in itertools.product(range(layer.filter), repeat=2):
            y, x = row + r - layer.filter // 2, column + s - layer.filter // 2
            if 0 <= y < layer.size and 0 <= x < layer.size:
                at = ((image * layer.size + y) * layer.size + x) * layer.channels + first
                tap = ((k * layer.filter + r) * layer.filter + s) * depth
                total += math.fsum(map(operator.mul, list(side.x[at:at + depth]), list(side.weight[tap:tap + depth])))
        return total


# ---- Rows ----------------------------------------------------------------------------------------------------------


def conv_row(pair, layer, threads):
    return row_of(f"{pair.package} {pair.name}, {pair.scheme} x {pair.a}, {layer.name}", pair, threads, a=pair.a,
                  shape=layer.name, goal=pair.goal, plan=None)


def groups_of(options, found):
    layers = [replace(layer, batch=options.batch) for layer in LAYERS]
    return [Group(threads, partial(Case, found.get(pair.package), pair, layer), [conv_row(pair, layer, threads)])
            for threads in options.threads for layer in layers for pair in PAIRS if pair.package in ("mfq", *found)]


SUBJECT = Subject("convolutions", ("torch",), groups_of, lambda options: {"batch": options.batch, "input": "normal"})


def main():
    parser = race.parser(SUBJECT, __doc__)
    parser.add_argument("--batch", metavar="N", type=int, default=8, help="images (%(default)s)")
    return race.main(SUBJECT, parser.parse_args(), ConvOurs)


if __name__ == "__main__":
    sys.exit(main())
