/* Public names. */
typedef enum mfq_thing { MFQ_THING_ONE = 1, MFQ_THING_TWO = 2 /* MFQ_REMARK_NONE */ } mfq_thing;
typedef enum mfq_policy { MFQ_QUICK = 0 } mfq_policy;
