/* Trains a small transformer that writes text character by character, from scratch, once for each of several recipes: what is
 * quantized in the three products of every layer. Norms, SwiGLU and the optimizer write operands as codes into the layers'
 * memory; attention multiplies as it is. At the end each one writes a text of its own, by its quantized weights. */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <math.h>
#include <popt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <mfq/layer_io.h>
#include <mfq/mfq.h>

#include "support/text_training.h"

static const char usual_recipes[] = "none,mxfp8,mxfp8_square,nvfp4,quartet2";
enum { MOST_RECIPES = 64, MOST_STEPS = 1000000 };

typedef struct text_options {
  const char *text, *recipes, *models, *csv, *json, *prompt;
  int steps, batch, length, blocks, width, heads, hidden; /* 0: the usual number */
  int warmup, every, unseen, seed, threads, letters, is_quick, is_reproducible, stop, is_resumed;
  double rate, decay, clip;
} text_options;

/* A training as it runs. */
typedef struct training {
  const text_options *options;
  mfq_context *context;
  text_data data;
  text_report *report;
  text_parameters parameters;
  text_model model;
  mfq_optimizer *optimizer;
  train_progress progress;
} training;

/* ---- The optimizer ---------------------------------------------------------------------------------------------- */

enum { DECAYS, STAYS, GROUPS };

/* AdamW over all parameters; matrices decay. Weights of layers are written as codes too. */
static mfq_status make_optimizer(training *t) {
  const text_parameters *p = &t->parameters;
  mfq_optimizer_tensor tensors[TEXT_MOST_TENSORS] = {{.name = NULL}};
  mfq_optimizer_group groups[GROUPS];
  mfq_optimizer_options options;
  mfq_optimizer_options_init(&options);
  for (int i = 0; i < GROUPS; ++i) {
    mfq_optimizer_group_init(MFQ_OPTIMIZER_ADAMW, &groups[i]);
    groups[i].beta2 = 0.95;
    groups[i].weight_decay = i == DECAYS ? t->options->decay : 0;
  }
  for (int i = 0; i < p->count; ++i)
    tensors[i] = (mfq_optimizer_tensor){.name = p->tensors[i].name,
                                        .value = p->tensors[i].value,
                                        .gradient = p->tensors[i].gradient,
                                        .group = p->tensors[i].decays ? DECAYS : STAYS};
  for (int i = 0; i < t->model.shape.blocks * TEXT_LAYERS; ++i) {
    const text_linear *l = &t->model.blocks[i / TEXT_LAYERS].layers[i % TEXT_LAYERS];
    mfq_optimizer_tensor *tensor = &tensors[l->weight - p->tensors];
    if (l->codes.has_row) tensor->row = &l->codes.row;
    if (l->codes.has_col) tensor->col = &l->codes.col;
  }
  options.kind = MFQ_OPTIMIZER_ADAMW;
  options.groups = groups;
  options.group_count = GROUPS;
  options.tensors = tensors;
  options.tensor_count = p->count;
  options.clip_norm = (float)t->options->clip;
  return mfq_optimizer_create(t->context, &options, &t->optimizer);
}

/* Up in a line, then down by half a cosine to a tenth. */
static double rate_at(const text_options *o, int64_t step) {
  static const double half_turn = 3.14159265358979323846;
  if (step < o->warmup) return o->rate * (double)(step + 1) / o->warmup;
  const double part = (double)(step - o->warmup) / (o->steps > o->warmup ? o->steps - o->warmup : 1);
  return o->rate * (0.55 + 0.45 * cos(half_turn * part));
}

static mfq_status optimize(training *t, int64_t step) {
  mfq_status status = MFQ_OK;
  for (int i = 0; status == MFQ_OK && i < GROUPS; ++i)
    status = mfq_optimizer_set_rate(t->optimizer, i, rate_at(t->options, step));
  const double start = digits_seconds();
  if (status == MFQ_OK) status = mfq_optimizer_step(t->optimizer);
  t->model.seconds[TEXT_IN_OPTIMIZER] += digits_seconds() - start;
  return status;
}

/* ---- Files ------------------------------------------------------------------------------------------------------ */

