#include <mfq/types.h>
#include "cuda_runtime.h"
