"""fake_quantize.py: fake quantization here beside Brevitas, torch and torchao, on the CPU: forward and backward, in
turns, on equal numbers of threads. Needs a Python with torch, and what is there of the others; names what is missing,
and exits with 77 where torch is.

Before a row is timed its results are compared: bit for bit where fake_peers.py says that both define the same, near
otherwise. The JSON is written anew after every row and is whole at any time; a row that is wrong or fails is marked,
and the next goes on.

Results of peers lie in memory that was touched before, as ours do. A program that leaves the C library as it is has the
system hand out new pages for every large result; --fresh-memory measures that."""

import sys
from functools import partial

import race
from fake_ours import FakeOurs
from fake_peers import PAIRS
from ours import DTYPES
from race import Group, Racer, Subject, row_of

NEAR = 0.1  # of the norm: for bf16 arithmetic, products with reciprocals, gradients at the ends of a clip


class Case:
    """A pair at a tensor."""

    def __init__(self, torch, pair, dtype, shape, ours):
        torch.manual_seed(0)
        self.torch, self.ours, self.pair = torch, ours, pair
        self.x, self.upstream = (torch.randn(*shape, dtype=getattr(torch, DTYPES[dtype][0])) for _ in range(2))
        self.result = torch.empty_like(self.x)
        self.work = pair.make(torch, self.x)

    def run(self, direction, text, is_given):
        scale = self.work.scale if is_given else None
        if direction == "forward":
            return self.ours.forward(text, self.x, self.result, scale)
        return self.ours.backward(text, self.pair, (self.x, self.upstream, self.result), scale)

    def peer_forward(self, _):
        with self.torch.no_grad():
            return self.work.forward()

    def peer_backward(self, y):
        return self.torch.autograd.grad(y, self.work.leaf, self.upstream)[0]

    def racers(self, row):
        run = self.run(row["direction"], self.pair.scheme, self.pair.is_given)
        peer = (Racer(lambda: None, self.peer_forward) if row["direction"] == "forward"
                else Racer(self.work.forward, self.peer_backward))
        return Racer(lambda: None, lambda _: run()), peer

    def compare(self, row):
        """The share of elements whose bits are not the peer's, and by how much of the norm they differ."""
        self.run(row["direction"], self.pair.same or self.pair.scheme, bool(self.pair.same) or self.pair.is_given)()
        peer = self.racers(row)[1]
        wanted, norm = peer.launch(peer.prepare()), self.torch.linalg.vector_norm
        bits = self.torch.int32 if self.x.dtype == self.torch.float32 else self.torch.int16
        row["distance"] = float(norm(self.result.float() - wanted.float())) / float(norm(wanted.float()))
        row["differing"] = int((self.result.view(bits) != wanted.view(bits)).sum()) / wanted.numel()
        return judge(row)


def judge(row):
    """A sentence about results that are not as they should be, else None."""
    if row["equal"] and row["differing"]:
        return f"{100 * row['differing']:.2g} % of the elements differ from the peer's, and none should"
    return None if row["distance"] <= NEAR else f"the result is off by {row['distance']:.3g} of its norm"


# ---- Rows ----------------------------------------------------------------------------------------------------------


def fake_row(pair, dtype, direction, threads):
    work = f"{dtype} {direction}"
    return row_of(f"{pair.package} {pair.name}, {work}", pair, threads, dtype=dtype, direction=direction,
                  goal=pair.goal, equal=work in pair.equal)


def groups_of(options, found):
    groups = []
    for threads in options.threads:
        for pair in (pair for pair in PAIRS if pair.package in found):
            directions = ("forward",) if pair.ste is None or options.quick else ("forward", "backward")
            for dtype in DTYPES:
                make = partial(Case, found["torch"], pair, dtype, options.shape)
                groups.append(Group(threads, make, [fake_row(pair, dtype, one, threads) for one in directions]))
    return groups


SUBJECT = Subject("fake_quantize", ("torch", "torchao", "brevitas"), groups_of,
                  lambda options: {"shape": options.shape, "input": "normal"}, needs=("torch",))


def main():
    parser = race.parser(SUBJECT, __doc__)
    parser.add_argument("--shape", metavar="ROWSxCOLUMNS", type=race.shape, default="4096x4096", help="(%(default)s)")
    return race.main(SUBJECT, parser.parse_args(), FakeOurs)


if __name__ == "__main__":
    sys.exit(main())
