enum { MFQ_THINGS = 4, MFQ_REMARK_MOST = 3, MFQ_OWN_TWO, THING_THREE };
/* enum { MFQ_THING_THREE }; */
static int of(mfq_thing t) { return t == MFQ_THING_ONE; }
