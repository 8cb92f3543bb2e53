/* Calls of the library in any order, with handles that are live, freed, of another kind or none: the bytes say which.
 *
 * The fuzzer calls probity_fuzz_calls (fuzz/driver/targets/calls.rs). With REPLAY defined, this is a program that runs
 * the files of a corpus: `calls MODEL ADAPTER FILE...`, built with AddressSanitizer. */
#include <probity.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum kind { MODEL, ADAPTER, SESSION, AGENT, GAME, GRAPH, KINDS };
#define SLOTS 4

static const char *const SCENARIOS[] = {
    "{\"game\": \"ipd\", \"labels\": [\"share\", \"keep\"], \"seed\": 7}",
    "{\"game\": \"bos\", \"labels\": [\"a\", \"b\"], \"legality_floor\": \"off\"}",
    "{\"game\": \"ipd\", \"labels\": [\"share\"]}",
    "{",
};
static const char *const GRAPHS[] = {
    "{\"version\": 1, \"cards\": [{\"id\": \"calm\", \"title\": \"Calm\", \"policies\": [\"BREATHS that slow down\"]},"
    " {\"id\": 7, \"title\": \"Care\", \"policies\": [\"PEOPLE who are left alone\"]}], \"imported_edges\": [{\"from\":"
    " \"calm\", \"to\": 7, \"contexts\": [\"When tired\"], \"counts\": {\"wiser\": 8, \"not_wiser\": 1, \"less_wise\": 0,"
    " \"unsure\": 0, \"impressions\": 9}}]}",
    "{\"version\": 1}",
    "{\"version\": 9}",
    "",
};

static uint64_t handles[KINDS][SLOTS];
/* A call: which, its arguments, and the slot of what it makes. */
#define CALL 8
static uint8_t b[CALL];

/* A handle of a kind, or, once in a while, of another. */
static uint64_t pick(enum kind kind, uint8_t byte) {
    return handles[byte >= 240 ? (byte >> 2) % KINDS : kind][byte % SLOTS];
}

#define MODEL(byte) ((probity_model_t){pick(MODEL, byte)})
#define ADAPTER(byte) ((probity_adapter_t){pick(ADAPTER, byte)})
#define SESSION(byte) ((probity_session_t){pick(SESSION, byte)})
#define AGENT(byte) ((probity_agent_t){pick(AGENT, byte)})
#define GAME(byte) ((probity_game_t){pick(GAME, byte)})
#define GRAPH(byte) ((probity_graph_t){pick(GRAPH, byte)})

static void let_go(enum kind kind, uint64_t id) {
    switch (kind) {
    case MODEL: probity_model_free((probity_model_t){id}, NULL); break;
    case ADAPTER: probity_adapter_free((probity_adapter_t){id}, NULL); break;
    case SESSION: probity_session_free((probity_session_t){id}, NULL); break;
    case AGENT: probity_agent_free((probity_agent_t){id}, NULL); break;
    case GAME: probity_game_free((probity_game_t){id}, NULL); break;
    default: probity_graph_free((probity_graph_t){id}, NULL);
    }
}

/* Keeps a new handle. Its slot's old one is freed, where it still lives. */
static void keep(enum kind kind, uint64_t id, probity_status_t status) {
    uint8_t slot = b[CALL - 1] % SLOTS;
    if (status != PROBITY_STATUS_OK) return;
    let_go(kind, handles[kind][slot]);
    handles[kind][slot] = id;
}

/* Whatever a call wrote is read, and freed. */
static void text(char *string, probity_status_t status) {
    if (status != PROBITY_STATUS_OK) return;
    static volatile char seen;
    for (const char *at = string; *at; at++) seen ^= *at;
    probity_string_free(string);
}

static bool sometimes(void *user, float share) {
    int *calls = user;
    return share >= 0 && --*calls > 0;
}

static void gone(void *user) {
    free(user);
}

static void *contents(const char *path, size_t *length) {
    FILE *file = fopen(path, "rb");
    if (file == NULL) abort();
    fseek(file, 0, SEEK_END);
    *length = (size_t)ftell(file);
    rewind(file);
    void *bytes = malloc(*length + 1);
    if (fread(bytes, 1, *length, file) != *length) abort();
    fclose(file);
    return bytes;
}

