"""ours.py: libmfq by ctypes, as the races call it. Calls are made ready: a launch is a call and nothing else."""

import ctypes
import sys
from ctypes import byref, c_int64, c_void_p
from pathlib import Path

from buffers import Buffer

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))
from round_trip import STRUCTS, ContextOptions, Mfq, QTensor, QTensorSizes, Scheme, Tensor  # noqa: E402

DTYPES = {"f32": ("float32", 1), "bf16": ("bfloat16", 2)}  # torch's name, mfq_dtype


def sizes(shape):
    return (c_int64 * len(shape))(*shape)


class Quantized:
    """A qtensor with memory of its own; `like` has the same bytes elsewhere."""

    def __init__(self, ours, text, shape, like=None):
        self.q, self.ours, self.text, self.shape = QTensor(), ours, text, shape
        scheme, bytes_of = ours.scheme(text), QTensorSizes()
        ours.mfq.call("mfq_qtensor_init", byref(scheme), len(shape), sizes(shape), None, byref(self.q))
        ours.mfq.call("mfq_qtensor_sizes_get", byref(self.q), byref(bytes_of))
        self.memory = [Buffer(getattr(bytes_of, f"{part}_bytes"))
                       for part in ("codes", "scales", "zero_points", "tensor_scale")]
        self.size = sum(buffer.size for buffer in self.memory)
        codes, scales, zero_points, tensor_scale = (buffer.address if buffer.size else None for buffer in self.memory)
        self.q.codes, self.q.scales, self.q.zero_points = codes, scales, zero_points
        self.q.tensor_scale = ctypes.cast(tensor_scale, ctypes.POINTER(ctypes.c_float))
        if like:
            for mine, other in zip(self.memory, like.memory):
                mine.pages[:] = other.pages

    def again(self):
        return Quantized(self.ours, self.text, self.shape, self)


class Ours:
    STRUCTS = STRUCTS

    def __init__(self, path, threads):
        self.mfq = Mfq(path, self.STRUCTS)
        for name in ("mfq_version", "mfq_context_describe", "mfq_gemm_plan_describe", "mfq_conv_plan_describe"):
            getattr(self.mfq.library, name).restype = ctypes.c_char_p
        options, self.context = ContextOptions(), c_void_p()
        self.mfq.library.mfq_context_options_init(byref(options))
        self.threads = options.threads = threads
        self.mfq.call("mfq_context_create", byref(options), byref(self.context))

    def describe(self):
        """The version of the library, and what its context says of itself."""
        return self.mfq.library.mfq_version().decode(), self.mfq.library.mfq_context_describe(self.context).decode()

    def plain(self, address, dtype, shape):
        made = Tensor()
        self.mfq.call("mfq_tensor_init", c_void_p(address), DTYPES[dtype][1], len(shape), sizes(shape), byref(made))
        return made

    def scheme(self, text):
        made = Scheme()
        self.mfq.call("mfq_scheme_parse", text.encode(), byref(made))
        return made

    def quantizer(self, x, quantized):
        """A launch that quantizes a tensor."""
        return lambda: self.mfq.call("mfq_quantize", self.context, byref(x), byref(quantized.q), None)

    def dequantizer(self, quantized, y):
        return lambda: self.mfq.call("mfq_dequantize", self.context, byref(quantized.q), byref(y))

    def read(self, text, buffer, shape):
        """A buffer of f32 quantized, and the values that the codes stand for."""
        q, values = Quantized(self, text, shape), Buffer(buffer.size)
        self.quantizer(self.plain(buffer.address, "f32", shape), q)()
        self.dequantizer(q, self.plain(values.address, "f32", shape))()
        return q, values
