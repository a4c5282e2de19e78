"""make_recipes.py [FILE]: golden vectors of the recipes, by numpy alone, from what docs/recipes.md and docs/numerics.md say.

Of each recipe a linear layer y = x w^T, dx = dy w, dw = dy^T x is computed for some shapes, at one step of a training: the
six operands as the quantizers leave them, whose bits are hashed (FNV-1a 64 of float32, -0 as 0), and the three products in
float64, gradients of Quartet behind its mask, others before they pass the quantizers of x and w. Nothing here knows the library or its tables; what it shares with it is the text of the documents.
"""

import json
import struct
import sys

import numpy as np

F = np.float32
SEED, STEP = 0x5EED0123456789AB, 3
PLACES = ("fprop.x", "fprop.w", "dgrad.dy", "dgrad.w", "wgrad.dy", "wgrad.x")
AXIS = (1, 1, 1, 0, 0, 0)  # what each place's product sums over
# rows, output features, input features
WIDE, ODD, ROWS16, WHOLE128, WHOLE32 = (144, 40, 160), (19, 13, 37), (48, 21, 40), (128, 128, 48), (64, 96, 160)


# ---- Inputs and random bits -------------------------------------------------------------------------------------------


def numbers(shape, start):
    """Of both signs over 14 binades, a few of them 0."""
    state, out = start, []
    for i in range(shape[0] * shape[1]):
        state = (state * 1664525 + 1013904223) % 2**32
        magnitude = (1 + (state >> 9) / 2**23) * 2.0 ** ((state >> 5) % 14 - 11)
        out.append(0.0 if i % 29 == 7 else -magnitude if state >> 31 else magnitude)
    return np.array(out, F).reshape(shape)


def tensors(shape, step):
    m, n, k = shape
    return {"x": numbers((m, k), 10 * step + 1), "w": numbers((n, k), 10 * step + 2),
            "dy": numbers((m, n), 10 * step + 3)}


def philox(key, counter):
    """Philox4x32-7: two words of key, four of counter, each an array or a number of 64 bits."""
    c, k = [np.asarray(word, np.uint64) for word in counter], list(key)
    low = np.uint64(0xFFFFFFFF)
    for _ in range(7):
        a, b = c[0] * np.uint64(0xD2511F53), c[2] * np.uint64(0xCD9E8D57)
        c = [(b >> np.uint64(32)) ^ c[1] ^ np.uint64(k[0]), b & low, (a >> np.uint64(32)) ^ c[3] ^ np.uint64(k[1]), a & low]
        k = [(k[0] + 0x9E3779B9) % 2**32, (k[1] + 0xBB67AE85) % 2**32]
    return c


def words_of(number):
    return number % 2**32, number >> 32


