enum { MFQ_OWN_ONE = 1 };
