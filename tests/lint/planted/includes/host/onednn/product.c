#include <dnnl.h>

#include "../core/error.h"
