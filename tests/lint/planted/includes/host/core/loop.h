#include <omp.h>
#include <stdlib.h>
