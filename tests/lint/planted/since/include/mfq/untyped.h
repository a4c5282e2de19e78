typedef enum mfq_untyped { MFQ_UNTYPED = 0 } mfq_untyped;