static probity_status_t open_memory(const char *path, uint64_t model, uint64_t *id) {
    size_t length;
    void *bytes = contents(path, &length);
    probity_source_t source = {.size = sizeof source, .kind = PROBITY_SOURCE_MEMORY};
    source.bytes = source.user_data = bytes;
    source.length = length;
    source.user_data_free = gone;
    probity_model_t opened = {0};
    probity_adapter_t loaded = {0};
    probity_status_t status = model == 0
                                  ? probity_model_open_source(&source, NULL, NULL, NULL, &opened, NULL)
                                  : probity_adapter_load_source((probity_model_t){model}, &source, &loaded, NULL);
    if (status != PROBITY_STATUS_OK) free(bytes);
    *id = model == 0 ? opened.id : loaded.id;
    return status;
}

static void snapshot(bool in_session) {
    static probity_error_t error;
    uint8_t *bytes;
    size_t length;
    probity_agent_t agent = {0};
    if (probity_agent_snapshot(AGENT(b[1]), &bytes, &length, &error) != PROBITY_STATUS_OK) return;
    probity_adapter_t adapter = ADAPTER(b[2]);
    bytes[b[3] % length] ^= b[4] & b[5];
    probity_status_t status =
        in_session ? probity_agent_rejoin(SESSION(b[6]), &adapter, 1, bytes, length, &agent, &error)
                   : probity_agent_restore(MODEL(b[7]), &adapter, 1, bytes, length, &agent, &error);
    keep(AGENT, agent.id, status);
    probity_bytes_free(bytes, length);
}

