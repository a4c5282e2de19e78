"""fake_ours.py: fake quantization by libmfq and ctypes."""

import ctypes
from ctypes import POINTER, byref, c_int32, c_size_t, c_void_p, pointer

from ours import DTYPES, STRUCTS, Ours, sizes
from round_trip import ENUM, QTensor, Scheme, Tensor


class FakeGradient(ctypes.Structure):
    _fields_ = [("struct_size", c_size_t), ("scheme", POINTER(Scheme)), ("given", POINTER(QTensor)), ("ste", ENUM),
                ("src", POINTER(Tensor)), ("upstream", POINTER(Tensor)), ("dx", POINTER(Tensor)),
                ("through_scale", c_int32), ("log2_scale", c_int32), ("grad_scale", POINTER(Tensor)),
                ("grad_zero_point", POINTER(Tensor)), ("mask", c_void_p)]


class FakeOurs(Ours):
    STRUCTS = {**STRUCTS, "mfq_fake_gradient": FakeGradient}

    def tensor(self, x):
        """Of torch's."""
        return self.plain(x.data_ptr(), next(name for name, (torch_name, _) in DTYPES.items()
                                             if str(x.dtype).endswith(f".{torch_name}")), x.shape)

    def given(self, text, x, scale):
        made, scheme = QTensor(), self.scheme(text)
        self.mfq.call("mfq_qtensor_init", byref(scheme), len(x.shape), sizes(x.shape), None, byref(made))
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
