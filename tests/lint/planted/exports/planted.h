#define MFQ_API
/* Mentions mfq_comment(). */
MFQ_API int mfq_good(int a);
MFQ_API int
mfq_gone(int a,
         int b);
MFQ_EXPORT const char *mfq_new(void);
