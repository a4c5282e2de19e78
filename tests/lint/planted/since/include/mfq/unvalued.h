/* A number. */
#define MFQ_UNVALUED 3
