"""fake_ours.py: fake quantization by libmfq and ctypes. Calls are made ready: a launch is a call and nothing else."""

import ctypes
import sys
from ctypes import POINTER, byref, c_int32, c_int64, c_size_t, c_void_p, pointer
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))
from round_trip import ENUM, STRUCTS, ContextOptions, Mfq, QTensor, Scheme, Tensor  # noqa: E402

DTYPES = {"f32": ("float32", 1), "bf16": ("bfloat16", 2)}  # torch's name, mfq_dtype


class FakeGradient(ctypes.Structure):
    _fields_ = [("struct_size", c_size_t), ("scheme", POINTER(Scheme)), ("given", POINTER(QTensor)), ("ste", ENUM),
                ("src", POINTER(Tensor)), ("upstream", POINTER(Tensor)), ("dx", POINTER(Tensor)),
                ("through_scale", c_int32), ("log2_scale", c_int32), ("grad_scale", POINTER(Tensor)),
                ("grad_zero_point", POINTER(Tensor)), ("mask", c_void_p)]


def shape_of(x):
    return (c_int64 * len(x.shape))(*x.shape)


class Ours:
    def __init__(self, path, threads):
        self.mfq = Mfq(path, {**STRUCTS, "mfq_fake_gradient": FakeGradient})
        for name in ("mfq_version", "mfq_context_describe"):
            getattr(self.mfq.library, name).restype = ctypes.c_char_p
        options, self.context = ContextOptions(), c_void_p()
        self.mfq.library.mfq_context_options_init(byref(options))
        options.threads = threads
        self.mfq.call("mfq_context_create", byref(options), byref(self.context))

    def describe(self):
        """The version of the library, and what its context says of itself."""
        return self.mfq.library.mfq_version().decode(), self.mfq.library.mfq_context_describe(self.context).decode()

    def tensor(self, x):
        made, dtype = Tensor(), next(code for name, code in DTYPES.values() if str(x.dtype).endswith(f".{name}"))
        self.mfq.call("mfq_tensor_init", c_void_p(x.data_ptr()), dtype, len(x.shape), shape_of(x), byref(made))
        return made

    def scheme(self, text):
        made = Scheme()
        self.mfq.call("mfq_scheme_parse", text.encode(), byref(made))
        return made

    def given(self, text, x, scale):
        made, scheme = QTensor(), self.scheme(text)
        self.mfq.call("mfq_qtensor_init", byref(scheme), len(x.shape), shape_of(x), None, byref(made))
        made.scales = scale.data_ptr()
        return made

    def forward(self, text, x, y, scale=None):
        """`scale` where the scheme takes it as given."""
        src, dst = self.tensor(x), self.tensor(y)
        if scale is None:
            scheme = self.scheme(text)
            return lambda: self.mfq.call("mfq_fake_quantize", self.context, byref(scheme), byref(src), byref(dst), None)
        q = self.given(text, x, scale)
        return lambda: self.mfq.call("mfq_fake_quantize_given", self.context, byref(q), byref(src), byref(dst))

    def backward(self, text, how, tensors, scale=None):
        """`how` has `ste` and `through_scale`; `tensors` are x, the gradient of the values and where that of x goes."""
        gradient = FakeGradient()
        self.mfq.library.mfq_fake_gradient_init(byref(gradient))
        gradient.ste = how.ste
        gradient.src, gradient.upstream, gradient.dx = (pointer(self.tensor(tensor)) for tensor in tensors)
        if scale is None:
            gradient.scheme, gradient.through_scale = pointer(self.scheme(text)), how.through_scale
        else:
            gradient.given = pointer(self.given(text, tensors[0], scale))
        return lambda: self.mfq.call("mfq_fake_quantize_backward", self.context, byref(gradient))
