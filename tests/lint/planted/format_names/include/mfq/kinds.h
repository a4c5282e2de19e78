enum { MFQ_E2M1 = 1 };
