"""product_ours.py: products of libmfq by ctypes: A [m, k] times W [n, k] transposed."""

import ctypes
from ctypes import POINTER, byref, c_float, c_int32, c_size_t, c_void_p, pointer

from buffers import Buffer
from ours import STRUCTS, Ours, Quantized
from round_trip import ENUM, QTensor, Scheme, Tensor


class Operand(ctypes.Structure):
    _fields_ = [("plain", POINTER(Tensor)), ("quantize_to", POINTER(Scheme)), ("quantized", POINTER(QTensor))]


class Gemm(ctypes.Structure):
    _fields_ = [("struct_size", c_size_t), ("a", Operand), ("b", Operand), ("transpose_a", c_int32),
                ("transpose_b", c_int32), ("c", POINTER(Tensor)), ("bias", POINTER(Tensor)), ("alpha", POINTER(c_float)),
                ("beta", POINTER(c_float)), ("device_scalars", c_int32), ("activation", ENUM), ("d", POINTER(Tensor)),
                ("quantized_d", POINTER(QTensor)), ("round_operands", c_int32), ("own_workspace", c_int32)]


class ProductOurs(Ours):
    STRUCTS = {**STRUCTS, "mfq_operand": Operand, "mfq_gemm": Gemm}

    def operand(self, x, scheme=None):
        """`x` is a Quantized or a tensor, which is quantized to `scheme` on its way in."""
        if isinstance(x, Quantized):
            return Operand(quantized=pointer(x.q))
        return Operand(plain=pointer(x), quantize_to=pointer(self.scheme(scheme)) if scheme else None)

    def gemm(self, a, b, d):
        made = Gemm()
        self.mfq.library.mfq_gemm_init(byref(made))
        made.a, made.b, made.d, made.transpose_b, made.own_workspace = a, b, pointer(d), 1, 1
        return made


class Product:
    """One plan, run with each of several equal W."""

    def __init__(self, ours, a, weights, shape):
        """`a` is what `operand` takes; `weights` are Quantized, or Buffers of f32."""
        self.ours, (m, n, k), self.plan, self.held = ours, shape, c_void_p(), (a, weights)
        self.d, operand = Buffer(4 * m * n), ours.operand(*a)
        tensor = ours.plain(self.d.address, "f32", (m, n))
        self.gemms = [ours.gemm(operand, ours.operand(w if isinstance(w, Quantized) else ours.plain(w.address, "f32", (n, k))),
                                tensor) for w in weights]
        ours.mfq.call("mfq_gemm_plan_create", ours.context, byref(self.gemms[0]), byref(self.plan))

    def describe(self):
        return self.ours.mfq.library.mfq_gemm_plan_describe(self.plan).decode()

    def launch(self, slot):
        self.ours.mfq.call("mfq_gemm_run", self.ours.context, self.plan, byref(self.gemms[slot]), None, c_size_t(0))

    def result(self, _):
        return self.d.numbers()

    def __del__(self):
        self.ours.mfq.library.mfq_gemm_plan_destroy(self.plan)
