"""ggml_peer.py: ggml's products and conversions of quantized weights by its shared objects and ctypes. Weights lie where
ggml would put them: repacked where it can for this machine."""

import ctypes
from ctypes import POINTER, byref, c_bool, c_char_p, c_float, c_int, c_int64, c_size_t, c_void_p, cast
from pathlib import Path

from buffers import Buffer

TYPES = {"F32": 0, "Q4_0": 2, "Q8_0": 8, "BF16": 30, "MXFP4": 39, "NVFP4": 40}  # ggml_type
CONTEXT_BYTES = 1 << 20  # of descriptions, not of data
SILENT = ctypes.CFUNCTYPE(None, c_int, c_char_p, c_void_p)(lambda *_: None)
CONVERT = ctypes.CFUNCTYPE(None, c_void_p, c_void_p, c_int64)
EXTRA = ctypes.CFUNCTYPE(POINTER(c_void_p), c_void_p)


class InitParams(ctypes.Structure):
    _fields_ = [("mem_size", c_size_t), ("mem_buffer", c_void_p), ("no_alloc", c_bool)]


class TypeTraits(ctypes.Structure):
    _fields_ = [("type_name", c_char_p), ("blck_size", c_int64), ("blck_size_interleave", c_int64),
                ("type_size", c_size_t), ("is_quantized", c_bool), ("to_float", c_void_p), ("from_float_ref", c_void_p)]


# Result and arguments.
FUNCTIONS = {
    "ggml_version": (c_char_p,),
    "ggml_log_set": (None, c_void_p, c_void_p),
    "ggml_init": (c_void_p, InitParams), "ggml_free": (None, c_void_p),
    "ggml_new_tensor_2d": (c_void_p, c_void_p, c_int, c_int64, c_int64),
    "ggml_mul_mat": (c_void_p, c_void_p, c_void_p, c_void_p),
    "ggml_get_data": (c_void_p, c_void_p), "ggml_row_size": (c_size_t, c_int, c_int64),
    "ggml_get_type_traits": (POINTER(TypeTraits), c_int),
    "ggml_quantize_chunk": (c_size_t, c_int, c_void_p, c_void_p, c_int64, c_int64, c_int64, c_void_p),
    "ggml_new_graph": (c_void_p, c_void_p), "ggml_build_forward_expand": (None, c_void_p, c_void_p),
    "ggml_backend_alloc_ctx_tensors_from_buft": (c_void_p, c_void_p, c_void_p),
    "ggml_backend_buffer_free": (None, c_void_p), "ggml_backend_free": (None, c_void_p),
    "ggml_backend_buft_name": (c_char_p, c_void_p),
    "ggml_backend_tensor_set": (None, c_void_p, c_void_p, c_size_t, c_size_t),
    "ggml_backend_dev_supports_op": (c_bool, c_void_p, c_void_p),
    "ggml_backend_get_device": (c_void_p, c_void_p), "ggml_backend_dev_backend_reg": (c_void_p, c_void_p),
    "ggml_backend_reg_get_proc_address": (c_void_p, c_void_p, c_char_p),
    "ggml_backend_graph_compute": (c_int, c_void_p, c_void_p),
}
CPU_FUNCTIONS = {
    "ggml_backend_cpu_init": (c_void_p,), "ggml_backend_cpu_set_n_threads": (None, c_void_p, c_int),
    "ggml_backend_cpu_buffer_type": (c_void_p,),
}


def declare(libraries, functions):
    """The functions, out of the first library that has each."""
    found = {}
    for name, (result, *arguments) in functions.items():
        library = next((library for library in libraries if hasattr(library, name)), None)
        if library is None:
            raise OSError(f"{libraries[0]._name} has no {name}")
        found[name] = getattr(library, name)
        found[name].restype, found[name].argtypes = result, arguments
    return found


