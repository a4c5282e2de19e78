#include <mfq/types.h>
