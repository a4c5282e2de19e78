#include "../../tests/simt/toolkit/cuda_runtime.h"
