/* Sessions from C: a village of agents on one context, plans and limits of memory, options of any version, records that
 * are taken again, and decisions that mean nothing. Run with a model, an adapter for it, and a model that answers
 * anything; built with AddressSanitizer. */
#include <math.h>
#include <probity.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "expect.h"

#define AGENTS 1000
#define ROUNDS 3

struct host {
    int told, freed, stop;
    float last;
};

static bool progress(void *user, float share) {
    struct host *host = user;
    host->told++;
    host->last = share;
    return !host->stop;
}

static void gone(void *user) {
    ((struct host *)user)->freed++;
}

static void village(probity_model_t model, probity_adapter_t adapter) {
    static probity_agent_t agents[AGENTS];
    static uint32_t moves[ROUNDS][AGENTS];
    probity_session_options_t options = {sizeof options};
    options.seeds = PROBITY_SEEDS_NUMBERED;
    probity_session_t session;
    OK(probity_session_new(model, &options, &session, &error));
    for (int i = 0; i < AGENTS; i++) {
        OK(probity_agent_join(session, SCENARIO, &agents[i], &error));
        if (i % 2) OK(probity_agent_set_adapters(agents[i], &adapter, NULL, 1, &error));
    }
    /* The session is still needed, and lives on. */
    OK(probity_session_free(session, &error));
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < AGENTS; i++) {
            double p[2];
            OK(probity_agent_decide(agents[i], &moves[round][i], p, 2, &error));
        }
        for (int i = 0; i < AGENTS; i += 2) {
            OK(probity_agent_observe(agents[i], moves[round][i], moves[round][i + 1], &error));
            OK(probity_agent_observe(agents[i + 1], moves[round][i + 1], moves[round][i], &error));
        }
    }
    int shares = 0;
    for (int i = 0; i < AGENTS; i += 2) shares += moves[0][i] == 0;
    TRUE(shares > 0 && shares < AGENTS / 2); /* each draws numbers of its own */

    probity_round_t rounds[ROUNDS + 1];
    size_t count = 0;
    OK(probity_agent_history(agents[0], NULL, 0, &count, &error));
    TRUE(count == ROUNDS);
    OK(probity_agent_history(agents[0], rounds, 2, &count, &error));
    TRUE(count == ROUNDS && rounds[1].own == moves[ROUNDS - 1][0] && rounds[0].other == moves[ROUNDS - 2][1]);
    OK(probity_agent_forget(agents[0], &error));
    OK(probity_agent_history(agents[0], rounds, ROUNDS + 1, &count, &error));
    TRUE(count == 0);
    OK(probity_agent_action_count(agents[0], &count, &error));
    TRUE(count == 2);
    for (int i = 0; i < AGENTS; i++) OK(probity_agent_free(agents[i], &error));
}

