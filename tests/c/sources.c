/* Models and adapters from descriptors, sections and memory: they decide as those from files, their memory is freed once
 * and last, and what does not fit is refused. Run with a model, an adapter for it, and a folder to write in; built with
 * AddressSanitizer. */
#include <fcntl.h>
#include <probity.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "expect.h"

/* Where the model starts in the bundle: no multiple of anything. */
#define OFFSET 4099

static int freed = 0;

static void release(void *memory) {
    free(memory);
    freed++;
}

static unsigned char *contents(const char *path, size_t *length) {
    FILE *file = fopen(path, "rb");
    fseek(file, 0, SEEK_END);
    *length = (size_t)ftell(file);
    rewind(file);
    unsigned char *bytes = malloc(*length);
    if (fread(bytes, 1, *length, file) != *length) exit(2);
    fclose(file);
    return bytes;
}

/* Decides with a model, with an adapter and without, and frees the agent. */
static void decide(probity_model_t model, probity_adapter_t adapter, double p[4]) {
    probity_agent_t agent;
    uint32_t action;
    OK(probity_agent_new(model, SCENARIO, &agent, &error));
    OK(probity_agent_decide(agent, &action, p, 2, &error));
    OK(probity_agent_set_adapters(agent, &adapter, NULL, 1, &error));
    OK(probity_agent_decide(agent, &action, p + 2, 2, &error));
    OK(probity_agent_free(agent, &error));
}