static void call(const char *model_path, const char *adapter_path) {
    static probity_error_t error;
    probity_model_t model = {0};
    probity_adapter_t adapter = {0};
    probity_session_t session = {0};
    probity_agent_t agent = {0};
    probity_game_t game = {0};
    probity_graph_t graph = {0};
    probity_plan_t plan;
    probity_round_t rounds[3];
    uint32_t action;
    uint64_t id = 0;
    size_t count = 0;
    double numbers[4];
    char *json = NULL;
    int calls = 0;
    bool same;
    probity_session_options_t options = {sizeof options};
    probity_status_t status;
    switch (b[0] % 44) {
    case 0: status = probity_model_open(model_path, NULL, &model, &error); keep(MODEL, model.id, status); break;
    case 1: status = open_memory(model_path, 0, &id); keep(MODEL, id, status); break;
    case 2: status = probity_model_open(adapter_path, NULL, &model, &error); keep(MODEL, model.id, status); break;
    case 3: status = probity_model_info(MODEL(b[1]), &json, &error); text(json, status); break;
    case 4: probity_model_free(MODEL(b[1]), &error); break;
    case 5:
        status = probity_adapter_load(MODEL(b[1]), adapter_path, &adapter, &error);
        keep(ADAPTER, adapter.id, status);
        break;
    case 6:
        id = pick(MODEL, b[1]);
        if (id == 0) break;
        status = open_memory(adapter_path, id, &id);
        keep(ADAPTER, id, status);
        break;
    case 7: status = probity_adapter_info(ADAPTER(b[1]), &json, &error); text(json, status); break;
    case 8: probity_adapter_verify(ADAPTER(b[1]), &error); break;
    case 9: probity_adapter_free(ADAPTER(b[1]), &error); break;
    case 10:
        options.context = b[1] % 2 ? 256 : b[2];
        options.threads = b[3] % 3;
        options.seeds = b[4] % 3;
        options.memory = b[5] % 4 ? 0 : 1 << 20;
        options.user_data = calloc(1, 4);
        options.user_data_free = gone;
        status = probity_session_new(MODEL(b[6]), &options, &session, &error);
        if (status != PROBITY_STATUS_OK) free(options.user_data);
        keep(SESSION, session.id, status);
        break;
    case 11: probity_session_plan(MODEL(b[1]), &options, &plan, &error); break;
    case 12: probity_session_cancel(SESSION(b[1]), &error); break;
    case 13: probity_session_free(SESSION(b[1]), &error); break;
    case 14:
    case 15:
        status = probity_agent_join(SESSION(b[1]), SCENARIOS[b[2] % 4], &agent, &error);
        keep(AGENT, agent.id, status);
        break;
    case 16:
        status = probity_agent_new(MODEL(b[1]), SCENARIOS[b[2] % 4], &agent, &error);
        keep(AGENT, agent.id, status);
        break;
    case 17:
        status = probity_agent_play(SESSION(b[1]), GAME(b[2]), b[3], &agent, &error);
        keep(AGENT, agent.id, status);
        break;
    case 18:
    case 19: {
        probity_adapter_t set[2] = {ADAPTER(b[1]), ADAPTER(b[2])};
        const float scales[2] = {0.5f * (float)b[3], -1};
        probity_agent_set_adapters(AGENT(b[4]), set, b[5] % 2 ? scales : NULL, b[6] % 3, &error);
        break;
    }
    case 20:
    case 21:
    case 22: probity_agent_decide(AGENT(b[1]), &action, numbers, b[2] % 4, &error); break;
    case 23: probity_agent_legality(AGENT(b[1]), numbers, &error); break;
    case 24:
        rounds[0] = (probity_round_t){b[1] % 3, b[2] % 3};
        probity_agent_policy(AGENT(b[3]), b[4] % 2 ? rounds : NULL, numbers, b[5] % 4, numbers + 3,
                             &error);
        break;
    case 25: probity_agent_observe(AGENT(b[1]), b[2] % 3, b[3] % 3, &error); break;
    case 26: probity_agent_history(AGENT(b[1]), rounds, b[2] % 4, &count, &error); break;
    case 27: probity_agent_forget(AGENT(b[1]), &error); break;
    case 28: status = probity_agent_explain(AGENT(b[1]), &json, &error); text(json, status); break;
    case 29:
        if (probity_agent_record(AGENT(b[1]), &json, &error) == PROBITY_STATUS_OK) {
            char *again = NULL;
            adapter.id = pick(ADAPTER, b[2]);
            status = probity_session_retake(SESSION(b[3]), &adapter, b[4] % 2, json, &same, &again,
                                            &error);
            text(again, status);
            probity_string_free(json);
        }
        break;
    case 30: snapshot(false); break;
    case 31: snapshot(true); break;
    case 32: probity_agent_cancel(AGENT(b[1]), &error); break;
    case 33: probity_agent_free(AGENT(b[1]), &error); break;
    case 34:
        status = probity_game_named(b[1] % 4 ? "ipd" : "chess", &game, &error);
        keep(GAME, game.id, status);
        break;
    case 35: status = probity_game_json(GAME(b[1]), &json, &error); text(json, status); break;
    case 36:
        rounds[0] = (probity_round_t){b[1] % 3, 0};
        numbers[0] = b[2] / 255.0, numbers[1] = 1 - numbers[0];
        status = probity_game_account(GAME(b[3]), b[4] % 2 ? rounds : NULL, numbers, b[5] % 3, &json,
                                      &error);
        text(json, status);
        break;
    case 37: probity_game_free(GAME(b[1]), &error); break;
    case 38: status = probity_graph_parse(GRAPHS[b[1] % 4], &graph, &error); keep(GRAPH, graph.id, status); break;
    case 39:
        status = probity_graph_rank(GRAPH(b[1]), b[2] % 2 ? "compat" : NULL, b[3] % 2 ? "When tired" : NULL, &json,
                                    &error);
        text(json, status);
        break;
    case 40:
        status = probity_graph_explain(GRAPH(b[1]), b[2] % 2 ? "7" : "calm", NULL, &json, &error);
        text(json, status);
        break;
    case 41:
        calls = b[1] % 8;
        probity_graph_prepare(GRAPH(b[2]), MODEL(b[3]), sometimes, &calls, &error);
        break;
    case 42:
        status = probity_graph_situate(GRAPH(b[1]), MODEL(b[2]), "They are tired.", &json, &error);
        text(json, status);
        break;
    default: probity_graph_free(GRAPH(b[1]), &error);
    }
}

void probity_fuzz_calls(const char *model, const char *adapter, const uint8_t *bytes, size_t length) {
    memset(handles, 0, sizeof handles);
    /* Long sequences are many short ones. */
    for (size_t at = 0; at + CALL <= length && at < 64 * CALL; at += CALL) {
        memcpy(b, bytes + at, CALL);
        call(model, adapter);
    }
    for (int kind = 0; kind < KINDS; kind++) {
        for (int slot = 0; slot < SLOTS; slot++) let_go(kind, handles[kind][slot]);
    }
}

#ifdef REPLAY
int main(int argc, char **argv) {
    for (int i = 3; i < argc; i++) {
        size_t length;
        void *bytes = contents(argv[i], &length);
        probity_fuzz_calls(argv[1], argv[2], bytes, length);
        free(bytes);
    }
    return argc < 4;
}
#endif