class Ggml:
    def __init__(self, folder):
        base = ctypes.CDLL(str(Path(folder) / "libggml-base.so"), ctypes.RTLD_GLOBAL)
        cpu = ctypes.CDLL(str(Path(folder) / "libggml-cpu.so"))
        self.__dict__.update({name.partition("ggml_")[2]: function for name, function in
                              {**declare((base, cpu), FUNCTIONS), **declare((cpu, base), CPU_FUNCTIONS)}.items()})
        self.log_set(SILENT, None)
        self.__version__ = self.version().decode()

    def bytes_of(self, kind, rows, columns):
        return rows * self.row_size(TYPES[kind], columns)

    def quantizer(self, kind, x, q, shape):
        """A launch that quantizes the f32 at `x` to `q`."""
        return lambda: self.quantize_chunk(TYPES[kind], x.address, q.address, 0, *shape, None)

    def dequantizer(self, kind, q, y, shape):
        to_float = self.get_type_traits(TYPES[kind]).contents.to_float
        if not to_float:  # f32
            return lambda: ctypes.memmove(y.address, q.address, q.size)
        convert = cast(to_float, CONVERT)
        return lambda: convert(q.address, y.address, shape[0] * shape[1])

    def buffer_types(self, backend):
        """Places for weights, the best first."""
        device = self.backend_get_device(backend)
        extra = self.backend_reg_get_proc_address(self.backend_dev_backend_reg(device),
                                                  b"ggml_backend_dev_get_extra_bufts")
        types = []
        if extra:
            listed = cast(extra, EXTRA)(device)
            while listed[len(types)]:
                types.append(listed[len(types)])
        return [*types, self.backend_cpu_buffer_type()]


class Product:
    """D [m, n] = A [m, k] times W [n, k] transposed, of f32, for each of several equal W."""

    def __init__(self, ggml, kind, weights, shape, threads):
        """`weights` are Buffers as ggml.quantizer leaves them."""
        self.ggml = ggml
        (self.m, self.n, self.k), self.held, self.place = shape, [], None
        self.backend = ggml.backend_cpu_init()
        ggml.backend_cpu_set_n_threads(self.backend, threads)
        self.a = self.tensor("F32", self.m)
        self.graphs = [self.graph(kind, buffer) for buffer in weights]

    def context(self):
        made = self.ggml.init(InitParams(CONTEXT_BYTES, None, True))
        self.held.append((self.ggml.free, made))
        return made

    def place_in(self, context, place):
        made = self.ggml.backend_alloc_ctx_tensors_from_buft(context, place)
        if not made:
            raise MemoryError("ggml has no memory")
        self.held.append((self.ggml.backend_buffer_free, made))

    def tensor(self, kind, rows):
        context = self.context()
        made = self.ggml.new_tensor_2d(context, TYPES[kind], self.k, rows)
        self.place_in(context, self.ggml.backend_cpu_buffer_type())
        return made

    def graph(self, kind, buffer):
        """(graph, its result), with the weights in the best place that can hold them."""
        device = self.ggml.backend_get_device(self.backend)
        for place in self.ggml.buffer_types(self.backend):
            context, results = self.context(), self.context()
            w = self.ggml.new_tensor_2d(context, TYPES[kind], self.k, self.n)
            self.place_in(context, place)
            d = self.ggml.mul_mat(results, w, self.a)
            if not self.ggml.backend_dev_supports_op(device, d):
                continue
            self.place = self.ggml.backend_buft_name(place).decode()
            self.ggml.backend_tensor_set(w, buffer.address, 0, buffer.size)
            self.place_in(results, self.ggml.backend_cpu_buffer_type())
            graph = self.ggml.new_graph(results)
            self.ggml.build_forward_expand(graph, d)
            return graph, d
        raise RuntimeError(f"ggml multiplies no {kind} here")

    def set_a(self, a):
        self.ggml.backend_tensor_set(self.a, a.address, 0, 4 * self.m * self.k)

    def launch(self, slot):
        if self.ggml.backend_graph_compute(self.backend, self.graphs[slot][0]) != 0:
            raise RuntimeError("ggml failed")

    def result(self, slot):
        d = Buffer(4 * self.m * self.n)
        ctypes.memmove(d.address, self.ggml.get_data(self.graphs[slot][1]), d.size)
        return d.numbers()

    def __del__(self):
        while self.held:
            free, what = self.held.pop()
            free(what)
        self.ggml.backend_free(self.backend)
