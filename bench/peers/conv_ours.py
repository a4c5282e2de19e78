"""conv_ours.py: convolutions of libmfq by ctypes, channels last: input [N, H, W, C], weight [K, R, S, C / groups]."""

import ctypes
from ctypes import POINTER, byref, c_float, c_int32, c_int64, c_size_t, c_void_p, pointer

from buffers import Buffer
from ours import STRUCTS, Quantized
from product_ours import Operand, ProductOurs
from round_trip import ENUM, QTensor, Tensor

SPATIAL = c_int64 * 3
CHANNELS_LAST = 1


class Conv(ctypes.Structure):
    _fields_ = [("struct_size", c_size_t), ("direction", ENUM), ("layout", ENUM), ("transposed", c_int32),
                ("same_padding", c_int32), ("groups", c_int64), ("stride", SPATIAL), ("dilation", SPATIAL),
                ("padding", SPATIAL), ("padding_after", SPATIAL), ("input", Operand), ("weight", Operand),
                ("output_gradient", Operand), ("c", POINTER(Tensor)), ("bias", POINTER(Tensor)),
                ("alpha", POINTER(c_float)), ("beta", POINTER(c_float)), ("device_scalars", c_int32),
                ("activation", ENUM), ("result", POINTER(Tensor)), ("quantized_result", POINTER(QTensor)),
                ("round_operands", c_int32), ("own_workspace", c_int32)]


class ConvOurs(ProductOurs):
    STRUCTS = {**STRUCTS, "mfq_operand": Operand, "mfq_conv": Conv}


class Convolution:
    """One plan, of stride 1, padded to as many outputs as inputs."""

    def __init__(self, ours, x, weight, layer):
        """`x` is what `operand` takes; `weight` is Quantized, or a Buffer of f32."""
        self.ours, self.plan, self.held, self.conv = ours, c_void_p(), (x, weight), Conv()
        self.y = Buffer(4 * layer.outputs)
        ours.mfq.library.mfq_conv_init(byref(self.conv))
        self.conv.layout, self.conv.groups, self.conv.same_padding, self.conv.own_workspace = (CHANNELS_LAST,
                                                                                               layer.groups, 1, 1)
        if not isinstance(weight, Quantized):
            weight = ours.plain(weight.address, "f32", layer.weight_shape)
        self.conv.input, self.conv.weight = ours.operand(*x), ours.operand(weight)
        self.conv.result = pointer(ours.plain(self.y.address, "f32", layer.output_shape))
        ours.mfq.call("mfq_conv_plan_create", ours.context, byref(self.conv), byref(self.plan))

    def describe(self):
        return self.ours.mfq.library.mfq_conv_plan_describe(self.plan).decode()

    def launch(self, _):
        self.ours.mfq.call("mfq_conv_run", self.ours.context, self.plan, byref(self.conv), None, c_size_t(0))

    def result(self):
        return self.y.numbers()

    def __del__(self):
        self.ours.mfq.library.mfq_conv_plan_destroy(self.plan)
