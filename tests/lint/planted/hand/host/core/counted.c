/* Counts behind the operand in a loop; a value that is used may be taken so. */
int mfq_count(const int *from, int n) {
  int sum = 0;
  for (int i = 0; i < n; i++) sum += *from++;
  return sum;
}
