int rows(int a, int b) {
  barrier();
  return a * b;
}
