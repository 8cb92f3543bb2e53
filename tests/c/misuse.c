/* Everything a C program can get wrong: each call answers with its own status, nothing crashes, nothing is leaked, and
 * the objects still work afterwards. Run with a model, an adapter for it, a text, another model with a context of 64
 * tokens, and a truncated model; built with AddressSanitizer. */
#include <math.h>
#include <probity.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "expect.h"

static bool stop_at_once(void *user, float share) {
    (void)share;
    ++*(int *)user;
    return false;
}

/* A thread that decides on and on, each time in another state, so that something is computed. */
static struct {
    probity_agent_t agent;
    volatile int stop, done, cancelled, wrong;
} worker;

static void *work(void *user) {
    (void)user;
    for (uint32_t i = 0; !worker.stop; i++) {
        uint32_t action;
        probity_status_t status = probity_agent_decide(worker.agent, &action, NULL, 0, NULL);
        if (status == PROBITY_STATUS_OK) worker.done++;
        else if (status == PROBITY_STATUS_CANCELLED) worker.cancelled++;
        else if (status != PROBITY_STATUS_BUSY) worker.wrong++;
        status = probity_agent_observe(worker.agent, 0, i % 2, NULL);
        if (status != PROBITY_STATUS_OK && status != PROBITY_STATUS_BUSY) worker.wrong++;
    }
    return NULL;
}

/* A second thread finds the agent busy, stops what it is doing, and leaves it usable. */
static void threads(probity_agent_t agent) {
    pthread_t thread;
    uint32_t action;
    int busy = 0;
    time_t end = time(NULL) + 60;
    worker.agent = agent;
    pthread_create(&thread, NULL, work, NULL);
    while (!busy && time(NULL) < end) busy = probity_agent_decide(agent, &action, NULL, 0, NULL) == PROBITY_STATUS_BUSY;
    while (!worker.cancelled && time(NULL) < end)
        if (probity_agent_cancel(agent, NULL) != PROBITY_STATUS_OK) failures++;
    int before = worker.done;
    while (worker.done == before && time(NULL) < end);
    worker.stop = 1;
    pthread_join(thread, NULL);
    /* A request that found no decision waits for the next. */
    while (probity_agent_decide(agent, &action, NULL, 0, NULL) == PROBITY_STATUS_CANCELLED);
    if (!busy || !worker.cancelled || worker.done == before || worker.wrong) {
        fprintf(stderr, "busy %d, cancelled %d, done %d after %d, wrong %d\n", busy, worker.cancelled, worker.done, before,
                worker.wrong);
        failures++;
    }
}

static void count_lines(void *user, probity_log_level_t level, const char *line) {
    if (level >= PROBITY_LOG_WARN && line[0] != '\0') ++*(int *)user;
}

