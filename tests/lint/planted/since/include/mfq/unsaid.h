/* Since 0.1. */

/* Says nothing. */
MFQ_API mfq_status mfq_silent(void);
