#include "../tests/op/gemm_test.cc"
