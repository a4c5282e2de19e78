"""products.py: products of quantized weights here beside ggml, torchao, torch and oneDNN, on the CPU, in turns, on equal
numbers of threads. Names what is missing; weights of f32 here are a peer that always is there.

D [m, n] = A [m, k] times W [n, k] transposed, A and D f32 (bf16 or integers where a peer's name says so), for few and many
rows of A. Every launch takes other weights than the last, of the same values, and they come back after 80 MB and more.

Before a row is timed, elements of both results are compared with sums in float64 over the weights that each side's codes
stand for, and A: within 1e-5 of the norm, of peers whose results are bf16 1 %, and 2 % of ggml, which by itself quantizes
A to 8 bits; A that is quantized here is what its codes stand for. The JSON is written anew after every row and is whole at any time; a row that is wrong
or fails is marked, and the next goes on."""

import itertools
import math
import operator
import sys
from functools import partial

import race
from buffers import normal
from ggml_peer import Ggml
from onednn_peer import Onednn
from product_ours import ProductOurs
from product_peers import EXACT, PAIRS, Problem, ours_quantized
from race import Group, Racer, Subject, row_of

CHECKED_ROWS, CHECKED_COLUMNS = 2, 48
QUICK_ROWS = (1, 8, 64)


class Case:
    """A pair at weights, for any m."""

    def __init__(self, package, pair, options, ours):
        n, k = options.shape
        self.pair, self.problem = pair, Problem(ours, (n, k), normal(n * k, 1), normal(max(options.rows) * k, 2),
                                                ours.threads)
        self.sides = ours_quantized(pair, self.problem), pair.make(package, self.problem)
        self.products = {}

    def products_of(self, m):
        if m not in self.products:
            self.products = {m: [side.product(m) for side in self.sides]}
        return self.products[m]

    def racers(self, row):
        return [Racer(partial(next, itertools.cycle(range(side.slots))), product.launch)
                for side, product in zip(self.sides, self.products_of(row["m"]))]

    def compare(self, row):
        """How far the peer is off; why either is too far off."""
        row["plan"] = self.products_of(row["m"])[0].describe()
        mine, row["distance"] = (self.distance(row["m"], *one) for one in zip(self.sides, self.products_of(row["m"])))
        for who, distance, tolerance in (("the result", mine, EXACT),
                                         ("the peer's result", row["distance"], self.pair.tolerance)):
            if not distance <= tolerance:
                return f"{who} is off by {distance:.3g} of its norm, at most {tolerance:g} is right"
        return None

    def distance(self, m, side, product):
        """From sums in float64, of elements that are spread over the result of the last slot."""
        n, k = self.problem.shape
        product.launch(side.slots - 1)
        result, inputs = product.result(side.slots - 1), side.inputs or self.problem.inputs.numbers()
        rows, columns = ({i * (size - 1) // max(1, most - 1) for i in range(most)} for size, most in
                         ((m, CHECKED_ROWS), (n, CHECKED_COLUMNS)))
        wanted, found = [], []
        for row, column in itertools.product(rows, columns):
            a, w = list(inputs[row * k:(row + 1) * k]), list(side.weights[column * k:(column + 1) * k])
            wanted.append(math.fsum(map(operator.mul, a, w)))
            found.append(float(result[row * n + column]))
        return math.dist(wanted, found) / math.hypot(*wanted)


# ---- Rows ----------------------------------------------------------------------------------------------------------


def product_row(pair, m, threads):
    to = "" if pair.a is None else f" x {pair.a}{' codes' if pair.is_coded else ''}"
    return row_of(f"{pair.package} {pair.name}, {pair.scheme}{to}, M = {m}", pair, threads, a=pair.a,
                  is_coded=pair.is_coded, m=m, goal=pair.goals.get(m), plan=None)


def groups_of(options, found):
    rows = [m for m in options.rows if m in QUICK_ROWS] if options.quick else options.rows
    return [Group(threads, partial(Case, found.get(pair.package), pair, options),
                  [product_row(pair, m, threads) for m in rows])
            for threads in options.threads for pair in PAIRS if pair.package in ("mfq", *found)]


SUBJECT = Subject("products", ("ggml", "onednn", "torch", "torchao"), groups_of,
                  lambda options: {"shape": options.shape, "input": "normal"},
                  loaders={"ggml": Ggml, "onednn": Onednn})


def main():
    parser = race.parser(SUBJECT, __doc__)
    parser.add_argument("--shape", metavar="NxK", type=race.shape, default="4096x4096", help="of weights (%(default)s)")
    parser.add_argument("--rows", metavar="LIST", type=race.counts, default="1,8,64,512", help="of A (%(default)s)")
    return race.main(SUBJECT, parser.parse_args(), ProductOurs)


if __name__ == "__main__":
    sys.exit(main())
