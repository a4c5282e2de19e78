/* Trains a small network that reads handwritten digits, from scratch, once for each of several recipes: what is quantized in
 * the three products of every layer, in mfq's layers, and all else plain C: ReLU, pooling, loss and Adam stand in
 * support/train_ops.c. Each network is saved, loaded again, and reads digits that it was not trained on. */
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

#include "support/digits.h"
#include "support/train.h"

/* Names of recipes.def, or texts that say what stands where (mfq/recipe.h). The first, float32, is what the others are
 * compared with. Rotations need rows of 16 pixels and more; here they have 8, and nvfp4_46 stands for NVFP4. */
static const char usual_recipes[] = "none,fp8_current,mxfp8,mxfp8_square,mxfp6,mxint8,mxfp4,mxfp4_qat,nvfp4_46";
enum { MAX_RECIPES = 64 };

/* conv1 3x3, ReLU, conv2 3x3, ReLU, largest of 2 x 2 pixels, fc1, ReLU, fc2: the network of digits_net.c. */
enum { CONV1, CONV2, FC1, FC2, BATCH = TRAIN_BATCH };

typedef struct train_options {
  const char *digits, *recipes, *models, *csv, *json;
  int epochs, seeds, width, threads, is_reproducible, stop, is_resumed;
  float rate;
} train_options;

/* ---- The network ------------------------------------------------------------------------------------------------ */

/* A layer is planned for its shapes once. It reads weight and bias where they are, whoever changes them. */
static mfq_status make_layer(mfq_context *context, train_stage *s, const digits_shape *shape, const mfq_recipe *recipe,
                             uint64_t seed) {
  mfq_layer_options options;
  mfq_conv conv;
  mfq_conv_init(&conv);
  conv.same_padding = 1;
  mfq_layer_options_init(&options);
  options.name = shape->name;
  options.kind = shape->taps > 1 ? MFQ_LAYER_CONV : MFQ_LAYER_LINEAR;
  options.conv = &conv;
  options.recipe = recipe;
  options.x = &s->x;
  options.y = &s->y;
  options.weight = &s->weight;
  options.bias = &s->bias;
  options.seed = seed;
  options.watch = 1; /* NaN is reported by the layer and the step that saw it first */
  return mfq_layer_create(context, &options, &s->layer);
}

static int network_create(mfq_context *context, const mfq_recipe *recipe, int width, uint64_t seed, train_network *n) {
  int code = train_network_init(width, n);
  for (int i = 0; code == DIGITS_OK && i < DIGITS_LAYERS; ++i) {
    train_stage *s = &n->stages[i];
    const uint64_t own = seed + (uint64_t)i;
    const float inputs = (float)(n->shapes[i].channels * n->shapes[i].taps);
    /* He's initialization: values keep their size from layer to layer. */
    train_fill_uniform(s->weight.data, train_elements(&s->weight), sqrtf(6 / inputs), own);
    code = digits_status(make_layer(context, s, &n->shapes[i], recipe, own), "a layer", mfq_last_error());
  }
  return code;
}

static void network_destroy(train_network *n) {
  for (int i = 0; i < DIGITS_LAYERS; ++i) mfq_layer_destroy(n->stages[i].layer);
  train_network_free(n);
}

/* ---- One step --------------------------------------------------------------------------------------------------- */

/* Pixels and labels of a batch. What is missing of the last one stays as it was. */
static void fill_batch(train_network *n, const digits_images *images, const int *order, int count) {
  float *pixels = n->stages[CONV1].x.data;
  for (int i = 0; i < count; ++i) {
    memcpy(pixels + i * DIGITS_PIXELS, images->pixels + order[i] * DIGITS_PIXELS, DIGITS_PIXELS * sizeof *pixels);
    n->labels[i] = images->labels[order[i]];
  }
}

