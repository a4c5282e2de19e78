"""buffers.py: memory that every library here can use: pages of its own, by address or as numbers."""

import array
import ctypes
import mmap
import random

PERIOD = 65521  # a prime: no two rows are alike


class Buffer:
    def __init__(self, size):
        self.size, self.pages = size, mmap.mmap(-1, max(size, 1))
        self.address = ctypes.addressof(ctypes.c_char.from_buffer(self.pages))

    def again(self):
        """The same bytes elsewhere."""
        made = Buffer(self.size)
        made.pages[:] = self.pages
        return made

    def numbers(self, kind="f"):
        return memoryview(self.pages)[:self.size].cast(kind)


class Bf16:
    """The values of a buffer of bf16."""

    def __init__(self, buffer):
        self.words = buffer.numbers("H")

    def __getitem__(self, some):
        return array.array("f", array.array("I", (word << 16 for word in self.words[some])).tobytes()).tolist()


def filled(block, size):
    """The bytes of `block`, over and over."""
    buffer = Buffer(size)
    buffer.pages[:size] = (block * (size // len(block) + 1))[:size]
    return buffer


def normal(count, seed, dtype="f32"):
    """Normal numbers of f32 or bf16."""
    draw = random.Random(seed)
    block = array.array("f", (draw.gauss(0, 1) for _ in range(min(count, PERIOD)))).tobytes()
    if dtype == "bf16":  # the upper halves, little-endian
        block = b"".join(block[i + 2:i + 4] for i in range(0, len(block), 4))
    return filled(block, count * (4 if dtype == "f32" else 2))


def codes(count, seed, bits=8):
    """Bytes of any value below 2^bits."""
    draw = random.Random(seed)
    return filled(bytes(draw.getrandbits(bits) for _ in range(PERIOD)), count)
