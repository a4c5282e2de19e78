/* tests/cli/change_folder.c: `change_folder FOLDER` goes there, and then asks libmfq.so why there is no CUDA device;
 * `change_folder FOLDER PROGRAM WORD ...` runs a program there, under the name that WORD is. */
#include <mfq/mfq.h>

#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv) {
  if (argc < 2 || chdir(argv[1]) != 0) {
    perror("change_folder");
    return 1;
  }
  if (argc > 3) {
    (void)execv(argv[2], argv + 3);
    perror(argv[2]);
    return 1;
  }
  const char *missing = mfq_device_missing("cuda");
  printf("%s\n", missing != NULL ? missing : "there is one");
  return 0;
}
