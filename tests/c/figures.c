/* Policies of a model, bare or under an adapter, in every state of the five games, all four layouts and the given pairs
 * of labels: one line a game, layout and pair, as
 *
 *     game layout first second p0 p1 p2 p3 legality
 *
 * with the probability of the second action after CC, CD, DC and DD, and the least legality mass of the four.
 *
 *     figures MODEL.gguf (ADAPTER.gguf | -) first second [first second]...
 */
#include <probity.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static const char *GAMES[] = {"ipd", "ish", "icn", "bos", "icd"};
static const char *LAYOUTS[] = {"original", "columns-reversed", "rows-reversed", "reversed"};

static int failed(const char *what, const probity_error_t *error) {
    fprintf(stderr, "%s: %s (status %d)\n", what, error->message, (int)error->status);
    return 1;
}

static int figures(probity_model_t model, const probity_adapter_t *adapter, const char *game, const char *layout,
                   const char *first, const char *second) {
    probity_error_t error = {0};
    probity_agent_t agent;
    char scenario[512];
    snprintf(scenario, sizeof scenario, "{\"game\": \"%s\", \"labels\": [\"%s\", \"%s\"], \"style\": {\"layout\": \"%s\"}}",
             game, first, second, layout);
    if (probity_agent_new(model, scenario, &agent, &error)) return failed("agent", &error);
    if (probity_agent_set_adapters(agent, adapter, NULL, adapter ? 1 : 0, &error)) return failed("adapters", &error);
    printf("%s %s %s %s", game, layout, first, second);
    double least = 1.0;
    for (uint32_t state = 0; state < 4; state++) {
        const probity_round_t last = {state / 2, state % 2};
        double p[2], legality;
        if (probity_agent_policy(agent, &last, p, 2, &legality, &error)) return failed("policy", &error);
        printf(" %.9f", p[1]);
        if (legality < least) least = legality;
    }
    printf(" %.9f\n", least);
    if (probity_agent_free(agent, &error)) return failed("free", &error);
    return 0;
}

int main(int argc, char **argv) {
    if (argc < 5 || argc % 2 == 0) {
        fprintf(stderr, "usage: %s MODEL.gguf (ADAPTER.gguf | -) first second [first second]...\n", argv[0]);
        return 2;
    }
    probity_error_t error = {0};
    probity_model_t model;
    probity_adapter_t adapter;
    const int bare = strcmp(argv[2], "-") == 0;
    if (probity_model_open(argv[1], NULL, &model, &error)) return failed("model", &error);
    if (!bare && probity_adapter_load(model, argv[2], &adapter, &error)) return failed("adapter", &error);
    for (size_t game = 0; game < 5; game++)
        for (size_t layout = 0; layout < 4; layout++)
            for (int label = 3; label < argc; label += 2)
                if (figures(model, bare ? NULL : &adapter, GAMES[game], LAYOUTS[layout], argv[label], argv[label + 1]))
                    return 1;
    if (!bare) probity_adapter_free(adapter, NULL);
    probity_model_free(model, NULL);
    return 0;
}
