/* tools/scheme_choice.h: schemes as somebody types them: read, refused where a command cannot follow, with offers. */
#ifndef MFQ_TOOLS_SCHEME_CHOICE_H
#define MFQ_TOOLS_SCHEME_CHOICE_H

#include "cli.h"

/* Reads any scheme; `option` begins the message (NULL: nothing does). Returns an exit code. */
int scheme_read(const char *option, const char *text, mfq_scheme *scheme);
/* A scheme to quantize with, and the search that its name asks for (MFQ_SEARCH_METHODS: none). */
typedef struct scheme_choice {
  mfq_scheme scheme;
  mfq_search_method method;
} scheme_choice;
/* Reads one that has scales, or says "/none", and needs none from its caller unless `is_calibrated`. */
int scheme_choose(const char *option, const char *text, int is_calibrated, scheme_choice *choice);

#endif
