typedef struct table {
  int (*run)(int a, int b, int c, int d, int e, int f, int g);
} table;
