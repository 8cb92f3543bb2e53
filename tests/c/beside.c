/* An application with a llama.cpp of its own, which the linker keeps apart from ours although every name is there twice.
 * Run with a model and an adapter for it. */
#define _POSIX_C_SOURCE 200112L
#include <llama.h>
#include <probity.h>
#include <stdlib.h>

#include "expect.h"

/* The copy at hand was compiled with our allocator's names (scripts/checked.h); an application's own was not. */
void *probity_engine_malloc(size_t size) { return malloc(size); }
void *probity_engine_calloc(size_t n, size_t size) { return calloc(n, size); }
void *probity_engine_realloc(void *memory, size_t size) { return realloc(memory, size); }
int probity_engine_posix_memalign(void **out, size_t alignment, size_t size) {
    return posix_memalign(out, alignment, size);
}

static int lines = 0;

static void count(enum ggml_log_level level, const char *text, void *user) {
    (void)level, (void)text, (void)user;
    lines++;
}

static double decide(const char *path) {
    probity_model_t model;
    probity_agent_t agent;
    uint32_t action;
    double p[2] = {0, 0};
    OK(probity_model_open(path, NULL, &model, &error));
    OK(probity_agent_new(model, SCENARIO, &agent, &error));
    OK(probity_agent_decide(agent, &action, p, 2, &error));
    OK(probity_agent_free(agent, &error));
    OK(probity_model_free(model, &error));
    return p[0];
}

int main(int argc, char **argv) {
    if (argc < 2) return 2;
    double before = decide(argv[1]);
    /* Its log, its backends, its model: none of them is ours. */
    llama_log_set(count, NULL);
    llama_backend_init();
    struct llama_model *model = llama_model_load_from_file(argv[1], llama_model_default_params());
    TRUE(model != NULL && lines > 0);
    int told = lines;
    TRUE(decide(argv[1]) == before);
    TRUE(lines == told);
    struct llama_context *context = llama_init_from_model(model, llama_context_default_params());
    llama_token token = 5;
    TRUE(context != NULL && llama_decode(context, llama_batch_get_one(&token, 1)) == 0);
    TRUE(decide(argv[1]) == before);
    llama_free(context);
    llama_model_free(model);
    llama_backend_free();
    TRUE(decide(argv[1]) == before);
    return failures > 0;
}
