/* tools/main.c: the command `mfq`: finds the sub-command and runs it. */
#include <string.h>

#include "cli.h"

typedef struct command_row {
  const char *name;
  int (*run)(int argc, const char **argv);
  const char *title; /* in messages and help */
  const char *purpose;
} command_row;

static const command_row commands[] = {
    {"quantize", quantize_command, "mfq quantize", "quantize the tensors of a safetensors file"},
    {"dequantize", dequantize_command, "mfq dequantize", "restore plain tensors from a quantized file"},
    {"inspect", inspect_command, "mfq inspect", "list the tensors of a file"},
    {"compare", compare_command, "mfq compare", "measure how much two files differ, tensor by tensor"},
    {"formats", formats_command, "mfq formats", "list element formats, or every code of one"},
    {"schemes", schemes_command, "mfq schemes", "list named schemes and what they stand for"},
    {"caps", caps_command, "mfq caps", "say which operations this machine runs, and how"},
};

enum { COMMAND_COUNT = sizeof commands / sizeof commands[0] };

static void print_usage(FILE *stream) {
  fprintf(stream, "Usage: mfq COMMAND [options] [files]\n\nCommands:\n");
  for (int i = 0; i < COMMAND_COUNT; i++) fprintf(stream, "  %-11s %s\n", commands[i].name, commands[i].purpose);
  fprintf(stream, "\n'mfq COMMAND --help' explains a command; 'mfq --version' prints the version.\n");
}

static void print_help(void) {
  printf("mfq: minifloat and groupwise quantization of tensors in files\n\n");
  print_usage(stdout);
  printf("\nExit codes: 0 done; 1 failed (files, data); 2 wrong command line; 3 --min-sqnr not reached;\n"
         "4 not supported on this machine; 130 interrupted, with nothing left behind.\n");
}

int cli_run(int argc, const char **argv) {
  if (argc < 2) {
    print_usage(stderr);
    return CLI_USAGE;
  }
  if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
    print_help();
    return CLI_OK;
  }
  if (strcmp(argv[1], "--version") == 0) {
    printf("mfq %s\n", mfq_version());
    return CLI_OK;
  }
  for (int i = 0; i < COMMAND_COUNT; i++) {
    if (strcmp(argv[1], commands[i].name) == 0) {
      argv[1] = commands[i].title;
      return commands[i].run(argc - 1, argv + 1);
    }
  }
  return cli_error(CLI_USAGE, "'%s' is not a command; see mfq --help", argv[1]);
}

int main(int argc, char **argv) {
  if (cli_open_standard() != CLI_OK) return CLI_FAILED;
  cli_catch_signals();
  return cli_close_stdout(cli_run(argc, (const char **)argv));
}