/* mfq_layers_save or mfq_layers_load: layers with their weights, everything else that is learned, and the optimizer. */
typedef mfq_status (*file_fn)(const char *, mfq_layer *const *, int32_t, const mfq_layers_options *);

static int use_file(file_fn use, training *t, const char *recipe) {
  char path[FILENAME_MAX];
  mfq_layer *layers[TEXT_MOST_BLOCKS * TEXT_LAYERS + 1];
  mfq_named_tensor tensors[TEXT_MOST_TENSORS];
  mfq_layers_options options;
  mfq_layers_options_init(&options);
  options.tensors = tensors;
  options.optimizer = t->optimizer;
  for (int i = 0; i < text_layer_count(&t->model); ++i) layers[i] = text_layer(&t->model, i);
  for (int i = 0; i < t->parameters.count; ++i) {
    const text_parameter *p = &t->parameters.tensors[i];
    if (!p->decays) tensors[options.tensor_count++] = (mfq_named_tensor){p->name, p->value};
  }
  const int folder = snprintf(path, sizeof path, "%s/", t->options->models);
  (void)snprintf(path + folder, sizeof path - (size_t)folder, "%s.safetensors", recipe);
  for (char *c = path + folder; *c != '\0'; ++c)
    if (*c == '/') *c = '_'; /* of a scheme */
  return digits_status(use(path, layers, text_layer_count(&t->model), &options), recipe, mfq_io_last_error());
}

/* ---- Steps ------------------------------------------------------------------------------------------------------ */

/* The mean loss of windows that are not trained on. */
static mfq_status unseen_loss(training *t, double *mean) {
  text_model *m = &t->model;
  mfq_status status = text_set_mode(m, MFQ_LAYER_EVAL);
  *mean = 0;
  for (int i = 0; status == MFQ_OK && i < t->options->unseen; ++i) {
    float loss = 0;
    text_unseen(&t->data, m->shape.batch, m->shape.length, i * m->shape.batch, m->tokens, m->targets);
    status = text_forward(m);
    if (status == MFQ_OK) status = text_loss(m, 0, &loss);
    *mean += (double)loss / t->options->unseen;
  }
  return status == MFQ_OK ? text_set_mode(m, MFQ_LAYER_TRAIN) : status;
}

/* Windows of a step follow from the seed and the step alone, so that a resumed training draws them too. */
static mfq_status train_step(training *t, int64_t step, float *loss) {
  text_model *m = &t->model;
  text_draw(&t->data, m->shape.batch, m->shape.length, (uint64_t)t->options->seed << 32 | (uint64_t)step, m->tokens,
            m->targets);
  mfq_status status = text_forward(m);
  if (status == MFQ_OK) status = text_loss(m, 1, loss);
  if (status == MFQ_OK) status = text_backward(m);
  return status == MFQ_OK ? optimize(t, step) : status;
}

/* Notes how far the training is, `steps` after the last time. */
static int add_point(training *t, text_result *r, int64_t step, double loss, double seconds, int steps) {
  const text_shape *s = &t->model.shape;
  const int is_last = step == t->options->steps, is_noted = is_last || step % t->options->every == 0;
  r->at[r->points] = (int)step;
  r->loss[r->points++] = loss;
  r->tokens_per_second = (double)s->batch * s->length * steps / seconds;
  r->flops_per_second = text_flops(s) * steps / seconds;
  r->trained += steps;
  if (!is_noted) return DIGITS_OK;
  r->unseen_at[r->unseen_points] = (int)step;
  return digits_status(unseen_loss(t, &r->unseen[r->unseen_points++]), r->recipe, mfq_last_error());
}