static void games(void) {
    probity_game_t game;
    double payoffs[8] = {3, 3, 0, 4, 4, 0, 1, 1};
    const char *good[2] = {"share", "keep"};
    const char *twice[2] = {"share", "share"};
    const char *empty[2] = {"share", ""};
    const char *quoted[2] = {"share", "a\"b"};
    const char *bytes[2] = {"share", "\xff\xfe"};
    const char *hole[2] = {"share", NULL};
    char longest[80];
    memset(longest, 'x', 79);
    longest[79] = '\0';
    const char *long_label[2] = {"share", longest};

    EXPECT(PROBITY_STATUS_OK, probity_game_new("g", 2, 2, payoffs, good, good, &game, &error));
    char *json = NULL;
    EXPECT(PROBITY_STATUS_OK, probity_game_json(game, &json, &error));
    probity_game_t again;
    EXPECT(PROBITY_STATUS_OK, probity_game_parse(json, &again, &error));
    probity_string_free(json);
    EXPECT(PROBITY_STATUS_OK, probity_game_account(again, NULL, NULL, 0, &json, &error));
    probity_string_free(json);
    double belief[2] = {0.5, 0.6};
    probity_round_t last = {9, 0};
    EXPECT(PROBITY_STATUS_BELIEF, probity_game_account(again, NULL, belief, 2, &json, &error));
    EXPECT(PROBITY_STATUS_BELIEF, probity_game_account(again, NULL, belief, 1, &json, &error));
    EXPECT(PROBITY_STATUS_OPTION, probity_game_account(again, NULL, NULL, 2, &json, &error));
    EXPECT(PROBITY_STATUS_UNKNOWN_ACTION, probity_game_account(again, &last, NULL, 0, &json, &error));
    EXPECT(PROBITY_STATUS_NULL_ARGUMENT, probity_game_account(again, NULL, NULL, 0, NULL, &error));
    EXPECT(PROBITY_STATUS_OK, probity_game_free(again, &error));
    EXPECT(PROBITY_STATUS_DOUBLE_FREE, probity_game_free(again, &error));
    EXPECT(PROBITY_STATUS_STALE_HANDLE, probity_game_json(again, &json, &error));
    EXPECT(PROBITY_STATUS_OK, probity_game_free(game, &error));

    EXPECT(PROBITY_STATUS_LABEL_REPEATED, probity_game_new("g", 2, 2, payoffs, twice, good, &game, &error));
    EXPECT(PROBITY_STATUS_LABEL_EMPTY, probity_game_new("g", 2, 2, payoffs, empty, good, &game, &error));
    EXPECT(PROBITY_STATUS_LABEL_TOO_LONG, probity_game_new("g", 2, 2, payoffs, long_label, good, &game, &error));
    EXPECT(PROBITY_STATUS_LABEL, probity_game_new("g", 2, 2, payoffs, quoted, good, &game, &error));
    EXPECT(PROBITY_STATUS_INVALID_UTF8, probity_game_new("g", 2, 2, payoffs, good, bytes, &game, &error));
    EXPECT(PROBITY_STATUS_NULL_ARGUMENT, probity_game_new("g", 2, 2, payoffs, hole, good, &game, &error));
    EXPECT(PROBITY_STATUS_NULL_ARGUMENT, probity_game_new("g", 2, 2, NULL, good, good, &game, &error));
    EXPECT(PROBITY_STATUS_NULL_ARGUMENT, probity_game_new(NULL, 2, 2, payoffs, good, good, &game, &error));
    EXPECT(PROBITY_STATUS_NULL_ARGUMENT, probity_game_new("g", 2, 2, payoffs, good, good, NULL, &error));
    EXPECT(PROBITY_STATUS_GAME_ACTIONS, probity_game_new("g", 1, 2, payoffs, good, good, &game, &error));
    EXPECT(PROBITY_STATUS_GAME_ACTIONS, probity_game_new("g", (size_t)-1, 2, payoffs, good, good, &game, &error));
    payoffs[5] = NAN;
    EXPECT(PROBITY_STATUS_GAME_PAYOFF, probity_game_new("g", 2, 2, payoffs, good, good, &game, &error));
    payoffs[5] = INFINITY;
    EXPECT(PROBITY_STATUS_GAME_PAYOFF, probity_game_new("g", 2, 2, payoffs, good, good, &game, &error));
    EXPECT(PROBITY_STATUS_UNKNOWN_GAME, probity_game_named("chess", &game, &error));
    EXPECT(PROBITY_STATUS_DOCUMENT, probity_game_parse("{", &game, &error));
    EXPECT(PROBITY_STATUS_GAME_SHAPE,
           probity_game_parse("{\"version\":1,\"name\":\"x\",\"actions\":[[\"a\",\"b\"],[\"a\",\"b\"]],"
                              "\"payoffs\":[[[1,1],[1,1]],[[1,1]]]}", &game, &error));
    if (strcmp(error.message, "payoffs: row 2 has 1 entries, expected 2") != 0) {
        fprintf(stderr, "message: %s\n", error.message);
        failures++;
    }
}

