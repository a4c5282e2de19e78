static inline int moved(int a, int b) { return b + a; }
