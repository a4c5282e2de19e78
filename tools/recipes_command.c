/* tools/recipes_command.c: `mfq recipes`: the named recipes, or one place by place. */
#include <string.h>

#include "cli.h"

/* clang-format off */
static const cli_help help = {
    "[RECIPE] [--json]", "mfq recipes: list the named recipes of training, or write out one recipe",
    "A recipe says how the operands of a layer's products are quantized: fprop, y = x w; dgrad,\n"
    "dx = dy w; wgrad, dw = dy x. RECIPE is a name of the list, or settings, separated by ';':\n"
    "  PLACE=QUANTIZER   fprop.x, fprop.w, dgrad.dy, dgrad.w, wgrad.dy, wgrad.x, y, bias; or several\n"
    "                    at once: fprop, dgrad, wgrad, x, w, dy, all\n"
    "  QUANTIZER         none, same, or a scheme (mfq schemes), before which may stand, each with '|':\n"
    "                    again, delayed:STEPS, collected:STEPS, learned:STEPS, stat:STATISTIC,\n"
    "                    search:METHOD, fresh\n"
    "  ste=WAY           identity, clipped, brevitas: how gradients pass quantizers\n"
    "  switch=STEP       what follows holds from that step on\n"
    "'exact' are recipes whose gradient is that of the quantized forward.\n"
    "\n"
    "Examples:\n"
    "  mfq recipes\n"
    "  mfq recipes nvfp4\n"
    "  mfq recipes 'mxfp8;wgrad=none;switch=9000;none'\n",
    0, 1};
/* clang-format on */

static const char *const ste_words[] = {"identity", "clipped", "brevitas"};

/* Writes what stands at a place: the text of a recipe that has nothing else, behind its '='. */
static int write_place(const mfq_recipe *recipe, int phase, int place, char text[MFQ_RECIPE_TEXT_MAX]) {
  static mfq_recipe alone;
  memset(&alone, 0, sizeof alone);
  alone.phases[0].places[place] = recipe->phases[phase].places[place];
  alone.phases[1] = alone.phases[0];
  if (mfq_recipe_print(&alone, text, MFQ_RECIPE_TEXT_MAX) != MFQ_OK) return -1;
  const char *equal = strchr(text, '=');
  if (equal != NULL) memmove(text, equal + 1, strlen(equal));
  return 0;
}

/* Visits the places of a phase: prints them, or adds them to `object`. */
static int show_phase(const mfq_recipe *recipe, int phase, json_t *object) {
  char text[MFQ_RECIPE_TEXT_MAX];
  const mfq_phase *p = &recipe->phases[phase];
  for (int place = 0; place < (int)MFQ_PLACES; ++place) {
    const char *name = mfq_place_name((mfq_place)place);
    if (write_place(recipe, phase, place, text) != 0)
      return cli_error(CLI_FAILED, "%s", cli_sentence(mfq_last_error()));
    if (object != NULL)
      (void)json_object_set_new(object, name, json_string(text));
    else if (place < (int)MFQ_PLACE_Y || p->places[place].take != MFQ_TAKE_PLAIN)
      printf("%-12s %s\n", name, text);
  }
  if (object != NULL) {
    (void)json_object_set_new(object, "ste", json_string(ste_words[p->ste]));
    (void)json_object_set_new(object, "through_scale", json_boolean(p->through_scale));
  } else {
    printf("%-12s %s%s\n", "ste", ste_words[p->ste], p->through_scale ? ", and what measured scales send back" : "");
  }
  return CLI_OK;
}

static int show_recipe(const char *text, int json) {
  static mfq_recipe recipe;
  char shortest[MFQ_RECIPE_TEXT_MAX];
  if (mfq_recipe_parse(text, &recipe) != MFQ_OK) {
    const char *why = cli_sentence(mfq_last_error());
    const size_t length = strlen(why);
    return cli_error(CLI_USAGE, "%s%s see mfq recipes", why, length > 0 && why[length - 1] == '?' ? "" : ";");
  }
  if (mfq_recipe_print(&recipe, shortest, sizeof shortest) != MFQ_OK)
    return cli_error(CLI_FAILED, "%s", cli_sentence(mfq_last_error()));
  const int phases = recipe.switch_step > 0 ? 2 : 1, is_exact = mfq_recipe_is_exact(&recipe);
  json_t *list = json ? json_array() : NULL;
  if (!json) printf("shortest     %s\nexact        %s\n", shortest, is_exact ? "yes" : "no");
  for (int phase = 0; phase < phases; ++phase) {
    json_t *object = json ? json_object() : NULL;
    if (!json && phase > 0) printf("\nfrom step %lld on\n", (long long)recipe.switch_step);
    const int code = show_phase(&recipe, phase, object);
    if (object != NULL) (void)json_array_append_new(list, object);
    if (code == CLI_OK) continue;
    json_decref(list);
    return code;
  }
  if (!json) return CLI_OK;
  return cli_print_json(json_pack("{s:i, s:{s:s, s:b, s:I, s:o}}", "version", CLI_JSON_VERSION, "recipe", "shortest",
                                  shortest, "exact", is_exact, "switch_step", (json_int_t)recipe.switch_step, "phases",
                                  list));
}

static int list_recipes(int json) {
  static mfq_recipe recipe;
  json_t *rows = json ? json_array() : NULL;
  const char *text, *about;
  if (!json) printf("%-18s %-5s  %s\n", "name", "exact", "about, text");
  for (int32_t i = 0;; ++i) {
    const char *name = mfq_recipe_name(i, &text, &about);
    if (name == NULL) break;
    if (mfq_recipe_parse(name, &recipe) != MFQ_OK) {
      json_decref(rows);
      return cli_error(CLI_FAILED, "%s: %s", name, cli_sentence(mfq_last_error()));
    }
    const int is_exact = mfq_recipe_is_exact(&recipe);
    if (json)
      (void)json_array_append_new(
          rows, json_pack("{s:s, s:s, s:b, s:s}", "name", name, "text", text, "exact", is_exact, "about", about));
    else
      printf("%-18s %-5s  %s\n%26s%s\n", name, is_exact ? "yes" : "no", about, "", text);
  }
  return json ? cli_print_json(json_pack("{s:i, s:o}", "version", CLI_JSON_VERSION, "recipes", rows)) : CLI_OK;
}

int recipes_command(int argc, const char **argv) {
  int json = 0;
  const struct poptOption table[] = {CLI_HELP_ROW, CLI_JSON_ROW(&json), POPT_TABLEEND};
  cli_arguments arguments;
  int code = cli_parse(&help, table, argc, argv, &arguments);
  if (code == CLI_PROCEED) code = arguments.count == 0 ? list_recipes(json) : show_recipe(arguments.items[0], json);
  cli_arguments_free(&arguments);
  return code;
}
