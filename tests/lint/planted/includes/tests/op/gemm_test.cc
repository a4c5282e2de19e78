#include <gtest/gtest.h>
#include <mfq/num/bits.h>