def random_fractions(index, place):
    """The 32-bit fractions that elements add: half index mod 8 of four words, a 1 below its 16 bits."""
    index = index.astype(np.uint64)
    block = index >> np.uint64(3)
    offset = words_of(STEP * 8 + place)
    four = philox(words_of(SEED), (block & np.uint64(0xFFFFFFFF), block >> np.uint64(32),
                                   np.full_like(block, offset[0]), np.full_like(block, offset[1])))
    half = index % np.uint64(8)
    word = np.select([half // np.uint64(2) == np.uint64(i) for i in range(4)], four)
    return ((word >> (half % np.uint64(2) * np.uint64(16))) & np.uint64(0xFFFF)).astype(np.float64) * 65536.0 + 32768.0


# ---- Elements ---------------------------------------------------------------------------------------------------------


class Minifloat:
    def __init__(self, mantissa, bias, largest):
        self.mantissa, self.least, self.largest = mantissa, 1 - bias, largest

    def round(self, t, fractions=None):
        """To nearest even, or up by a random fraction; what is too large becomes the largest."""
        a = np.abs(t.astype(np.float64))
        exponent = np.maximum(np.frexp(a)[1] - 1, self.least)
        steps = a / np.exp2(exponent - self.mantissa)
        if fractions is None:
            whole = np.rint(steps)
        else:
            whole = np.floor(steps) + (np.floor((steps - np.floor(steps)) * 2.0**32) + fractions >= 2.0**32)
        return np.copysign(np.minimum(whole * np.exp2(exponent - self.mantissa), self.largest), t).astype(F)


class Integer:
    def __init__(self, low, high, unit=1.0):
        self.low, self.high, self.unit, self.largest = low, high, unit, high * unit

    def round(self, t, fractions=None):
        assert fractions is None
        return (np.clip(np.rint(t.astype(np.float64) / self.unit), self.low, self.high) * self.unit).astype(F)


E4M3, E5M2 = Minifloat(3, 7, 448.0), Minifloat(2, 15, 57344.0)
E2M3, E2M1 = Minifloat(3, 1, 7.5), Minifloat(1, 1, 6.0)
INT8, INT8_NARROW, MXINT8 = Integer(-128, 127), Integer(-127, 127), Integer(-127, 127, 1 / 64)
UE4M3 = Minifloat(3, 7, 448.0)


# ---- Scales: of statistics, arrays of float32 ---------------------------------------------------------------------------


def exponent_of(a):
    return np.frexp(a)[1] - 1


def floored(a, element):
    return np.where(a > 0, np.exp2(exponent_of(a) - exponent_of(element.largest)), 2.0**-126).astype(F)


def never_saturating(a, element):
    significand, largest = np.frexp(a)[0], np.frexp(element.largest)[0]
    return np.where(a > 0, floored(a, element) * np.where(significand > largest, 2, 1), 2.0**-126).astype(F)


def to_even(a, element):
    """The exponent of the statistic rounded to the element's mantissa: from half a step below the next power on, that one."""
    half_step = 2.0 ** -(element.mantissa + 2)
    return floored(a, element) * np.where(np.frexp(a)[0] >= 1 - half_step, F(2), F(1))


def quotient(a, element):
    return np.maximum(a / F(element.largest), F(2.0**-126))


def brevitas_floored(a, element):
    """The logarithm is a float32's: what is just below a power of two counts as it. Limited before and after."""
    a = np.maximum(a, F(1e-10))
    just_below = (a.view(np.uint32) & 0x7FFFFF) >= 2**23 - 44
    power = np.exp2(exponent_of(a) + just_below).astype(F)
    threshold = 128.0 if isinstance(element, Integer) else 2.0 ** exponent_of(element.largest)
    return np.maximum(power, F(1e-10)) / F(threshold)


def brevitas_quotient(a, element):
    threshold = (element.high if element is INT8_NARROW else 128.0) if isinstance(element, Integer) else element.largest
    return np.maximum(a, F(1e-10)) / F(threshold)


# ---- Groups: [groups, elements] and back --------------------------------------------------------------------------------


class Groups:
    """Elements that share a scale, as rows that are padded with 0. `rows`, `cols`: of a block, or None for all."""

    def __init__(self, shape, rows, cols):
        self.shape = shape
        self.rows, self.cols = rows or shape[0], cols or shape[1]
        self.grid = (-(-shape[0] // self.rows), -(-shape[1] // self.cols))

    def split(self, x):
        room = np.zeros((self.grid[0] * self.rows, self.grid[1] * self.cols), x.dtype)
        room[:self.shape[0], :self.shape[1]] = x
        blocks = room.reshape(self.grid[0], self.rows, self.grid[1], self.cols).transpose(0, 2, 1, 3)
        return blocks.reshape(self.grid[0] * self.grid[1], self.rows * self.cols)

    def join(self, groups):
        blocks = groups.reshape(self.grid[0], self.grid[1], self.rows, self.cols).transpose(0, 2, 1, 3)
        return blocks.reshape(self.grid[0] * self.rows, self.grid[1] * self.cols)[:self.shape[0], :self.shape[1]]


def tree(terms):
    """Sums along the last axis in float32: neighbours first, a missing term is 0."""
    while terms.shape[-1] > 1:
        if terms.shape[-1] % 2:
            terms = np.concatenate([terms, np.zeros_like(terms[..., :1])], -1)
        terms = terms[..., 0::2] + terms[..., 1::2]
    return terms[..., 0]


# ---- Quantizers: (x, axis, place) -> values -----------------------------------------------------------------------------


def plain(x, axis, place):
    return x


def turned(quantize):
    """Makes a quantizer along the last axis one along any; it also gets the row-major index of each element."""
    def along(x, axis, place):
        index = np.arange(x.size).reshape(x.shape)
        if axis == 1:
            return quantize(x, index, place)
        return quantize(np.ascontiguousarray(x.T), np.ascontiguousarray(index.T), place).T
    return along


def scaled_along(element, rule, rows=1, cols=None, gain=None, random=False):
    """One scale for rows x cols; None: all of that axis."""
    def quantize(x, index, place):
        groups = Groups(x.shape, rows, cols)
        parts = groups.split(x)
        scale = rule(np.abs(parts).max(-1), element)[:, None]
        scale = scale if gain is None else np.maximum(scale * F(gain), F(2.0**-126))
        fractions = random_fractions(groups.split(index), place) if random else None
        return groups.join(element.round(parts / scale, fractions) * scale)
    return quantize


def quest_along(x, index, place):
    """Groups of 32 under the power of two that their standard deviation asks for."""
    groups = Groups(x.shape, 1, 32)
    parts = groups.split(x)
    scale = quest_scales(parts)
    return groups.join(E2M1.round(parts / scale) * scale)


def quest_scales(parts):
    n = F(parts.shape[-1])
    around = parts - (tree(parts) / n)[:, None]
    statistic = F(1.94831904) * np.sqrt(tree(around * around) / n)
    return floored(np.where(statistic > 0, statistic, np.abs(parts).max(-1)), E2M1)[:, None]


def scaled(*how):
    return turned(scaled_along(*how))


def tensor(element, rule=quotient):
    return scaled(element, rule, None, None)


def rotate(x, size):
    shape, x, stride = x.shape, x.reshape(-1, size).copy(), 1
    while stride < size:
        pairs = x.reshape(-1, size // (2 * stride), 2, stride)
        x = np.stack([pairs[:, :, 0] + pairs[:, :, 1], pairs[:, :, 0] - pairs[:, :, 1]], 2).reshape(-1, size)
        stride *= 2
    return (x * x.dtype.type(1 / np.sqrt(size))).reshape(shape)


def rotated(quantize, size, signs):
    def around(x, index, place):
        s = signs(size)
        there = rotate((x.reshape(-1, size) * s), size).reshape(x.shape)
        return (rotate(quantize(there, index, place), size).reshape(-1, size) * s).reshape(x.shape)
    return around


def trusted(gradient, x):
    """The gradient of x where its rotated elements round to the grid: E2M1 would go on with 8."""
    parts = rotate(x, 32).reshape(-1, 32)
    passes = np.abs(parts) < 7 * quest_scales(parts)
    return rotate(np.where(passes.reshape(x.shape), rotate(gradient, 32), 0.0), 32)


def no_signs(size):
    return np.ones(size, F)


def fixed_signs(size):
    return np.tile(np.array([1, 1, 1, -1, 1, -1, -1, -1, -1, -1, -1, 1, -1, 1, -1, -1], F), size // 16)


def signs_of_step(size):
    ones = 0xFFFFFFFF
    four = [int(word) for word in philox(words_of(1 + STEP), (ones, ones, ones, ones))]
    return np.array([-1 if four[i // 32] >> i % 32 & 1 else 1 for i in range(size)], F)


def nvfp4_along(rows=1, cols=16, bound=448.0, gain=None, random=False, four_over_six=False, eden=None):
    def quantize(x, index, place):
        groups = Groups(x.shape, rows, cols)
        parts, absmax = groups.split(x), np.abs(groups.split(x)).max(-1)
        threshold = F(6.0) if gain is None else F(6.0) / F(gain)
        g = np.maximum(absmax.max() / (threshold * F(bound)), F(2.0**-126)) if absmax.max() > 0 else F(1)

        def scale_of(a):
            return np.where(a > 0, np.maximum(UE4M3.round(a / threshold / g), F(2.0**-9)), F(0)).astype(F)[:, None]

        def codes_and_values(s):
            divisor = s * g
            t = np.where(s > 0, parts / np.where(s > 0, divisor, F(1)), F(0)).astype(F)
            fractions = random_fractions(groups.split(index), place) if random else None
            v = E2M1.round(t, fractions)
            return v, v * s * g

        s = scale_of(absmax)
        v, values = codes_and_values(s)
        if four_over_six:
            other = scale_of(absmax / F(2) * F(3))
            values4 = codes_and_values(other)[1]
            loss, loss4 = (tree((parts - y) * (parts - y)) for y in (values, values4))
            values = np.where((loss4 < loss)[:, None], values4, values)
        if eden is None:
            return groups.join(values)
        t = np.where(s > 0, parts / g, F(0)).astype(F)
        q = v * s
        squares, products = (tree(groups.join(terms).reshape(-1, eden)) for terms in (t * t, t * q))
        c = np.where(products > 0, squares / np.where(products > 0, products, F(1)), F(1)).astype(F)
        exact = s * np.repeat(c, eden // cols)[:, None]
        first = groups.split(index)[:, :1]
        corrected = UE4M3.round(exact, random_fractions(first, place))
        return groups.join(v * corrected * g)
    return quantize


def nvfp4(**how):
    return turned(nvfp4_along(**how))


def delayed(element):
    """The scale of the largest magnitude of the steps before."""
    def quantize(x, axis, place, history):
        scale = F(max(np.abs(t).max() for t in history)) / F(element.largest)
        return element.round(x / scale) * scale
    return quantize


SAME = "same"


def again(quantize):
    return ("again", quantize)


# ---- The recipes --------------------------------------------------------------------------------------------------------

FP8_TENSOR, FP8_GRADIENT = tensor(E4M3), tensor(E5M2)
FP8_ROW, FP8_128 = scaled(E4M3, never_saturating), scaled(E4M3, quotient, 1, 128)
MXFP8 = scaled(E4M3, never_saturating, 1, 32)
SQUARE = scaled(E4M3, never_saturating, 128, 128)
SR = nvfp4(random=True)
FOUR_SIX = nvfp4(bound=256.0, four_over_six=True)
UNBIASED = turned(rotated(scaled_along(E2M1, floored, 1, 32, 4 / 3, True), 64, signs_of_step))
UNBIASED_32 = turned(rotated(scaled_along(E2M1, floored, 1, 32, 4 / 3, True), 32, signs_of_step))
QUEST = turned(rotated(quest_along, 32, no_signs))
MXFP4_EVEN = scaled(E2M1, to_even, 1, 32)
MXFP4_TURNED = turned(rotated(scaled_along(E2M1, to_even, 1, 32), 16, no_signs))
EDEN = turned(rotated(nvfp4_along(bound=255.99, gain=0.988125, eden=128), 128, signs_of_step))
MX_FLOAT, MX_INT = scaled(E4M3, brevitas_floored, 1, 32), scaled(INT8, brevitas_floored, 1, 32)


def six(quantizer):
    return [quantizer] * 6


def brevitas(x, w):
    return [x, w, plain, SAME, plain, SAME]


CURRENT = [FP8_TENSOR, FP8_TENSOR, FP8_GRADIENT, SAME, SAME, SAME]
RECIPES = {  # name: places in the order of PLACES, shapes
    "none": (six(plain), (ODD,)),
    "fp8_current": (CURRENT, (WIDE, ODD)),
    "fp8_tensor": (CURRENT, (ODD,)),
    "fp8_delayed": ([delayed(E4M3), delayed(E4M3), delayed(E5M2), SAME, SAME, SAME], (ODD,)),
    "fp8_rowwise": (six(FP8_ROW), (WIDE, ODD)),
    "fp8_rowwise_gw_hp": ([FP8_ROW, FP8_ROW, FP8_ROW, tensor(E4M3, never_saturating), plain, plain], (WIDE, ODD)),
    "fp8_block128": ([FP8_128, scaled(E4M3, quotient, 128, 128), FP8_128, SAME, FP8_128, FP8_128], (WIDE, ODD)),
    "mxfp8": (six(MXFP8), (WIDE, ODD)),
    "mxfp8_2d": ([MXFP8, scaled(E4M3, never_saturating, 32, 32), MXFP8, SAME, MXFP8, MXFP8], (WIDE, ODD)),
    "mxfp8_wgrad_hp": (six(MXFP8)[:4] + [plain, plain], (WIDE, ODD)),
    "mxfp8_square": ([SQUARE, SQUARE, SQUARE, SAME, SAME, SAME], (WIDE, ODD)),
    "mxfp6": (six(scaled(E2M3, floored, 1, 32)), (WIDE, ODD)),
    "mxfp4": (six(scaled(E2M1, floored, 1, 32)), (WIDE, ODD)),
    "mxint8": (six(scaled(MXINT8, floored, 1, 32)), (WIDE, ODD)),
    "mxfp4_qat": ([MXFP8, scaled(E2M1, never_saturating, 1, 32), MXFP8, again(MXFP8), MXFP8, MXFP8], (WIDE, ODD)),
    "mxfp4_backward": ([plain, plain] + [UNBIASED] * 4, (WHOLE128,)),
    "quartet": ([QUEST, QUEST, UNBIASED_32, again(UNBIASED_32), UNBIASED_32, again(UNBIASED_32)], (WHOLE32,)),
    "mxfp4_amd": ([MXFP4_EVEN, scaled(E2M1, to_even, 32, 32), MXFP4_EVEN, SAME, MXFP4_TURNED, MXFP4_TURNED], (WIDE, ROWS16)),
    "nvfp4": ([nvfp4(), nvfp4(rows=16), SR, SAME, turned(rotated(nvfp4_along(random=True), 16, fixed_signs)),
               turned(rotated(nvfp4_along(), 16, fixed_signs))], (WIDE, ROWS16)),
    "nvfp4_46": ([FOUR_SIX, nvfp4(rows=16, bound=256.0, four_over_six=True), SR, SAME, SR, FOUR_SIX], (WIDE, ODD)),
    "quartet2": ([FOUR_SIX, FOUR_SIX, EDEN, again(EDEN), EDEN, again(EDEN)], (WHOLE128,)),
    "brevitas_mxfp8": (brevitas(MX_FLOAT, MX_FLOAT), (WIDE, ODD)),
    "brevitas_mxint8": (brevitas(MX_INT, MX_INT), (WIDE, ODD)),
    "brevitas_fp8": (brevitas(tensor(E4M3, brevitas_quotient), tensor(E4M3, brevitas_quotient)), (ODD,)),
    "brevitas_int8": (brevitas(tensor(INT8, brevitas_quotient), tensor(INT8_NARROW, brevitas_quotient)), (ODD,)),
}


def operands(places, shape):
    now = tensors(shape, STEP)
    before = [tensors(shape, step) for step in range(STEP)]
    first = {"x": 0, "w": 1, "dy": 2}  # where the numbers of `same` and `again` are made
    values = []
    for place, (name, axis, quantize) in enumerate(zip(PLACES, AXIS, places)):
        tensor_name = name.split(".")[1]
        x = now[tensor_name]
        if quantize == SAME:
            values.append(values[first[tensor_name]])
        elif isinstance(quantize, tuple):
            values.append(quantize[1](values[first[tensor_name]], axis, place))
        elif quantize.__qualname__.startswith("delayed"):
            values.append(quantize(x, axis, place, [step[tensor_name] for step in before]))
        else:
            values.append(quantize(x, axis, place))
        assert values[-1].dtype == F and values[-1].shape == x.shape, name
    return values


def fnv(values):
    h = 0xCBF29CE484222325
    for byte in (values + F(0)).tobytes():  # -0 becomes 0
        h = (h ^ byte) * 0x100000001B3 % 2**64
    return f"{h:016x}"


def thinned(values):
    """At most 256 of the values, at even distances from the first one."""
    flat = values.reshape(-1)
    return flat[::-(-flat.size // 256)].astype(F)


def write(path, hashes, results):
    header, at = {"__metadata__": hashes}, 0
    for name, values in results.items():
        header[name] = {"dtype": "F32", "shape": list(values.shape), "data_offsets": [at, at + values.nbytes]}
        at += values.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for values in results.values():
            file.write(values.tobytes())


def main(path):
    hashes, results = {"numpy": np.__version__}, {}
    for name, (places, shapes) in RECIPES.items():
        for shape in shapes:
            case = f"{name} {shape[0]}x{shape[1]}x{shape[2]}"
            values = operands(places, shape)
            for place, v in zip(PLACES, values):
                hashes[f"{case} {place}"] = fnv(v)
            x, w, dy, w_back, dy_back, x_back = (v.astype(np.float64) for v in values)
            dx, dw = dy @ w_back, dy_back.T @ x_back
            if name == "quartet":
                now = tensors(shape, STEP)
                dx, dw = trusted(dx, now["x"]), trusted(dw, now["w"])
            for product, result in (("y", x @ w.T), ("dx", dx), ("dw", dw)):
                results[f"{case} {product}"] = thinned(result)
    write(path, hashes, results)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else __file__.replace("make_recipes.py", "recipes.safetensors"))