static mfq_status forward(train_network *n) {
  mfq_status status = MFQ_OK;
  for (int i = 0; status == MFQ_OK && i < DIGITS_LAYERS; ++i) {
    train_stage *s = &n->stages[i];
    if (i == FC1) train_pool(s[-1].y.data, BATCH * n->shapes[CONV2].out, DIGITS_SIDE, s->x.data, n->pooled_from);
    status = mfq_layer_forward(s->layer, &s->x, &s->y);
    if (n->shapes[i].has_relu) train_relu(s->y.data, s->outputs);
  }
  return status;
}

/* From the gradient of the logits to those of all parameters. */
static mfq_status backward(train_network *n) {
  mfq_status status = MFQ_OK;
  for (int i = DIGITS_LAYERS - 1; status == MFQ_OK && i >= 0; --i) {
    train_stage *s = &n->stages[i];
    mfq_layer_gradients gradients;
    mfq_layer_gradients_init(&gradients);
    gradients.dy = &s->dy;
    gradients.x = &s->x;
    gradients.dx = i == CONV1 ? NULL : &s->dx; /* nobody needs that of the pixels */
    gradients.dweight = &s->dweight;
    gradients.dbias = &s->dbias;
    if (n->shapes[i].has_relu) train_relu_backward(s->y.data, s->dy.data, s->outputs);
    status = mfq_layer_backward(s->layer, &gradients);
    if (i == FC1) train_pool_backward(s->dx.data, n->pooled_from, train_elements(&s->x), s[-1].dy.data, s[-1].outputs);
  }
  return status;
}

/* The rate falls to zero, so that the last steps settle. */
static float rate_at(const train_options *o, int64_t step, int64_t all) {
  return o->rate * (1 - (float)step / (float)all);
}

static mfq_status train_step(train_network *n, float rate, double *loss) {
  train_stage *last = &n->stages[FC2];
  mfq_status status = forward(n);
  *loss = train_loss(last->y.data, n->labels, BATCH, DIGITS_CLASSES, last->dy.data);
  if (status == MFQ_OK) status = backward(n);
  if (status == MFQ_OK) train_adam_step(&n->adam, rate, mfq_layer_step(last->layer));
  return status;
}

/* How many of `images` are read as their label. */
static mfq_status count_right(train_network *n, const digits_images *images, int *right) {
  int order[BATCH];
  mfq_status status = MFQ_OK;
  *right = 0;
  for (int i = 0; status == MFQ_OK && i < DIGITS_LAYERS; ++i)
    status = mfq_layer_set_mode(n->stages[i].layer, MFQ_LAYER_EVAL);
  for (int first = 0; status == MFQ_OK && first < images->count; first += BATCH) {
    const int count = images->count - first < BATCH ? images->count - first : BATCH;
    for (int i = 0; i < count; ++i) order[i] = first + i;
    fill_batch(n, images, order, count);
    status = forward(n);
    const float *logits = n->stages[FC2].y.data;
    for (int i = 0; i < count; ++i) *right += digits_largest(logits + i * DIGITS_CLASSES) == n->labels[i];
  }
  for (int i = 0; status == MFQ_OK && i < DIGITS_LAYERS; ++i)
    status = mfq_layer_set_mode(n->stages[i].layer, MFQ_LAYER_TRAIN);
  return status;
}

/* ---- A training ------------------------------------------------------------------------------------------------- */

typedef struct training {
  const train_options *options;
  mfq_context *context;
  digits_images trained, unseen;
  int recipe_count;
  const char *recipes[MAX_RECIPES];
  train_progress progress;
  int64_t done, all; /* steps */
} training;

/* mfq_layers_save or mfq_layers_load, of a network, of its weights alone, or, where a training goes on from there, of the
 * moments of Adam too. */
typedef mfq_status (*file_fn)(const char *, mfq_layer *const *, int32_t, const mfq_layers_options *);
typedef enum file_kind { NETWORK, WEIGHTS, UNFINISHED } file_kind;

