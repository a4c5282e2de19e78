int lowest(unsigned v) { return __builtin_ctz(v); }
