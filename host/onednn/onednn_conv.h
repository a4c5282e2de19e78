/* host/onednn/onednn_conv.h: the members of the table of onednn_module.h for convolutions. */
#ifndef MFQ_HOST_ONEDNN_ONEDNN_CONV_H
#define MFQ_HOST_ONEDNN_ONEDNN_CONV_H

#include "host/core/module/onednn_module.h"

void *mfq_dnnl_conv_plan(const mfq_onednn_conv *conv, char *reason, size_t capacity);
void mfq_dnnl_conv_plan_free(void *plan);
const char *mfq_dnnl_conv_plan_name(const void *plan);
size_t mfq_dnnl_conv_workspace_bytes(const void *plan);
int mfq_dnnl_conv_prepare(const void *plan, const void *w, void *workspace);
int mfq_dnnl_conv_run(const void *plan, const void *gathered, const void *y, void *result, void *workspace);
int mfq_dnnl_conv_order(const void *plan, mfq_onednn_order *order);

#endif