static int use_file(file_fn use, const training *t, train_network *n, const char *recipe, int seed, file_kind kind) {
  char path[FILENAME_MAX];
  mfq_layer *layers[DIGITS_LAYERS];
  const int64_t count = (int64_t)n->adam.count;
  mfq_named_tensor moments[2] = {{.name = "adam.first"}, {.name = "adam.second"}};
  mfq_status status = mfq_tensor_init(n->adam.first, MFQ_DTYPE_F32, 1, &count, &moments[0].tensor);
  if (status == MFQ_OK) status = mfq_tensor_init(n->adam.second, MFQ_DTYPE_F32, 1, &count, &moments[1].tensor);
  if (status != MFQ_OK) return digits_status(status, recipe, mfq_last_error());
  mfq_layers_options options;
  mfq_layers_options_init(&options);
  options.weights_only = kind == WEIGHTS;
  options.tensors = moments;
  options.tensor_count = kind == UNFINISHED ? 2 : 0;
  for (int i = 0; i < DIGITS_LAYERS; ++i) layers[i] = n->stages[i].layer;
  const int folder = snprintf(path, sizeof path, "%s/", t->options->models);
  (void)snprintf(path + folder, sizeof path - (size_t)folder, "%s-%d%s.safetensors", recipe, seed,
                 kind == UNFINISHED ? ".unfinished" : "");
  for (char *c = path + folder; *c != '\0'; ++c)
    if (*c == '/') *c = '_'; /* of a scheme */
  return digits_status(use(path, layers, DIGITS_LAYERS, &options), recipe, mfq_io_last_error());
}

/* The steps from where the network is to the end, or to where it is to stop. `order` has room for all digits. */
static int train_steps(training *t, train_network *n, train_result *r, int *order) {
  const train_options *o = t->options;
  const int64_t in_epoch = t->trained.count / BATCH, all = in_epoch * o->epochs;
  const int64_t first = mfq_layer_step(n->stages[CONV1].layer), end = o->stop > 0 && o->stop < all ? o->stop : all;
  mfq_status status = MFQ_OK;
  double loss, sum = 0;
  r->is_whole = end == all;
  r->first = (int)(first / in_epoch);
  for (int64_t step = first; status == MFQ_OK && step < end; ++step) {
    const int epoch = (int)(step / in_epoch), batch = (int)(step % in_epoch);
    if (step == first || batch == 0) train_shuffle(order, t->trained.count, (uint64_t)(1000 * r->seed + epoch));
    fill_batch(n, &t->trained, order + batch * BATCH, BATCH);
    status = train_step(n, rate_at(o, step, all), &loss);
    sum += loss;
    if (status == MFQ_OK && batch + 1 == in_epoch) {
      r->loss[epoch] = sum / (double)(epoch == r->first ? step + 1 - first : in_epoch);
      sum = 0;
      status = count_right(n, &t->unseen, &r->right[epoch]);
    }
    train_progress_draw(&t->progress, ++t->done, t->all, r->recipe);
  }
  return digits_status(status, r->recipe, mfq_last_error());
}

/* Random bits of quantizers follow from it and the step: a network has the same ones when it is made again. */
static uint64_t network_seed(const train_result *r) { return 1000 * (uint64_t)r->seed; }

/* A new network with the recipe of `r` reads what was saved of the one that `trained` names: all, or weights alone. */
static int serve(const training *t, const mfq_recipe *recipe, const train_result *r, const char *trained,
                 file_kind kind, int *right) {
  train_network n;
  int code = network_create(t->context, recipe, t->options->width, network_seed(r), &n);
  if (code == DIGITS_OK) code = use_file(mfq_layers_load, t, &n, trained, r->seed, kind);
  if (code == DIGITS_OK) code = digits_status(count_right(&n, &t->unseen, right), trained, mfq_last_error());
  network_destroy(&n);
  return code;
}

static int train(training *t, const mfq_recipe *recipe, int *order, train_result *r) {
  const train_options *o = t->options;
  train_network n;
  int code = network_create(t->context, recipe, o->width, network_seed(r), &n);
  if (code == DIGITS_OK && o->is_resumed) code = use_file(mfq_layers_load, t, &n, r->recipe, r->seed, UNFINISHED);
  if (code == DIGITS_OK) code = train_steps(t, &n, r, order);
  if (code == DIGITS_OK && o->models != NULL)
    code = use_file(mfq_layers_save, t, &n, r->recipe, r->seed, r->is_whole ? NETWORK : UNFINISHED);
  network_destroy(&n);
  return code;
}

