/* Load, decide, free, over and over: the memory does not grow. Run with a model, an adapter for it, and the number of
 * cycles; without sanitizers, which keep what was freed. */
#include <probity.h>
#include <stdio.h>
#include <stdlib.h>

#include "expect.h"

/* The model is random, and answers anything. */
static const char *UNGUARDED =
    "{\"game\": \"ipd\", \"labels\": [\"share\", \"keep\"], \"legality_floor\": \"off\"}";

/* Resident memory, KiB. */
static long resident(void) {
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL || fscanf(file, "%*d %ld", &pages) != 1) exit(2);
    fclose(file);
    return pages * 4;
}

static void cycle(const char *model_path, const char *adapter_path) {
    probity_model_t model;
    probity_adapter_t adapter;
    probity_session_t session;
    probity_agent_t agent, twin;
    probity_session_options_t options = {sizeof options};
    uint32_t action;
    double p[2];
    uint8_t *bytes;
    size_t length;
    options.context = 512;
    options.threads = 1;
    OK(probity_model_open(model_path, NULL, &model, &error));
    OK(probity_adapter_load(model, adapter_path, &adapter, &error));
    OK(probity_session_new(model, &options, &session, &error));
    OK(probity_agent_join(session, UNGUARDED, &agent, &error));
    OK(probity_agent_set_adapters(agent, &adapter, NULL, 1, &error));
    OK(probity_agent_decide(agent, &action, p, 2, &error));
    OK(probity_agent_observe(agent, action, 0, &error));
    OK(probity_agent_snapshot(agent, &bytes, &length, &error));
    OK(probity_agent_rejoin(session, &adapter, 1, bytes, length, &twin, &error));
    probity_bytes_free(bytes, length);
    OK(probity_agent_free(twin, &error));
    OK(probity_session_free(session, &error));
    OK(probity_model_free(model, &error));
    OK(probity_adapter_free(adapter, &error));
    OK(probity_agent_free(agent, &error));
}

int main(int argc, char **argv) {
    if (argc != 4) return 2;
    const long cycles = atol(argv[3]);
    /* The allocator finds its size in the first tenth. */
    long first = 0;
    for (long i = 0; i < cycles && failures == 0; i++) {
        cycle(argv[1], argv[2]);
        if (i == cycles / 10) first = resident();
        if (i % (cycles / 10) == 0) printf("%ld cycles: %ld KiB\n", i + 1, resident());
    }
    const long grown = resident() - first;
    printf("%ld cycles: grown by %ld KiB since the first tenth\n", cycles, grown);
    TRUE(grown < 4096);
    return failures > 0;
}
