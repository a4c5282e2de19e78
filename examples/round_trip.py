"""round_trip.py [LIBRARY]: round_trip.c from Python, by ctypes alone: declare, compare sizes, call.

A declaration that is not the header's, of another version say, would make the library read and write beside what is
meant; mfq_struct_bytes finds it before the first call.
"""

import ctypes
import ctypes.util
import sys
from ctypes import byref, c_char_p, c_float, c_int32, c_int64, c_size_t, c_uint64, c_void_p

RANK = 8  # MFQ_MAX_RANK
ENUM = ctypes.c_int
F32 = 1  # MFQ_DTYPE_F32


class Tensor(ctypes.Structure):
    _fields_ = [("data", c_void_p), ("dtype", ENUM), ("rank", c_int32), ("shape", c_int64 * RANK),
                ("strides", c_int64 * RANK)]


class Format(ctypes.Structure):
    _fields_ = [("kind", ENUM), ("is_signed", c_int32), ("exp_bits", c_int32), ("man_bits", c_int32), ("bias", c_int32),
                ("specials", ENUM), ("frac_bits", c_int32), ("narrow", c_int32)]


class Scheme(ctypes.Structure):
    _fields_ = [("element", Format), ("granularity", ENUM), ("axis", c_int32), ("group_size", c_int32),
                ("block_rows", c_int32), ("block_cols", c_int32), ("scale", ENUM), ("rule", ENUM), ("statistic", ENUM),
                ("rounding", ENUM), ("no_saturate", c_int32), ("zero_point", c_int32), ("arith", ENUM),
                ("scale_element", Format), ("statistic_min", c_float), ("scale_gain", c_float), ("scale_bound", c_float), ("eden", c_int32),
                ("rotation", c_int32),
                ("signs", ENUM), ("sign_seed", c_uint64)]


class Layout(ctypes.Structure):
    _fields_ = [("codes", ENUM), ("packing", ENUM), ("scales", ENUM), ("row_align", c_int32)]


class QTensor(ctypes.Structure):
    _fields_ = [("scheme", Scheme), ("layout", Layout), ("rank", c_int32), ("shape", c_int64 * RANK),
                ("codes", c_void_p), ("scales", c_void_p), ("zero_points", c_void_p),
                ("tensor_scale", ctypes.POINTER(c_float))]


class QTensorSizes(ctypes.Structure):
    _fields_ = [("codes_bytes", c_size_t), ("row_bits", c_size_t), ("scales_bytes", c_size_t),
                ("zero_points_bytes", c_size_t), ("tensor_scale_bytes", c_size_t), ("axis", c_int32),
                ("scale_rank", c_int32), ("scale_shape", c_int64 * RANK), ("scale_count", c_int64),
                ("padded_shape", c_int64 * RANK)]


class ContextOptions(ctypes.Structure):
    _fields_ = [("struct_size", c_size_t), ("device", c_char_p), ("threads", c_int32), ("policy", ENUM),
                ("cpu_isa", c_char_p), ("log_level", ENUM), ("log", c_void_p), ("log_user", c_void_p),
                ("alloc", c_void_p), ("free", c_void_p), ("alloc_user", c_void_p), ("stream", c_void_p)]


STRUCTS = {"mfq_tensor": Tensor, "mfq_format": Format, "mfq_scheme": Scheme, "mfq_layout": Layout,
           "mfq_qtensor": QTensor, "mfq_qtensor_sizes": QTensorSizes, "mfq_context_options": ContextOptions}


class Mfq:
    """The library; a call that fails raises its sentence."""

    def __init__(self, path, structs=None):
        self.library = ctypes.CDLL(path)
        self.library.mfq_last_error.restype = c_char_p
        for name, declared in (structs or STRUCTS).items():
            there = c_size_t()
            self.call("mfq_struct_bytes", name.encode(), byref(there))
            if there.value != ctypes.sizeof(declared):
                raise RuntimeError(f"{name} has {there.value} bytes in {path}, declared here {ctypes.sizeof(declared)}")

    def call(self, function, *arguments):
        if getattr(self.library, function)(*arguments) != 0:
            raise RuntimeError(self.library.mfq_last_error().decode())


def main(path):
    mfq = Mfq(path)
    options, context = ContextOptions(), c_void_p()
    mfq.library.mfq_context_options_init(byref(options))
    mfq.call("mfq_context_create", byref(options), byref(context))

    x = (c_float * 64)(*[(i - 20) / 8 for i in range(64)])
    y = (c_float * 64)()
    shape = (c_int64 * 2)(2, 32)
    scheme, q, sizes, src, dst = Scheme(), QTensor(), QTensorSizes(), Tensor(), Tensor()
    mfq.call("mfq_scheme_parse", b"mxfp4_e2m1", byref(scheme))
    mfq.call("mfq_qtensor_init", byref(scheme), 2, shape, None, byref(q))
    mfq.call("mfq_qtensor_sizes_get", byref(q), byref(sizes))
    codes = ctypes.create_string_buffer(sizes.codes_bytes)
    scales = ctypes.create_string_buffer(sizes.scales_bytes)
    q.codes, q.scales = ctypes.addressof(codes), ctypes.addressof(scales)
    mfq.call("mfq_tensor_init", x, F32, 2, shape, byref(src))
    mfq.call("mfq_tensor_init", y, F32, 2, shape, byref(dst))
    mfq.call("mfq_quantize", context, byref(src), byref(q), None)
    mfq.call("mfq_dequantize", context, byref(q), byref(dst))
    mfq.library.mfq_context_destroy(context)

    worst = max(abs(a - b) for a, b in zip(x, y))
    print(f"{ctypes.sizeof(x)} bytes became {sizes.codes_bytes + sizes.scales_bytes}, largest error {worst:g}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else ctypes.util.find_library("mfq") or "libmfq.so")