static int train_steps(training *t, text_result *r) {
  const text_options *o = t->options;
  const int64_t first = mfq_layer_step(t->model.head), end = o->stop > 0 && o->stop < o->steps ? o->stop : o->steps;
  if (first >= end)
    return digits_error(DIGITS_USAGE, "%s: %lld steps are saved; give more by --steps or --stop", r->recipe,
                        (long long)first);
  int code = DIGITS_OK, since = 0;
  double sum = 0, start = digits_seconds();
  text_clear_parts(&t->model);
  for (int64_t step = first; code == DIGITS_OK && step < end; ++step) {
    float loss = 0;
    code = digits_status(train_step(t, step, &loss), r->recipe, mfq_last_error());
    if (code == DIGITS_OK && !isfinite(loss))
      code = digits_error(DIGITS_FAILED, "%s: step %lld: the loss is %g; take a smaller --rate", r->recipe,
                          (long long)step, (double)loss);
    sum += (double)loss;
    ++since;
    train_progress_draw(&t->progress, step + 1 - first, end - first, r->recipe);
    if (code != DIGITS_OK || ((step + 1) % o->every != 0 && step + 1 != end)) continue;
    const double seconds = digits_seconds() - start;
    r->seconds += seconds;
    text_add_parts(&t->model, seconds, r);
    code = add_point(t, r, step + 1, sum / since, seconds, since);
    train_progress_wipe(&t->progress);
    if (code == DIGITS_OK) text_print_point(t->report, r);
    text_clear_parts(&t->model); /* of what is not trained on */
    sum = 0, since = 0, start = digits_seconds();
  }
  r->steps = (int)end;
  mfq_optimizer_report taken;
  if (code == DIGITS_OK)
    code = digits_status(mfq_optimizer_report_get(t->optimizer, &taken), r->recipe, mfq_last_error());
  if (code == DIGITS_OK && taken.skipped > 0)
    printf("%s: %lld steps were skipped: their gradients were not finite\n", r->recipe, (long long)taken.skipped);
  return code;
}

/* ---- What it writes --------------------------------------------------------------------------------------------- */

/* By a model for one window over the same weights. */
static int write_sample(training *t, const mfq_recipe *recipe, text_result *r) {
  text_model single;
  text_shape shape = t->model.shape;
  const uint64_t seed = (uint64_t)t->options->seed;
  shape.batch = 1;
  (void)snprintf(r->sample, sizeof r->sample, "%s", t->options->prompt);
  int code = text_model_create(t->context, &t->parameters, &shape, (text_quantization){recipe, seed, 0}, &single);
  if (code == DIGITS_OK)
    code = digits_status(text_write(&t->data, &t->model, &single, t->options->letters, seed, r->sample), r->recipe,
                         mfq_last_error());
  text_model_destroy(&single);
  if (code == DIGITS_OK) printf("\n%s\n", r->sample);
  return code;
}

/* ---- A training ------------------------------------------------------------------------------------------------- */

static int make_training(training *t, const mfq_recipe *recipe, const text_result *r) {
  const uint64_t seed = (uint64_t)t->options->seed;
  int code = text_parameters_init(&t->report->shape, seed, &t->parameters);
  if (code == DIGITS_OK)
    code = text_model_create(t->context, &t->parameters, &t->report->shape, (text_quantization){recipe, seed * 1000, 1},
                             &t->model);
  if (code == DIGITS_OK) code = digits_status(make_optimizer(t), r->recipe, mfq_last_error());
  if (code == DIGITS_OK && t->options->is_resumed) code = use_file(mfq_layers_load, t, r->recipe);
  return code;
}

static int train(training *t, text_result *r) {
  mfq_recipe recipe;
  int code = digits_status(mfq_recipe_parse(r->recipe, &recipe), r->recipe, mfq_last_error());
  if (code != DIGITS_OK) return code;
  memset(&t->model, 0, sizeof t->model);
  t->optimizer = NULL;
  code = make_training(t, &recipe, r);
  if (code == DIGITS_OK) code = train_steps(t, r);
  if (code == DIGITS_OK) {
    r->memory = text_memory_of(&t->model, t->optimizer);
    text_print_memory(r);
  }
  if (code == DIGITS_OK && t->options->models != NULL) code = use_file(mfq_layers_save, t, r->recipe);
  if (code == DIGITS_OK && t->options->letters > 0 && r->steps == t->options->steps) code = write_sample(t, &recipe, r);
  mfq_optimizer_destroy(t->optimizer);
  text_model_destroy(&t->model);
  text_parameters_free(&t->parameters);
  return code;
}

/* ---- All of them ------------------------------------------------------------------------------------------------ */