int main(int argc, char **argv) {
    if (argc != 4) return 2;
    probity_model_t model, other;
    probity_adapter_t adapter, fit;
    double expected[4], p[4];
    OK(probity_model_open(argv[1], NULL, &model, &error));
    OK(probity_adapter_load(model, argv[2], &adapter, &error));
    decide(model, adapter, expected);

    size_t length, small;
    unsigned char *bytes = contents(argv[1], &length), *lora = contents(argv[2], &small);
    char path[4096];
    snprintf(path, sizeof path, "%s/bundle", argv[3]);
    FILE *bundle = fopen(path, "wb");
    static const unsigned char zeros[OFFSET];
    fwrite(zeros, 1, OFFSET, bundle);
    fwrite(bytes, 1, length, bundle);
    fwrite(zeros, 1, OFFSET, bundle);
    fclose(bundle);

    /* A section of an open file, whose descriptor is closed, and whose position is nobody's business. */
    probity_source_t section = {.size = sizeof section, .kind = PROBITY_SOURCE_DESCRIPTOR};
    section.descriptor = open(path, O_RDONLY);
    section.offset = OFFSET;
    section.length = length;
    lseek(section.descriptor, 7, SEEK_SET);
    probity_plan_t plan, whole;
    OK(probity_model_plan(&section, NULL, NULL, &plan, &error));
    OK(probity_model_open_source(&section, NULL, NULL, NULL, &other, &error));
    TRUE(lseek(section.descriptor, 0, SEEK_CUR) == 7);
    close(section.descriptor);
    OK(probity_session_plan(model, NULL, &whole, &error));
    TRUE(memcmp(&plan, &whole, sizeof plan) == 0);
    OK(probity_adapter_load(other, argv[2], &fit, &error));
    decide(other, fit, p);
    TRUE(memcmp(p, expected, sizeof p) == 0);
    OK(probity_adapter_verify(fit, &error));
    OK(probity_adapter_free(fit, &error));
    OK(probity_model_free(other, &error));

    /* Memory: a call that fails leaves it to the caller. */
    probity_source_t memory = {.size = sizeof memory, .kind = PROBITY_SOURCE_MEMORY, .path = "bundled"};
    memory.bytes = memory.user_data = bytes;
    memory.user_data_free = release;
    memory.length = length - 1;
    EXPECT(PROBITY_STATUS_TRUNCATED, probity_model_open_source(&memory, NULL, NULL, NULL, &other, &error));
    TRUE(strstr(error.message, "bundled") != NULL);
    memory.length = length;
    EXPECT(PROBITY_STATUS_OPTION,
           probity_model_open_source(&memory, "{\"mmap\": true}", NULL, NULL, &other, &error));
    OK(probity_model_plan(&memory, NULL, NULL, &plan, &error));
    TRUE(memcmp(&plan, &whole, sizeof plan) == 0);
    TRUE(freed == 0);
    OK(probity_model_open_source(&memory, NULL, NULL, NULL, &other, &error));
    probity_source_t half = {.size = sizeof half, .kind = PROBITY_SOURCE_MEMORY};
    half.bytes = half.user_data = lora;
    half.length = small;
    half.user_data_free = release;
    OK(probity_adapter_load_source(other, &half, &fit, &error));
    decide(other, fit, p);
    TRUE(memcmp(p, expected, sizeof p) == 0);
    /* The adapter still needs its model. */
    OK(probity_model_free(other, &error));
    TRUE(freed == 0);
    OK(probity_adapter_verify(fit, &error));
    OK(probity_adapter_free(fit, &error));
    TRUE(freed == 2);

    /* What is no source. */
    static const unsigned char few[] = "GGUF";
    probity_source_t bad[9];
    for (int i = 0; i < 9; i++) {
        bad[i] = (probity_source_t){.size = sizeof bad[i], .kind = PROBITY_SOURCE_MEMORY, .bytes = few, .length = 4};
    }
    bad[0].size = 8;
    bad[1].kind = 0;
    bad[2].kind = 4;
    bad[3].offset = 1;
    bad[4].length = UINT64_MAX;
    for (int i = 5; i < 9; i++) {
        bad[i] = (probity_source_t){.size = sizeof bad[i], .kind = PROBITY_SOURCE_FILE, .path = argv[1]};
    }
    bad[5].kind = PROBITY_SOURCE_DESCRIPTOR, bad[5].descriptor = -1;
    bad[6].offset = length + 1;
    bad[7].user_data_free = release;
    bad[8].length = length + 1;
    for (int i = 0; i < 9; i++) {
        EXPECT(PROBITY_STATUS_OPTION, probity_model_open_source(&bad[i], NULL, NULL, NULL, &other, &error));
    }
    /* Fields of other kinds, and a size that was forgotten. */
    bad[6].offset = 0, bad[6].bytes = few;
    bad[7].user_data_free = NULL, bad[7].descriptor = 3;
    bad[8].length = 0, bad[8].user_data = argv;
    bad[3].offset = 0, bad[3].descriptor = 3;
    bad[0].size = (size_t)-1;
    const int foreign[] = {0, 3, 6, 7, 8};
    for (int i = 0; i < 5; i++) {
        EXPECT(PROBITY_STATUS_OPTION,
               probity_model_open_source(&bad[foreign[i]], NULL, NULL, NULL, &other, &error));
    }
    bad[4].length = 4;
    EXPECT(PROBITY_STATUS_TRUNCATED, probity_model_open_source(&bad[4], NULL, NULL, NULL, &other, &error));
    bad[5].descriptor = 4095;
    EXPECT(PROBITY_STATUS_IO, probity_model_open_source(&bad[5], NULL, NULL, NULL, &other, &error));
    int ends[2];
    if (pipe(ends) != 0) return 2;
    bad[5].descriptor = ends[0];
    EXPECT(PROBITY_STATUS_IO, probity_model_open_source(&bad[5], NULL, NULL, NULL, &other, &error));
    TRUE(strstr(error.message, "regular file") != NULL);
    bad[1].kind = PROBITY_SOURCE_MEMORY, bad[1].bytes = NULL;
    EXPECT(PROBITY_STATUS_NULL_ARGUMENT, probity_model_open_source(&bad[1], NULL, NULL, NULL, &other, &error));
    bad[1].length = 0;
    EXPECT(PROBITY_STATUS_NOT_GGUF, probity_model_open_source(&bad[1], NULL, NULL, NULL, &other, &error));
    bad[6].bytes = NULL, bad[6].path = NULL;
    EXPECT(PROBITY_STATUS_NULL_ARGUMENT, probity_model_open_source(&bad[6], NULL, NULL, NULL, &other, &error));
    EXPECT(PROBITY_STATUS_NULL_ARGUMENT, probity_model_open_source(NULL, NULL, NULL, NULL, &other, &error));

    OK(probity_adapter_free(adapter, &error));
    OK(probity_model_free(model, &error));
    return failures > 0;
}
