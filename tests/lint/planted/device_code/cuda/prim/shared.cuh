template <class T> struct view { void f() { extern __shared__ unsigned char bytes[]; } };