static int train_and_serve(training *t, train_result *r) {
  const double start = digits_seconds();
  mfq_recipe recipe;
  int *order = malloc((size_t)t->trained.count * sizeof *order);
  int code = order != NULL ? DIGITS_OK : digits_error(DIGITS_FAILED, "no memory for the order of the digits");
  if (code == DIGITS_OK) code = digits_status(mfq_recipe_parse(r->recipe, &recipe), r->recipe, mfq_last_error());
  if (code == DIGITS_OK) code = train(t, &recipe, order, r);
  r->seconds = digits_seconds() - start;
  free(order);
  if (code != DIGITS_OK || t->options->models == NULL || !r->is_whole) return code;
  code = serve(t, &recipe, r, r->recipe, NETWORK, &r->served);
  return code == DIGITS_OK ? serve(t, &recipe, r, t->recipes[0], WEIGHTS, &r->afterwards) : code;
}

/* ---- All of them ------------------------------------------------------------------------------------------------ */

/* Cuts `list` at its commas. */
static int split_recipes(char *list, training *t) {
  for (char *at = list; at != NULL;) {
    if (t->recipe_count == MAX_RECIPES)
      return digits_error(DIGITS_USAGE, "--recipes: more than %d; train them in several runs", MAX_RECIPES);
    t->recipes[t->recipe_count++] = at;
    at = strchr(at, ',');
    if (at != NULL) *at++ = '\0';
  }
  return DIGITS_OK;
}

static int train_all(training *t, train_report *report, train_result *results) {
  const train_options *o = t->options;
  int code = DIGITS_OK;
  t->all = (int64_t)t->recipe_count * o->seeds * o->epochs * (t->trained.count / BATCH);
  train_print_heading(report);
  train_progress_start(&t->progress);
  for (int i = 0; code == DIGITS_OK && i < t->recipe_count * o->seeds; ++i) {
    train_result *r = &results[report->count];
    *r = (train_result){.recipe = t->recipes[i / o->seeds], .seed = i % o->seeds + 1, .epochs = o->epochs};
    r->served = r->afterwards = -1;
    code = train_and_serve(t, r);
    train_progress_wipe(&t->progress);
    if (code != DIGITS_OK || !r->is_whole) continue;
    train_print_result(report, r);
    ++report->count;
  }
  if (code == DIGITS_OK && o->seeds > 1) train_print_means(report);
  if (code == DIGITS_OK) train_print_recipes(t->recipe_count, t->recipes);
  return code;
}

static int run(const train_options *o, mfq_context *context) {
  training t = {.options = o, .context = context};
  train_result *results = calloc((size_t)(MAX_RECIPES * o->seeds), sizeof *results);
  char *list = strdup(o->recipes);
  int code = results != NULL && list != NULL ? split_recipes(list, &t)
                                             : digits_error(DIGITS_FAILED, "no memory for the results");
  digits_images all = {.count = 0};
  if (code == DIGITS_OK) code = digits_images_read(o->digits, 0, 0, &all);
  if (code == DIGITS_OK && all.count <= DIGITS_TRAINED)
    code = digits_error(DIGITS_FAILED, "%s: %d digits; those behind the first %d are read", o->digits, all.count,
                        DIGITS_TRAINED);
  t.trained = (digits_images){DIGITS_TRAINED, all.pixels, all.labels};
  t.unseen = (digits_images){all.count - DIGITS_TRAINED, all.pixels + DIGITS_TRAINED * DIGITS_PIXELS,
                             all.labels + DIGITS_TRAINED};
  train_report report = {mfq_context_describe(context), t.trained.count, t.unseen.count, BATCH, 0, results};
  if (code == DIGITS_OK) code = train_all(&t, &report, results);
  if (code == DIGITS_OK && o->csv != NULL) code = train_write_csv(&report, o->csv);
  if (code == DIGITS_OK && o->json != NULL) code = train_write_json(&report, o->json);
  digits_images_free(&all);
  free(results);
  free(list);
  return code;
}

