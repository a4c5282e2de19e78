#include "bench/conv/shapes.h"
