/* tools/main.c: the command `mfq`: finds the sub-command and runs it. */
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "near_word.h"

typedef struct command_row {
  const char *name;
  int (*run)(int argc, const char **argv);
  const char *title; /* in messages and help */
  const char *purpose;
} command_row;

static const command_row commands[] = {
    {"quantize", quantize_command, "mfq quantize", "quantize the weights of a safetensors file"},
    {"dequantize", dequantize_command, "mfq dequantize", "restore plain tensors from a quantized file"},
    {"inspect", inspect_command, "mfq inspect", "list the tensors of a file"},
    {"compare", compare_command, "mfq compare", "measure how much two files differ, tensor by tensor"},
    {"formats", formats_command, "mfq formats", "list element formats, or every code of one"},
    {"schemes", schemes_command, "mfq schemes", "list named schemes and what they stand for"},
    {"recipes", recipes_command, "mfq recipes", "list named recipes of training, or write out one"},
    {"caps", caps_command, "mfq caps", "say which operations this machine runs, and how"},
    {"version", version_command, "mfq version", "print version, license and build, and the modules found"},
};

enum { COMMAND_COUNT = sizeof commands / sizeof commands[0] };

/* What other programs call these commands. */
static const near_row command_words[] = {
    {"convert compress encode pack quantise quant quantization export", "quantize"},
    {"restore unquantize decompress decode unpack dequant dequantise expand", "dequantize"},
    {"list ls info show dump describe stat print cat view header tensors", "inspect"},
    {"diff cmp verify check error sqnr evaluate eval measure", "compare"},
    {"dtypes dtype types elements codes", "formats"},
    {"presets methods quants names", "schemes"},
    {"training train layers", "recipes"},
    {"devices device capabilities gpus hardware doctor support", "caps"},
    {"about license build", "version"},
};

static void print_usage(FILE *stream) {
  fprintf(stream, "Usage: mfq COMMAND [options] [files]\n\nCommands:\n");
  for (int i = 0; i < COMMAND_COUNT; ++i) fprintf(stream, "  %-11s %s\n", commands[i].name, commands[i].purpose);
  fprintf(stream, "\n'mfq help COMMAND' explains a command; 'mfq --version' prints the version.\n");
}

static int print_help(void) {
  printf("mfq: minifloat and groupwise quantization of tensors in files\n\n");
  print_usage(stdout);
  printf("\nExit codes: 0 done; 1 failed (files, data, nothing to do); 2 wrong command line; 3 --min-sqnr not\n"
         "reached; 4 not supported on this machine; 130 interrupted, with nothing left behind.\n");
  return CLI_OK;
}

static int print_version(void) {
  printf("mfq %s\n", mfq_version());
  return CLI_OK;
}

static int refuse(const char *word) {
  const char *meant = near_find(command_words, sizeof command_words / sizeof command_words[0], word);
  int least = 3;
  for (int i = 0; meant == NULL && i < COMMAND_COUNT; ++i) {
    int distance = near_distance(word, commands[i].name);
    if (distance >= least) continue;
    least = distance;
    meant = commands[i].name;
  }
  if (meant == NULL && word[0] != '-' && access(word, F_OK) == 0)
    return cli_error(CLI_USAGE, "'%s' is a file, and a command goes first; mfq inspect lists its tensors", word);
  if (meant == NULL) return cli_error(CLI_USAGE, "'%s' is not a command; mfq help lists them", word);
  return cli_error(CLI_USAGE, "'%s' is not a command; did you mean mfq %s? mfq help lists all", word, meant);
}

static int run_command(int argc, const char **argv) {
  for (int i = 0; i < COMMAND_COUNT; ++i) {
    if (strcmp(argv[0], commands[i].name) != 0) continue;
    argv[0] = commands[i].title;
    return commands[i].run(argc, argv);
  }
  return refuse(argv[0]);
}

static int is_one_of(const char *word, const char *a, const char *b) {
  return strcmp(word, a) == 0 || strcmp(word, b) == 0;
}

int cli_run(int argc, const char **argv) {
  if (argc < 2) {
    print_usage(stderr);
    return CLI_USAGE;
  }
  if (is_one_of(argv[1], "--version", "-V")) return print_version();
  if (!is_one_of(argv[1], "--help", "-h") && strcmp(argv[1], "help") != 0) return run_command(argc - 1, argv + 1);
  if (argc == 2) return print_help();
  const char *words[] = {argv[2], "--help", NULL};
  return run_command(2, words);
}

int main(int argc, char **argv) {
  if (cli_open_standard() != CLI_OK) return CLI_FAILED;
  cli_catch_signals();
  return cli_close_stdout(cli_run(argc, (const char **)argv));
}