static int parse(int argc, const char **argv, train_options *o) {
  const struct poptOption table[] = {
      {"recipes", 'R', POPT_ARG_STRING | POPT_ARGFLAG_SHOW_DEFAULT, &o->recipes, 0, "names or texts", "LIST"},
      {"epochs", 'e', POPT_ARG_INT | POPT_ARGFLAG_SHOW_DEFAULT, &o->epochs, 0, "how often each digit is seen", "N"},
      {"seeds", 's', POPT_ARG_INT | POPT_ARGFLAG_SHOW_DEFAULT, &o->seeds, 0, "networks a recipe", "N"},
      {"width", 'w', POPT_ARG_INT | POPT_ARGFLAG_SHOW_DEFAULT, &o->width, 0, "channels of the first layer", "N"},
      {"rate", 0, POPT_ARG_FLOAT | POPT_ARGFLAG_SHOW_DEFAULT, &o->rate, 0, "learning rate at first", "X"},
      {"models", 'm', POPT_ARG_STRING, &o->models, 0, "save networks there, load and try them", "FOLDER"},
      {"stop", 0, POPT_ARG_INT, &o->stop, 0, "stop and save after N steps", "N"},
      {"resume", 0, POPT_ARG_NONE, &o->is_resumed, 0, "go on where --stop ended", NULL},
      {"csv", 0, POPT_ARG_STRING, &o->csv, 0, "write one line an epoch", "FILE"},
      {"json", 0, POPT_ARG_STRING, &o->json, 0, "write everything", "FILE"},
      {"reproducible", 0, POPT_ARG_NONE, &o->is_reproducible, 0, "the same bits on every machine; slow", NULL},
      {"threads", 'j', POPT_ARG_INT | POPT_ARGFLAG_SHOW_DEFAULT, &o->threads, 0, "0: all", "N"},
      POPT_AUTOHELP POPT_TABLEEND};
  poptContext popt = poptGetContext("train_digits", argc, argv, table, 0); /* lives as long as the process */
  if (popt == NULL) return digits_error(DIGITS_FAILED, "no memory for the options");
  poptSetOtherOptionHelp(popt, "DIGITS.csv [options]");
  const int found = poptGetNextOpt(popt);
  if (found < -1)
    return digits_error(DIGITS_USAGE, "%s: %s; see --help", poptBadOption(popt, POPT_BADOPTION_NOALIAS),
                        poptStrerror(found));
  o->digits = poptGetArg(popt);
  if (o->digits == NULL || poptPeekArg(popt) != NULL)
    return digits_error(DIGITS_USAGE, "give the digits, a CSV file; see --help");
  if (o->epochs < 1 || o->epochs > TRAIN_MAX_EPOCHS)
    return digits_error(DIGITS_USAGE, "--epochs is %d; give 1 ... %d", o->epochs, TRAIN_MAX_EPOCHS);
  if (o->seeds < 1 || o->seeds > 1000) return digits_error(DIGITS_USAGE, "--seeds is %d; give 1 ... 1000", o->seeds);
  if (o->width < 1 || o->width > 1024) return digits_error(DIGITS_USAGE, "--width is %d; give 1 ... 1024", o->width);
  if ((o->stop > 0 || o->is_resumed) && o->models == NULL)
    return digits_error(DIGITS_USAGE, "--stop and --resume need --models FOLDER");
  if (o->models != NULL && access(o->models, W_OK | X_OK) != 0) /* before anything is trained */
    return digits_error(DIGITS_FAILED, "--models %s: cannot write there: %s", o->models, strerror(errno));
  return DIGITS_OK;
}

int main(int argc, char **argv) {
  train_options o = {.recipes = usual_recipes, .epochs = 6, .seeds = 1, .width = 32, .rate = 0.003f};
  mfq_context *context = NULL;
  mfq_context_options options;
  digits_program = "train_digits";
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
