/* Ten rounds of the prisoner's dilemma against a player who repeats our last move, then the last decision in words.
 *
 *     make lib-native
 *     cc examples/c/decide.c -Iinclude -Ltarget/release -lprobity -Wl,-rpath,target/release -o decide
 *     ./decide models/default.gguf models/deontological.gguf
 */
#include <probity.h>
#include <stdint.h>
#include <stdio.h>

static int failed(const char *what, const probity_error_t *error) {
    fprintf(stderr, "%s: %s (status %d)\n", what, error->message, (int)error->status);
    return 1;
}

int main(int argc, char **argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: %s MODEL.gguf ADAPTER.gguf\n", argv[0]);
        return 2;
    }
    probity_error_t error = {0};
    probity_model_t model;
    probity_adapter_t kind;
    probity_agent_t agent;

    if (probity_model_open(argv[1], NULL, &model, &error)) return failed("model", &error);
    if (probity_adapter_load(model, argv[2], &kind, &error)) return failed("adapter", &error);
    const char *scenario = "{\"game\": \"ipd\", \"labels\": [\"share\", \"keep\"], \"seed\": 7}";
    if (probity_agent_new(model, scenario, &agent, &error)) return failed("agent", &error);
    if (probity_agent_set_adapters(agent, &kind, NULL, 1, &error)) return failed("set adapters", &error);

    const char *labels[2] = {"share", "keep"};
    uint32_t theirs = 0;
    for (int round = 1; round <= 10; round++) {
        uint32_t mine;
        double p[2];
        if (probity_agent_decide(agent, &mine, p, 2, &error)) return failed("decide", &error);
        printf("round %2d: %-5s (%.3f), the other %s\n", round, labels[mine], p[mine], labels[theirs]);
        if (probity_agent_observe(agent, mine, theirs, &error)) return failed("observe", &error);
        theirs = mine;
    }
    char *why;
    if (probity_agent_explain(agent, &why, &error)) return failed("explain", &error);
    fputs(why, stdout);
    probity_string_free(why);

    probity_agent_free(agent, NULL);
    probity_adapter_free(kind, NULL);
    probity_model_free(model, NULL);
    return 0;
}
