template <int A, int B, int C, int D, int E, int F, int G>
int many() { return A; }