static int make_result(const text_options *o, const char *recipe, text_result *r) {
  const size_t points = (size_t)(o->steps / o->every + 2);
  r->recipe = recipe;
  r->at = calloc(points, sizeof *r->at);
  r->loss = calloc(points, sizeof *r->loss);
  r->unseen_at = calloc(points, sizeof *r->unseen_at);
  r->unseen = calloc(points, sizeof *r->unseen);
  const int is_made = r->at != NULL && r->loss != NULL && r->unseen_at != NULL && r->unseen != NULL;
  return is_made ? DIGITS_OK : digits_error(DIGITS_FAILED, "no memory for the results");
}

static void free_results(text_report *report) {
  for (int i = 0; i < report->count; ++i) {
    free(report->results[i].at);
    free(report->results[i].loss);
    free(report->results[i].unseen_at);
    free(report->results[i].unseen);
  }
  free(report->results);
}

static int train_all(training *t, char *list) {
  text_report *report = t->report;
  int code = DIGITS_OK;
  text_print_heading(report);
  for (char *at = list, *next; code == DIGITS_OK && at != NULL; at = next) {
    next = strchr(at, ',');
    if (next != NULL) *next++ = '\0';
    if (report->count == MOST_RECIPES)
      return digits_error(DIGITS_USAGE, "--recipes: more than %d; train them in several runs", MOST_RECIPES);
    text_result *r = &report->results[report->count++];
    code = make_result(t->options, at, r);
    train_progress_start(&t->progress);
    if (code == DIGITS_OK) code = train(t, r);
    train_progress_wipe(&t->progress);
    if (code == DIGITS_OK && t->options->csv != NULL) code = text_write_csv(report, t->options->csv);
    if (code == DIGITS_OK && t->options->json != NULL) code = text_write_json(report, t->options->json);
  }
  if (code == DIGITS_OK && report->count > 1) text_print_summary(report);
  return code;
}

static int64_t count_parameters(const text_shape *s) {
  return s->blocks * ((int64_t)4 * s->width * s->width + (int64_t)3 * s->width * s->hidden + 2 * s->width) +
         (int64_t)2 * s->vocabulary * s->width + s->width;
}

static int run(const text_options *o, mfq_context *context) {
  text_report report = {.device = mfq_context_describe(context), .path = o->text};
  training t = {.options = o, .context = context, .report = &report};
  char *list = strdup(o->recipes);
  report.results = calloc(MOST_RECIPES, sizeof *report.results);
  int code = list != NULL && report.results != NULL ? text_read(o->text, o->length, &t.data)
                                                    : digits_error(DIGITS_FAILED, "no memory for the results");
  report.shape = (text_shape){.blocks = o->blocks,
                              .width = o->width,
                              .heads = o->heads,
                              .hidden = o->hidden,
                              .length = o->length,
                              .batch = o->batch,
                              .vocabulary = t.data.vocabulary};
  report.parameters = count_parameters(&report.shape);
  report.characters = t.data.count;
  for (const char *c = o->prompt; code == DIGITS_OK && o->letters > 0 && *c != '\0'; ++c)
    if (t.data.numbers[(unsigned char)*c] < 0)
      code =
          digits_error(DIGITS_USAGE, "--prompt \"%s\": byte 0x%02x does not occur in the text; give another --prompt",
                       o->prompt, (unsigned)(unsigned char)*c);
  if (code == DIGITS_OK) code = text_peak(context, &report.peak);
  if (code == DIGITS_OK) code = train_all(&t, list);
  free_results(&report);
  text_free(&t.data);
  free(list);
  return code;
}

/* ---- Options ---------------------------------------------------------------------------------------------------- */

static void set_usual(int *value, int usual, int quick, int is_quick) {
  if (*value == 0) *value = is_quick ? quick : usual;
}

static void fill_options(text_options *o) {
  const int is_quick = o->is_quick;
  set_usual(&o->steps, 600, 60, is_quick);
  set_usual(&o->batch, 12, 8, is_quick);
  set_usual(&o->length, 128, 32, is_quick);
  set_usual(&o->blocks, 6, 2, is_quick);
  set_usual(&o->width, 128, 128, is_quick);
  set_usual(&o->heads, 4, 2, is_quick);
  set_usual(&o->hidden, 384, 256, is_quick);
  set_usual(&o->every, 50, 20, is_quick);
  set_usual(&o->unseen, 8, 4, is_quick);
  if (o->warmup < 0) o->warmup = is_quick ? 10 : 60;
  if (o->letters < 0) o->letters = is_quick ? 40 : 400;
}