static void graphs(void) {
    const char *json = "{\"version\": 1, \"cards\": ["
                       "{\"id\": 1, \"title\": \"Calm\", \"description\": \"x\", \"policies\": [\"y\"]},"
                       "{\"id\": 2, \"title\": \"Care\", \"description\": \"x\", \"policies\": [\"y\"]}]}";
    const char *vote = "{\"voter\": \"a\", \"from\": 1, \"to\": 2, \"context\": \"x\", \"answer\": \"upgrade\"}";
    probity_graph_t graph;
    probity_game_t game;
    char *text;
    EXPECT(PROBITY_STATUS_IO, probity_graph_open("/nowhere/values.db", &graph, &error));
    EXPECT(PROBITY_STATUS_STORE, probity_graph_open("/proc/self/exe", &graph, &error));
    EXPECT(PROBITY_STATUS_NULL_ARGUMENT, probity_graph_parse(json, NULL, &error));
    EXPECT(PROBITY_STATUS_INVALID_UTF8, probity_graph_parse("\xff", &graph, &error));
    EXPECT(PROBITY_STATUS_VALUES, probity_graph_parse("{", &graph, &error));
    EXPECT(PROBITY_STATUS_OK, probity_graph_parse(json, &graph, &error));
    EXPECT(PROBITY_STATUS_OK, probity_graph_rank(graph, NULL, NULL, &text, &error));
    probity_string_free(text);
    EXPECT(PROBITY_STATUS_VALUES, probity_graph_rank(graph, "best", NULL, &text, &error));
    EXPECT(PROBITY_STATUS_VALUES, probity_graph_rank(graph, "compat", "nowhere", &text, &error));
    EXPECT(PROBITY_STATUS_VALUES, probity_graph_explain(graph, "3", NULL, &text, &error));
    EXPECT(PROBITY_STATUS_NULL_ARGUMENT, probity_graph_explain(graph, NULL, NULL, &text, &error));
    EXPECT(PROBITY_STATUS_DOCUMENT, probity_graph_vote(graph, "[]", &error));
    EXPECT(PROBITY_STATUS_STORE, probity_graph_vote(graph, vote, &error));
    game.id = graph.id;
    EXPECT(PROBITY_STATUS_WRONG_TYPE, probity_game_free(game, &error));
    EXPECT(PROBITY_STATUS_OK, probity_graph_free(graph, &error));
    EXPECT(PROBITY_STATUS_DOUBLE_FREE, probity_graph_free(graph, &error));
    EXPECT(PROBITY_STATUS_STALE_HANDLE, probity_graph_rank(graph, NULL, NULL, &text, &error));
}

static const char *VOTED =
    "{\"version\": 1, \"cards\": ["
    "{\"id\": 1, \"title\": \"Calm\", \"description\": \"x\", \"policies\": [\"BREATHS that slow down\"]},"
    "{\"id\": 2, \"title\": \"Care\", \"description\": \"x\", \"policies\": [\"FACES\"]}],"
    "\"imported_edges\": [{\"from\": 1, \"to\": 2, \"contexts\": [\"When tired\"], \"counts\": {\"wiser\": 9, "
    "\"not_wiser\": 1, \"less_wise\": 0, \"unsure\": 0, \"impressions\": 10}}]}";

/* What a callback may ask of the graph that is being asked. */
struct asking { probity_graph_t graph; probity_model_t model; int calls; };

static bool ask_again(void *user_data, float done) {
    struct asking *asking = user_data;
    char *text = NULL;
    (void)done;
    if (asking->calls++ == 0) {
        EXPECT(PROBITY_STATUS_OK, probity_graph_situate(asking->graph, asking->model, "A child cries.", &text, &error));
        probity_string_free(text);
    }
    return true;
}

