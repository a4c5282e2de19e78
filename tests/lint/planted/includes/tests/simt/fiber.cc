#include <boost/context/detail/fcontext.hpp>

#include "toolkit/cuda_runtime.h"
