#include <mfq/num/bits.h>