/* A number of the options, and what it may be. */
typedef struct range {
  const char *name;
  int value, least, most;
} range;

static int check_shapes(const text_options *o) {
  const range ranges[] = {{"steps", o->steps, 1, MOST_STEPS}, {"batch", o->batch, 1, 4096},
                          {"length", o->length, 2, 4096},     {"blocks", o->blocks, 1, TEXT_MOST_BLOCKS},
                          {"width", o->width, 2, 8192},       {"heads", o->heads, 1, 256},
                          {"hidden", o->hidden, 1, 32768},    {"every", o->every, 1, MOST_STEPS},
                          {"unseen", o->unseen, 1, 10000},    {"warmup", o->warmup, 0, MOST_STEPS},
                          {"seed", o->seed, 0, 1000000},      {"write", o->letters, 0, TEXT_SAMPLE / 2 - 1},
                          {"stop", o->stop, 0, MOST_STEPS}};
  for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; ++i)
    if (ranges[i].value < ranges[i].least || ranges[i].value > ranges[i].most)
      return digits_error(DIGITS_USAGE, "--%s is %d; give %d ... %d", ranges[i].name, ranges[i].value, ranges[i].least,
                          ranges[i].most);
  if (o->width % o->heads != 0 || o->width / o->heads % 2 != 0)
    return digits_error(DIGITS_USAGE,
                        "--width is %d and --heads %d; heads must divide the width into parts of an even size: "
                        "positions turn pairs",
                        o->width, o->heads);
  return DIGITS_OK;
}

static int check_options(const text_options *o) {
  if (!(o->rate > 0 && o->rate <= 1))
    return digits_error(DIGITS_USAGE, "--rate is %g; give more than 0, and at most 1", o->rate);
  if (!(o->decay >= 0 && o->decay * o->rate < 1))
    return digits_error(DIGITS_USAGE, "--decay is %g; give 0 or more, and times --rate less than 1", o->decay);
  if (!(o->clip >= 0 && o->clip <= 1e30))
    return digits_error(DIGITS_USAGE, "--clip is %g; give 0, which is none, or more", o->clip);
  if (strlen(o->prompt) == 0 || strlen(o->prompt) > TEXT_SAMPLE / 2)
    return digits_error(DIGITS_USAGE, "--prompt has %zu characters; give 1 ... %d", strlen(o->prompt), TEXT_SAMPLE / 2);
  if ((o->stop > 0 || o->is_resumed) && o->models == NULL)
    return digits_error(DIGITS_USAGE, "--stop and --resume need --models FOLDER");
  if (o->models != NULL && access(o->models, W_OK | X_OK) != 0) /* before anything is trained */
    return digits_error(DIGITS_FAILED, "--models %s: cannot write there: %s", o->models, strerror(errno));
  return check_shapes(o);
}

