static inline int there(int a, int b) { return a + b; }
