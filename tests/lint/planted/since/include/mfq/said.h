/* mfq/said.h: what is as it should be. Since 0.1. */
#ifndef MFQ_SAID_H
#define MFQ_SAID_H

/* Two constants. Since 0.1. */
#define MFQ_ONE 1
#define MFQ_TWO 2

/* A type, and
 * Since 0.2. */
typedef struct mfq_said {
  int of; /* a field */
} mfq_said;

#endif
