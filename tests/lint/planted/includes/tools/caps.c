#include <popt.h>
#include "../host/core/error.h"