static int parse(int argc, const char **argv, text_options *o) {
  const struct poptOption table[] = {
      {"recipes", 'R', POPT_ARG_STRING | POPT_ARGFLAG_SHOW_DEFAULT, &o->recipes, 0, "names or texts", "LIST"},
      {"quick", 'q', POPT_ARG_NONE, &o->is_quick, 0, "a small model and 60 steps, where nothing else is said", NULL},
      {"steps", 's', POPT_ARG_INT, &o->steps, 0, "steps of each training: 600", "N"},
      {"batch", 'b', POPT_ARG_INT, &o->batch, 0, "windows of a step: 12", "N"},
      {"length", 'l', POPT_ARG_INT, &o->length, 0, "characters of a window: 128", "N"},
      {"blocks", 0, POPT_ARG_INT, &o->blocks, 0, "each of attention and SwiGLU: 6", "N"},
      {"width", 'w', POPT_ARG_INT, &o->width, 0, "elements of the stream: 128", "N"},
      {"heads", 0, POPT_ARG_INT, &o->heads, 0, "heads of attention: 4", "N"},
      {"hidden", 0, POPT_ARG_INT, &o->hidden, 0, "width of SwiGLU: 384", "N"},
      {"rate", 'r', POPT_ARG_DOUBLE | POPT_ARGFLAG_SHOW_DEFAULT, &o->rate, 0, "learning rate behind the warmup", "X"},
      {"warmup", 0, POPT_ARG_INT, &o->warmup, 0, "steps in which the rate rises: 60", "N"},
      {"decay", 0, POPT_ARG_DOUBLE | POPT_ARGFLAG_SHOW_DEFAULT, &o->decay, 0, "weight decay of matrices", "X"},
      {"clip", 0, POPT_ARG_DOUBLE | POPT_ARGFLAG_SHOW_DEFAULT, &o->clip, 0, "largest norm of gradients; 0: any", "X"},
      {"seed", 0, POPT_ARG_INT | POPT_ARGFLAG_SHOW_DEFAULT, &o->seed, 0, "of weights, windows and random bits", "N"},
      {"every", 'e', POPT_ARG_INT, &o->every, 0, "steps between two lines: 50", "N"},
      {"unseen", 0, POPT_ARG_INT, &o->unseen, 0, "batches of text that is not trained on: 8", "N"},
      {"write", 0, POPT_ARG_INT, &o->letters, 0, "characters that each model writes at the end: 400", "N"},
      {"prompt", 0, POPT_ARG_STRING | POPT_ARGFLAG_SHOW_DEFAULT, &o->prompt, 0, "what they follow", "TEXT"},
      {"models", 'm', POPT_ARG_STRING, &o->models, 0, "save the trained models here", "FOLDER"},
      {"stop", 0, POPT_ARG_INT, &o->stop, 0, "stop and save behind this step", "N"},
      {"resume", 0, POPT_ARG_NONE, &o->is_resumed, 0, "go on from what is saved there", NULL},
      {"csv", 0, POPT_ARG_STRING, &o->csv, 0, "write losses", "FILE"},
      {"json", 0, POPT_ARG_STRING, &o->json, 0, "write everything", "FILE"},
      {"reproducible", 0, POPT_ARG_NONE, &o->is_reproducible, 0, "the same bits on every machine; slow", NULL},
      {"threads", 'j', POPT_ARG_INT | POPT_ARGFLAG_SHOW_DEFAULT, &o->threads, 0, "0: all", "N"},
      POPT_AUTOHELP POPT_TABLEEND};
  poptContext popt = poptGetContext("train_text", argc, argv, table, 0); /* lives as long as the process */
  if (popt == NULL) return digits_error(DIGITS_FAILED, "no memory for the options");
  poptSetOtherOptionHelp(popt, "TEXT.txt [options]");
  const int found = poptGetNextOpt(popt);
  if (found < -1)
    return digits_error(DIGITS_USAGE, "%s: %s; see --help", poptBadOption(popt, POPT_BADOPTION_NOALIAS),
                        poptStrerror(found));
  o->text = poptGetArg(popt);
  if (o->text == NULL || poptPeekArg(popt) != NULL)
    return digits_error(DIGITS_USAGE, "give the text, a file of it; see --help");
  fill_options(o);
  return check_options(o);
}

int main(int argc, char **argv) {
  text_options o = {
      .recipes = usual_recipes, .prompt = "And ", .warmup = -1, .letters = -1, .rate = 0.002, .decay = 0.1, .clip = 1};
  mfq_context *context = NULL;
  mfq_context_options options;
  digits_program = "train_text";
  mfq_context_options_init(&options);
  int code = parse(argc, (const char **)argv, &o);
  options.threads = o.threads;
  options.policy = o.is_reproducible ? MFQ_REPRODUCIBLE : MFQ_FAST;
  if (code == DIGITS_OK) code = digits_status(mfq_context_create(&options, &context), "--threads", mfq_last_error());
  if (code == DIGITS_OK) code = run(&o, context);
  mfq_context_destroy(context);
  if (fclose(stdout) != 0 && code == DIGITS_OK) code = digits_error(DIGITS_FAILED, "standard output: cannot write");
  return code;
}