static void records(probity_model_t model, probity_adapter_t adapter) {
    probity_session_t session;
    probity_agent_t agent, twin;
    probity_game_t game;
    OK(probity_session_new(model, NULL, &session, &error));
    OK(probity_game_named("ish", &game, &error));
    OK(probity_agent_play(session, game, 5, &agent, &error));
    OK(probity_game_free(game, &error));
    OK(probity_agent_set_adapters(agent, &adapter, NULL, 1, &error));
    uint32_t action, other;
    double mass = -1;
    EXPECT(PROBITY_STATUS_NO_DECISION, probity_agent_legality(agent, &mass, &error));
    probity_status_t status = probity_agent_decide(agent, &action, NULL, 0, &error);
    TRUE(status == PROBITY_STATUS_OK || status == PROBITY_STATUS_UNRELIABLE);
    OK(probity_agent_legality(agent, &mass, &error));
    TRUE(mass > 0 && mass <= 1.0001);

    char *record, *again;
    bool same = false;
    OK(probity_agent_record(agent, &record, &error));
    OK(probity_session_retake(session, &adapter, 1, record, &same, &again, &error));
    TRUE(same && strcmp(record, again) == 0);
    probity_string_free(again);
    char *changed = strstr(record, "\"probability\":0.");
    TRUE(changed != NULL);
    if (changed) changed[16] = changed[16] == '1' ? '2' : '1';
    OK(probity_session_retake(session, &adapter, 1, record, &same, NULL, &error));
    TRUE(!same);
    EXPECT(PROBITY_STATUS_DOCUMENT, probity_session_retake(session, NULL, 0, record, &same, NULL, &error));
    EXPECT(PROBITY_STATUS_DOCUMENT, probity_session_retake(session, &adapter, 1, "{}", &same, NULL, &error));
    EXPECT(PROBITY_STATUS_NULL_ARGUMENT, probity_session_retake(session, &adapter, 1, record, NULL, NULL, &error));
    probity_string_free(record);

    uint8_t *bytes;
    size_t length;
    OK(probity_agent_snapshot(agent, &bytes, &length, &error));
    OK(probity_agent_rejoin(session, &adapter, 1, bytes, length, &twin, &error));
    probity_bytes_free(bytes, length);
    status = probity_agent_decide(agent, &action, NULL, 0, &error);
    TRUE(probity_agent_decide(twin, &other, NULL, 0, &error) == status && action == other);

    OK(probity_session_cancel(session, &error));
    EXPECT(PROBITY_STATUS_CANCELLED, probity_agent_decide(twin, &other, NULL, 0, &error));
    TRUE(probity_agent_decide(agent, &action, NULL, 0, &error) == status);
    OK(probity_agent_free(twin, &error));
    OK(probity_agent_free(agent, &error));
    OK(probity_session_free(session, &error));
    EXPECT(PROBITY_STATUS_STALE_HANDLE, probity_agent_join(session, SCENARIO, &agent, &error));
}

static void options(const char *path, probity_model_t model) {
    probity_session_t session;
    probity_agent_t agent;
    probity_plan_t before, open;
    probity_session_options_t options = {sizeof options};
    options.context = 512;
    probity_source_t source = {.size = sizeof source, .kind = PROBITY_SOURCE_FILE, .path = path};
    OK(probity_model_plan(&source, NULL, &options, &before, &error));
    OK(probity_session_plan(model, &options, &open, &error));
    TRUE(memcmp(&before, &open, sizeof open) == 0 && open.weights > 0 && open.cache > 0 && open.buffers > 0);
    options.exact_cache = 2;
    EXPECT(PROBITY_STATUS_OPTION, probity_session_plan(model, &options, &open, &error));
    EXPECT(PROBITY_STATUS_OPTION, probity_session_new(model, &options, &session, &error));
    options.exact_cache = 0;
    options.memory = open.weights + open.cache + open.buffers - 1;
    EXPECT(PROBITY_STATUS_MEMORY, probity_session_new(model, &options, &session, &error));
    TRUE(strstr(error.message, "of cache") != NULL);
    options.memory++;
    OK(probity_session_new(model, &options, &session, &error));
    OK(probity_session_free(session, &error));

    /* A caller that was compiled with a later version of the struct. */
    struct {
        probity_session_options_t known;
        uint64_t later;
    } newer = {{sizeof newer}, 0};
    OK(probity_session_new(model, &newer.known, &session, &error));
    OK(probity_session_free(session, &error));
    newer.later = 1;
    EXPECT(PROBITY_STATUS_OPTION, probity_session_new(model, &newer.known, &session, &error));
    newer.known.size = 8;
    EXPECT(PROBITY_STATUS_OPTION, probity_session_new(model, &newer.known, &session, &error));
    probity_session_options_t wrong = {sizeof wrong};
    wrong.seeds = 9;
    EXPECT(PROBITY_STATUS_OPTION, probity_session_new(model, &wrong, &session, &error));
    wrong.seeds = 0;
    wrong.legality_floor = NAN;
    EXPECT(PROBITY_STATUS_OPTION, probity_session_new(model, &wrong, &session, &error));
    wrong.legality_floor = 1.5;
    EXPECT(PROBITY_STATUS_OPTION, probity_session_new(model, &wrong, &session, &error));

    struct host host = {0, 0, 0, 0};
    probity_session_options_t telling = {sizeof telling};
    telling.progress = progress;
    telling.user_data = &host;
    telling.user_data_free = gone;
    OK(probity_session_new(model, &telling, &session, &error));
    OK(probity_agent_join(session, SCENARIO, &agent, &error));
    uint32_t action;
    host.stop = 1;
    EXPECT(PROBITY_STATUS_CANCELLED, probity_agent_decide(agent, &action, NULL, 0, &error));
    host.stop = 0;
    OK(probity_agent_decide(agent, &action, NULL, 0, &error));
    TRUE(host.told > 1 && host.last == 1.0f);
    OK(probity_session_free(session, &error));
    TRUE(host.freed == 0); /* the agent needs it still */
    OK(probity_agent_free(agent, &error));
    TRUE(host.freed == 1);
}

