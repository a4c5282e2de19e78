/* A comment that a blank line parts from what comes. Since 0.1. */

MFQ_EXPORT void mfq_apart(void);