static void scores(probity_model_t model, probity_model_t small) {
    const char *named = "{\"situation\": \"A child cries.\", \"actions\": [\"Sing.\", \"Leave.\"], "
                        "\"contexts\": [\"When tired\"]}";
    probity_graph_t graph;
    probity_model_t none = {0};
    int calls = 0;
    char *text = NULL;
    EXPECT(PROBITY_STATUS_OK, probity_graph_parse(VOTED, &graph, &error));
    EXPECT(PROBITY_STATUS_OK, probity_graph_score(graph, model, named, NULL, NULL, &text, &error));
    if (!text || !strstr(text, "\"served\"")) failures++;
    probity_string_free(text);
    text = NULL;
    EXPECT(PROBITY_STATUS_CANCELLED, probity_graph_score(graph, model, named, stop_at_once, &calls, &text, &error));
    if (text || calls == 0) failures++;
    EXPECT(PROBITY_STATUS_OK, probity_graph_situate(graph, model, "A child <|im_end|> cries.", &text, &error));
    if (!text || !strstr(text, "\"contexts\"")) failures++;
    probity_string_free(text);
    struct asking asking = {graph, model, 0};
    EXPECT(PROBITY_STATUS_OK, probity_graph_score(graph, model, named, ask_again, &asking, &text, &error));
    if (asking.calls == 0) failures++;
    probity_string_free(text);
    EXPECT(PROBITY_STATUS_OPTION, probity_graph_situate(graph, model, " ", &text, &error));
    EXPECT(PROBITY_STATUS_NULL_ARGUMENT, probity_graph_score(graph, model, NULL, NULL, NULL, &text, &error));
    EXPECT(PROBITY_STATUS_NULL_ARGUMENT, probity_graph_score(graph, model, named, NULL, NULL, NULL, &error));
    EXPECT(PROBITY_STATUS_NULL_ARGUMENT, probity_graph_situate(graph, model, NULL, &text, &error));
    EXPECT(PROBITY_STATUS_INVALID_HANDLE, probity_graph_score(graph, none, named, NULL, NULL, &text, &error));
    EXPECT(PROBITY_STATUS_DOCUMENT, probity_graph_score(graph, model, "{}", NULL, NULL, &text, &error));
    EXPECT(PROBITY_STATUS_OPTION,
           probity_graph_score(graph, model, "{\"situation\": \"x\", \"actions\": []}", NULL, NULL, &text, &error));
    EXPECT(PROBITY_STATUS_VALUES,
           probity_graph_score(graph, model, "{\"situation\": \"x\", \"actions\": [\"y\"], \"contexts\": [\"z\"]}",
                               NULL, NULL, &text, &error));
    /* A model that knows 64 tokens at a time. */
    EXPECT(PROBITY_STATUS_PROMPT_TOO_LONG, probity_graph_score(graph, small, named, NULL, NULL, &text, &error));
    EXPECT(PROBITY_STATUS_OK, probity_graph_score(graph, model, named, NULL, NULL, &text, &error));
    probity_string_free(text);
    EXPECT(PROBITY_STATUS_OK, probity_graph_free(graph, &error));
    EXPECT(PROBITY_STATUS_STALE_HANDLE, probity_graph_situate(graph, model, "x", &text, &error));
}

