#include "../core/error.h"
#include <jansson.h>
