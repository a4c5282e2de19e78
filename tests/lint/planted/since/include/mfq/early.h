/* Of a version that is not to come. Since 0.3. */
MFQ_API mfq_status
mfq_early(void);
