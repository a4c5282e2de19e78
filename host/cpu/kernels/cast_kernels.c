/* host/cpu/kernels/cast_kernels.c: the loops of kernels.h for the instruction set MFQ_ISA.
 *
 * Every loop calls a function of num/ on each element with the scheme's choices as constants, so that the compiler can
 * turn it into vector code; equality with the reference path follows from that, and is tested all the same. */
#include "convert_loops.h"
#include "decode256.h"
#include "dot_loops.h"
#include "finish_loops.h"
#include "gradient_loops.h"
#include "long_loops.h"
#include "mask_loops.h"
#include "measure_loops.h"
#include "observe_loops.h"
#include "optimizer_loops.h"
#include "pack_loops.h"
#include "random_loops.h"
#include "rotate_loops.h"
#include "round_loops.h"
#include "scale_loops.h"
#include "sum_loops.h"
#include "turn_loops.h"
#include "widen_loops.h"

const mfq_kernels MFQ_JOIN(mfq_kernels_, MFQ_ISA) = {
    .isa = MFQ_ISA_NAME,
    .load = load,
    .store = store,
    .store_limited = store_limited,
    .store_top_half = store_top_half,
    .rotate_runs = rotate_runs,
    .rotate_columns = rotate_columns,
    .measure = measure,
    .absmax16 = absmax16,
    .ranges16 = ranges16,
    .peak16 = peak16,
    .scales = scales,
    .lanes = lanes_of,
    .zero_points = zero_points,
    .draw = draw,
    .encode = MFQ_JOIN(mfq_encode_, MFQ_ISA),
    .decode = decode,
    .decode_bf16 = decode_bf16,
    .fake = MFQ_JOIN(mfq_fake_, MFQ_ISA),
    .pack = pack,
    .unpack = unpack,
    .turn8 = turn8,
    .turn16 = turn16,
    .turn32 = turn32,
    .weave16 = weave16,
    .widen = widen,
    .widen_each = widen_each,
    .round_runs = round_runs,
    .round_columns = round_columns,
    .finish = finish,
    .ends = ends,
    .clip = clip,
    .clip16 = clip16,
    .slope = slope,
    .passing = passing,
    .pick = pick,
    .terms = terms,
    .trees = trees,
    .add = add_floats,
    .extremes = extremes,
    .rank_count = rank_count,
    .rank_keep = rank_keep,
    .sum_terms = sum_terms,
    .squares = squares,
    .adamw = adamw,
    .sgd = sgd,
    .store_stochastic = store_stochastic,
    .dot = dot,
};
