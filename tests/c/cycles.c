/* Load, decide, free, over and over: every allocation is freed. Run with a model, an adapter for it, and the number of
 * cycles; without sanitizers, which keep what was freed. */
#include <malloc.h>
#include <probity.h>
#include <stdio.h>
#include <stdlib.h>

#include "expect.h"

/* The model is random, and answers anything. */
static const char *UNGUARDED =
    "{\"game\": \"ipd\", \"labels\": [\"share\", \"keep\"], \"legality_floor\": \"off\"}";

/* Bytes that are allocated and not freed. */
static size_t allocated(void) {
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
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
    if (cycles < 10) return 2;
    /* What is kept for good is made in the first cycles. */
    size_t first = 0;
    for (long i = 0; i < cycles && failures == 0; i++) {
        cycle(argv[1], argv[2]);
        if (i == cycles / 10) first = allocated();
        if (i % (cycles / 10) == 0) printf("%ld cycles: %zu bytes\n", i + 1, allocated());
    }
    const long long grown = (long long)allocated() - (long long)first;
    printf("%ld cycles: grown by %lld bytes since the first tenth\n", cycles, grown);
    /* What the allocator keeps for its threads varies a little. */
    TRUE(grown < 65536);
    return failures > 0;
}
