"""onednn_peer.py: oneDNN's own product of u8 and s8 by its shared object, version 3, and ctypes. Weights lie as oneDNN
wants them, reordered beforehand."""

import ctypes
from ctypes import POINTER, byref, c_int, c_int64, c_size_t, c_void_p
from pathlib import Path

from buffers import Buffer

S32, S8, U8 = 4, 5, 6  # dnnl_data_type_t
CPU, IN_ORDER, ANY_TAG, QUERY_WEIGHTS = 1, 1, 1, 131
SRC, DST, WEIGHTS, FROM, TO = 1, 17, 33, 1, 17  # arguments of primitives


class Version(ctypes.Structure):
    _fields_ = [("numbers", c_int * 3)]


class Argument(ctypes.Structure):
    _fields_ = [("arg", c_int), ("memory", c_void_p)]


class Onednn:
    def __init__(self, path):
        """`path` is the shared object, or its folder."""
        path = Path(path)
        self.library = ctypes.CDLL(str(path / "libdnnl.so.3" if path.is_dir() else path))
        self.openmp = ctypes.CDLL("libgomp.so.1")
        self.library.dnnl_version.restype = POINTER(Version)
        self.library.dnnl_primitive_desc_query_md.restype = c_void_p
        self.library.dnnl_memory_desc_get_size.restype = c_size_t
        version = list(self.library.dnnl_version().contents.numbers)
        self.__version__ = ".".join(map(str, version))
        if version[0] != 3:
            raise OSError(f"oneDNN {self.__version__} is not version 3")
        self.engine, self.stream = (c_void_p() for _ in range(2))
        self.call("engine_create", byref(self.engine), CPU, c_size_t(0))
        self.call("stream_create", byref(self.stream), self.engine, IN_ORDER)

    def call(self, name, *arguments):
        status = getattr(self.library, f"dnnl_{name}")(*arguments)
        if status != 0:
            raise RuntimeError(f"dnnl_{name} returns {status}")

    def described(self, shape, dtype, strides=None):
        """A description; without strides of the order that a primitive wants."""
        made, sizes = c_void_p(), (c_int64 * 2)(*shape)
        if strides is None:
            self.call("memory_desc_create_with_tag", byref(made), 2, sizes, dtype, ANY_TAG)
        else:
            self.call("memory_desc_create_with_strides", byref(made), 2, sizes, dtype, (c_int64 * 2)(*strides))
        return made

    def memory(self, described, buffer):
        made = c_void_p()
        self.call("memory_create", byref(made), described, self.engine, c_void_p(buffer.address))
        return made

    def primitive(self, planned):
        made = c_void_p()
        self.call("primitive_create", byref(made), planned)
        return made

    def execute(self, primitive, memories):
        arguments = (Argument * len(memories))(*(Argument(arg, memory) for arg, memory in memories.items()))

        def launch():
            self.call("primitive_execute", primitive, self.stream, len(arguments), arguments)
            self.call("stream_wait", self.stream)

        return launch


class Product:
    """D [m, n] of s32 = A [m, k] of u8 times W [n, k] of s8 transposed, as planned for one shape."""

    def __init__(self, onednn, shape, threads):
        self.onednn, (m, n, k), self.threads = onednn, shape, threads
        self.a, self.d = onednn.described((m, k), U8, (k, 1)), onednn.described((m, n), S32, (n, 1))
        self.plain = onednn.described((k, n), S8, (1, k))
        self.planned, self.order = c_void_p(), c_void_p()
        onednn.openmp.omp_set_num_threads(threads)
        onednn.call("matmul_primitive_desc_create", byref(self.planned), onednn.engine, self.a,
                    onednn.described((k, n), S8), None, self.d, None)
        self.w = c_void_p(onednn.library.dnnl_primitive_desc_query_md(self.planned, QUERY_WEIGHTS, 0))
        onednn.call("reorder_primitive_desc_create", byref(self.order), self.plain, onednn.engine, self.w,
                    onednn.engine, None)
        self.bytes = onednn.library.dnnl_memory_desc_get_size(self.w)

    def reordered(self, codes):
        """The weights of a run."""
        made = Buffer(self.bytes)
        self.onednn.execute(self.onednn.primitive(self.order), {
            FROM: self.onednn.memory(self.plain, codes), TO: self.onednn.memory(self.w, made)})()
        return made

    def run(self, a, weights, d):
        launch = self.onednn.execute(self.onednn.primitive(self.planned), {
            SRC: self.onednn.memory(self.a, a), WEIGHTS: self.onednn.memory(self.w, weights),
            DST: self.onednn.memory(self.d, d)})

        def run():
            self.onednn.openmp.omp_set_num_threads(self.threads)
            launch()

        return run