static void guards(const char *path) {
    probity_model_t model;
    probity_session_t session;
    probity_agent_t agent;
    uint32_t action = 99;
    double p[2] = {-1, -1}, mass = -1;
    OK(probity_model_open(path, NULL, &model, &error));
    OK(probity_session_new(model, NULL, &session, &error));
    OK(probity_agent_join(session, SCENARIO, &agent, &error));
    EXPECT(PROBITY_STATUS_UNRELIABLE, probity_agent_decide(agent, &action, p, 2, &error));
    TRUE(error.status == PROBITY_STATUS_UNRELIABLE && strstr(error.message, "likeliest answer begins with") != NULL);
    TRUE(action < 2 && fabs(p[0] + p[1] - 1) < 1e-9);
    OK(probity_agent_legality(agent, &mass, &error));
    TRUE(mass >= 0 && mass < 0.25);
    double again[2] = {-1, -1};
    EXPECT(PROBITY_STATUS_UNRELIABLE, probity_agent_policy(agent, NULL, again, 2, NULL, &error));
    TRUE(memcmp(again, p, sizeof p) == 0);
    char *record;
    OK(probity_agent_record(agent, &record, &error));
    TRUE(strstr(record, "\"unreliable\":{") != NULL);
    probity_string_free(record);
    OK(probity_agent_free(agent, &error));
    OK(probity_session_free(session, &error));

    probity_session_options_t off = {sizeof off};
    off.legality_floor = PROBITY_FLOOR_OFF;
    OK(probity_session_new(model, &off, &session, &error));
    OK(probity_agent_join(session, SCENARIO, &agent, &error));
    OK(probity_agent_decide(agent, &action, p, 2, &error));
    OK(probity_agent_free(agent, &error));
    OK(probity_session_free(session, &error));
    OK(probity_model_free(model, &error));
}

static void count(void *user, probity_log_level_t level, const char *line) {
    (void)level;
    (void)line;
    ++*(int *)user;
}

static void freed(void *user) {
    ++*(int *)user;
}

int main(int argc, char **argv) {
    if (argc != 4) return 2;
    probity_model_t model;
    probity_adapter_t adapter;
    int counts[2] = {0, 0};
    OK(probity_log_set_owned(count, &counts[0], freed, PROBITY_LOG_ERROR, &error));
    OK(probity_log_set_owned(count, &counts[1], freed, PROBITY_LOG_ERROR, &error));
    TRUE(counts[0] == 1 && counts[1] == 0);
    OK(probity_model_open(argv[1], NULL, &model, &error));
    OK(probity_adapter_load(model, argv[2], &adapter, &error));
    struct host host = {0, 0, 0, 0};
    OK(probity_adapter_verify_with_progress(adapter, progress, &host, &error));
    TRUE(host.told > 10 && host.last > 0.99f);
    host.stop = 1;
    EXPECT(PROBITY_STATUS_CANCELLED, probity_adapter_verify_with_progress(adapter, progress, &host, &error));
    village(model, adapter);
    records(model, adapter);
    options(argv[1], model);
    guards(argv[3]);

    TRUE(strcmp(probity_status_text(PROBITY_STATUS_BUSY), "The agent is in use by another thread") == 0);
    TRUE(strcmp(probity_status_text(-7), "an unknown status") == 0);
    char *info;
    OK(probity_build_info(&info, &error));
    TRUE(strstr(info, "\"llama_cpp\":\"") != NULL && strstr(info, "\"features\":[\"capi\"") != NULL);
    probity_string_free(info);
    OK(probity_adapter_free(adapter, &error));
    OK(probity_model_free(model, &error));
    OK(probity_log_set(NULL, NULL, 0, &error));
    if (failures) fprintf(stderr, "%d failures\n", failures);
    return failures != 0;
}
