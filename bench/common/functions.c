/* bench/common/functions.c: the functions of peers and of the driver, by their names. */
#include "functions.h"

#include <dlfcn.h>
#include <string.h>

int bench_take_functions(void *library, const bench_function *functions, int count) {
  for (int i = 0; i < count; ++i) {
    void *symbol = dlsym(library, functions[i].name);
    if (symbol == NULL) return 0;
    memcpy(functions[i].pointer, &symbol, sizeof symbol);
  }
  return 1;
}
