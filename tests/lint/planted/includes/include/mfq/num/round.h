#include <math.h>
#include <mfq/types.h>