int main(int argc, char **argv) {
    if (argc != 6) return 2;
    int lines = 0;
    EXPECT(PROBITY_STATUS_OK, probity_log_set(count_lines, &lines, 0, &error));
    if (probity_abi_version() != PROBITY_ABI_VERSION || probity_version()[0] == '\0') failures++;
    games();
    graphs();

    probity_model_t model, none = {0}, made_up = {0x123456789abcdefULL};
    int calls = 0;
    EXPECT(PROBITY_STATUS_CANCELLED,
           probity_model_open_with_progress(argv[1], NULL, stop_at_once, &calls, &model, &error));
    if (calls == 0) failures++;
    EXPECT(PROBITY_STATUS_NOT_GGUF, probity_model_open(argv[3], NULL, &model, &error));
    EXPECT(PROBITY_STATUS_IO, probity_model_open("/nowhere.gguf", NULL, &model, &error));
    EXPECT(PROBITY_STATUS_NULL_ARGUMENT, probity_model_open(NULL, NULL, &model, &error));
    EXPECT(PROBITY_STATUS_NULL_ARGUMENT, probity_model_open(argv[1], NULL, NULL, &error));
    EXPECT(PROBITY_STATUS_DOCUMENT, probity_model_open(argv[1], "{\"speed\":9}", &model, &error));
    EXPECT(PROBITY_STATUS_UNSUPPORTED_MODEL, probity_model_open(argv[2], NULL, &model, &error));
    EXPECT(PROBITY_STATUS_TRUNCATED, probity_model_open(argv[5], NULL, &model, &error));
    EXPECT(PROBITY_STATUS_OK, probity_model_open(argv[1], "{\"mmap\":true}", &model, NULL));

    char *text = NULL;
    EXPECT(PROBITY_STATUS_OK, probity_model_info(model, &text, &error));
    probity_string_free(text);
    EXPECT(PROBITY_STATUS_INVALID_HANDLE, probity_model_info(none, &text, &error));
    EXPECT(PROBITY_STATUS_NULL_ARGUMENT, probity_model_info(model, NULL, &error));
    EXPECT(PROBITY_STATUS_INVALID_HANDLE, probity_model_info(made_up, &text, &error));
    /* What another copy of the library would hand out: the same bits but those that name its map. */
    probity_model_t foreign = {model.id ^ 0x0000fff000000000ULL};
    EXPECT(PROBITY_STATUS_FOREIGN_HANDLE, probity_model_info(foreign, &text, &error));
    EXPECT(PROBITY_STATUS_FOREIGN_HANDLE, probity_model_free(foreign, &error));

    probity_adapter_t adapter;
    EXPECT(PROBITY_STATUS_UNSUPPORTED_ADAPTER, probity_adapter_load(model, argv[1], &adapter, &error));
    EXPECT(PROBITY_STATUS_NOT_GGUF, probity_adapter_load(model, argv[3], &adapter, &error));
    EXPECT(PROBITY_STATUS_OK, probity_adapter_load(model, argv[2], &adapter, &error));
    EXPECT(PROBITY_STATUS_OK, probity_adapter_verify(adapter, &error));
    EXPECT(PROBITY_STATUS_OK, probity_adapter_info(adapter, &text, &error));
    probity_string_free(text);
    probity_model_t wrong_type = {adapter.id};
    EXPECT(PROBITY_STATUS_WRONG_TYPE, probity_model_info(wrong_type, &text, &error));
    EXPECT(PROBITY_STATUS_WRONG_TYPE, probity_model_free(wrong_type, &error));

    probity_model_t small;
    probity_adapter_t misfit;
    probity_agent_t agent;
    EXPECT(PROBITY_STATUS_OK, probity_model_open(argv[4], NULL, &small, &error));
    EXPECT(PROBITY_STATUS_ADAPTER_MISMATCH, probity_adapter_load(small, argv[2], &misfit, &error));
    EXPECT(PROBITY_STATUS_OK, probity_agent_new(small, SCENARIO, &agent, &error));
    EXPECT(PROBITY_STATUS_ADAPTER_MISMATCH, probity_agent_set_adapters(agent, &adapter, NULL, 1, &error));
    uint32_t none_taken = 99;
    EXPECT(PROBITY_STATUS_PROMPT_TOO_LONG, probity_agent_decide(agent, &none_taken, NULL, 0, &error));
    if (none_taken != 99) failures++;
    EXPECT(PROBITY_STATUS_OK, probity_agent_free(agent, &error));
    scores(model, small);
    EXPECT(PROBITY_STATUS_OK, probity_model_free(small, &error));

    EXPECT(PROBITY_STATUS_LABEL_REPEATED,
           probity_agent_new(model, "{\"game\":\"ipd\",\"labels\":[\"go\",\"go\"]}", &agent, &error));
    EXPECT(PROBITY_STATUS_DOCUMENT, probity_agent_new(model, "not json", &agent, &error));
    EXPECT(PROBITY_STATUS_REWARD,
           probity_agent_new(model, "{\"game\":\"ipd\",\"policy\":{\"rewards\":[{\"framework\":\"deontological\",\"xi\":-1}]}}",
                             &agent, &error));
    EXPECT(PROBITY_STATUS_NULL_ARGUMENT, probity_agent_new(model, NULL, &agent, &error));
    EXPECT(PROBITY_STATUS_OK, probity_agent_new(model, SCENARIO, &agent, &error));
    EXPECT(PROBITY_STATUS_NO_DECISION, probity_agent_explain(agent, &text, &error));
    EXPECT(PROBITY_STATUS_NO_DECISION, probity_agent_record(agent, &text, &error));
    EXPECT(PROBITY_STATUS_OK, probity_agent_set_adapters(agent, &adapter, NULL, 1, &error));
    EXPECT(PROBITY_STATUS_NULL_ARGUMENT, probity_agent_set_adapters(agent, NULL, NULL, 1, &error));
    probity_adapter_t both[2] = {adapter, adapter};
    EXPECT(PROBITY_STATUS_OPTION, probity_agent_set_adapters(agent, both, NULL, 2, &error));
    float scale = NAN;
    EXPECT(PROBITY_STATUS_OPTION, probity_agent_set_adapters(agent, &adapter, &scale, 1, &error));

    uint32_t action = 99;
    double p[3] = {-1, -1, -1};
    EXPECT(PROBITY_STATUS_BUFFER_SIZE, probity_agent_decide(agent, &action, p, 3, &error));
    EXPECT(PROBITY_STATUS_NULL_ARGUMENT, probity_agent_decide(agent, NULL, p, 2, &error));
    EXPECT(PROBITY_STATUS_NULL_ARGUMENT, probity_agent_decide(agent, &action, NULL, 2, &error));
    if (action != 99 || p[0] != -1) failures++; /* outputs are written only on success */
    EXPECT(PROBITY_STATUS_OK, probity_agent_decide(agent, &action, p, 2, &error));
    if (action > 1 || fabs(p[0] + p[1] - 1) > 1e-9) failures++;
    EXPECT(PROBITY_STATUS_UNKNOWN_ACTION, probity_agent_observe(agent, 2, 0, &error));
    EXPECT(PROBITY_STATUS_OK, probity_agent_observe(agent, action, 0, &error));
    probity_round_t last = {0, 7};
    EXPECT(PROBITY_STATUS_UNKNOWN_ACTION, probity_agent_policy(agent, &last, p, 2, NULL, &error));
    EXPECT(PROBITY_STATUS_NULL_ARGUMENT, probity_agent_policy(agent, NULL, NULL, 2, NULL, &error));
    last.other = 1;
    double mass = 0;
    EXPECT(PROBITY_STATUS_OK, probity_agent_policy(agent, &last, p, 2, &mass, &error));
    if (!(mass > 0 && mass <= 1.0001)) failures++;
    EXPECT(PROBITY_STATUS_OK, probity_agent_explain(agent, &text, &error));
    probity_string_free(text);
    EXPECT(PROBITY_STATUS_OK, probity_agent_cancel(agent, &error));
    EXPECT(PROBITY_STATUS_CANCELLED, probity_agent_decide(agent, &action, p, 2, &error));

    uint8_t *bytes = NULL;
    size_t length = 0;
    EXPECT(PROBITY_STATUS_OK, probity_agent_snapshot(agent, &bytes, &length, &error));
    probity_agent_t twin;
    EXPECT(PROBITY_STATUS_SNAPSHOT, probity_agent_restore(model, NULL, 0, bytes, length, &twin, &error));
    EXPECT(PROBITY_STATUS_SNAPSHOT, probity_agent_restore(model, &adapter, 1, bytes, length - 1, &twin, &error));
    EXPECT(PROBITY_STATUS_SNAPSHOT, probity_agent_restore(model, &adapter, 1, NULL, 0, &twin, &error));
    bytes[length / 2] ^= 4;
    EXPECT(PROBITY_STATUS_SNAPSHOT, probity_agent_restore(model, &adapter, 1, bytes, length, &twin, &error));
    bytes[length / 2] ^= 4;
    EXPECT(PROBITY_STATUS_OK, probity_agent_restore(model, &adapter, 1, bytes, length, &twin, &error));
    probity_bytes_free(bytes, length);
    uint32_t mine, theirs;
    double q[2];
    EXPECT(PROBITY_STATUS_OK, probity_agent_decide(agent, &mine, p, 2, &error));
    EXPECT(PROBITY_STATUS_OK, probity_agent_decide(twin, &theirs, q, 2, &error));
    if (mine != theirs || p[0] != q[0]) failures++;
    EXPECT(PROBITY_STATUS_OK, probity_agent_free(twin, &error));
    EXPECT(PROBITY_STATUS_STALE_HANDLE, probity_agent_decide(twin, &mine, p, 2, &error));
    EXPECT(PROBITY_STATUS_STALE_HANDLE, probity_agent_cancel(twin, &error));

    threads(agent);

    /* Freed in the wrong order on purpose: what is still needed lives on. */
    EXPECT(PROBITY_STATUS_OK, probity_model_free(model, &error));
    EXPECT(PROBITY_STATUS_DOUBLE_FREE, probity_model_free(model, &error));
    EXPECT(PROBITY_STATUS_OK, probity_adapter_free(adapter, &error));
    EXPECT(PROBITY_STATUS_OK, probity_agent_decide(agent, &mine, p, 2, &error));
    EXPECT(PROBITY_STATUS_OK, probity_agent_free(agent, &error));
    EXPECT(PROBITY_STATUS_OK, probity_log_set(NULL, NULL, 0, &error));
    probity_string_free(NULL);
    probity_bytes_free(NULL, 0);
    if (failures) fprintf(stderr, "%d failures\n", failures);
    return failures != 0;
}
