/* The conformance files through C: conformance [--show] ROOT FILE... (tests/conformance/README.md). */
#define _POSIX_C_SOURCE 200809L
#include <fcntl.h>
#include <unistd.h>

#include "conformance.h"

static probity_error_t error;

/* An argument of the call: any, a handle, a text. */
#define ARGUMENT(name) json_get(with, #name)
#define HANDLE(kind) ((probity_##kind##_t){the(ARGUMENT(kind))->id})
#define TEXT(name) text_of(ARGUMENT(name))

/* A call of the same name as the function of probity.h. */
#define CALL(name) static probity_status_t name(const struct json *with, struct outcome *out)

/* The argument `adapters`: names. `scales` has a number for each, where it is there. */
struct adapters {
    probity_adapter_t adapters[8];
    float scales[8];
    size_t count;
};

static struct adapters adapters_of(const struct json *with) {
    struct adapters set = {0};
    const struct json *scale = ARGUMENT(scales) ? ARGUMENT(scales)->first : NULL;
    for (const struct json *name = ARGUMENT(adapters)->first; name; name = name->next) {
        set.adapters[set.count].id = the(name)->id;
        set.scales[set.count++] = (float)number_of(scale, 1);
        scale = scale ? scale->next : NULL;
    }
    return set;
}

/* The argument `last`: [own, other], or missing before the first round. */
static const probity_round_t *last_of(const struct json *with, probity_round_t *last) {
    const struct json *pair = json_get(with, "last");
    if (!pair) return NULL;
    last->own = (uint32_t)pair->first->number;
    last->other = (uint32_t)pair->first->next->number;
    return last;
}

static size_t numbers_of(const struct json *list, double *numbers) {
    size_t count = 0;
    for (const struct json *node = list ? list->first : NULL; node; node = node->next) numbers[count++] = node->number;
    return count;
}

static size_t labels_of(const struct json *list, const char **labels) {
    size_t count = 0;
    for (const struct json *node = list->first; node; node = node->next) labels[count++] = node->text;
    return count;
}

/* The descriptor of the last source. */
static int opened = -1;

static void close_source(void) {
    if (opened >= 0) close(opened);
    opened = -1;
}

static probity_source_t source_of(const struct json *with) {
    const struct json *wanted = json_get(with, "source");
    const char *kind = json_get(wanted, "kind")->text;
    probity_source_t source = {.size = sizeof source};
    size_t length = 0;
    if (strcmp(kind, "memory") == 0) {
        source.kind = PROBITY_SOURCE_MEMORY;
        source.bytes = memory_of(wanted, &length);
        source.length = length;
        return source;
    }
    source.path = path_of(json_get(wanted, "path"));
    source.offset = (uint64_t)number_of(json_get(wanted, "offset"), 0);
    source.length = (uint64_t)number_of(json_get(wanted, "length"), 0);
    source.kind = PROBITY_SOURCE_FILE;
    if (strcmp(kind, "descriptor") == 0) {
        source.kind = PROBITY_SOURCE_DESCRIPTOR;
        opened = open(source.path, O_RDONLY);
        if (opened < 0) fail("cannot open", source.path);
        source.descriptor = DESCRIPTOR(opened);
    }
    return source;
}


/* A document that a call returned. */
static probity_status_t document(struct outcome *out, probity_status_t status) {
    if (status == PROBITY_STATUS_OK) give(out, "\"json\":%s", out->text);
    return status;
}

/* A handle that a call returned. */
static probity_status_t handle(struct outcome *out, uint64_t id, probity_status_t status) {
    out->id = id;
    return status;
}

CALL(game_named) {
    probity_game_t game = {0};
    probity_status_t status = probity_game_named(TEXT(name), &game, &error);
    return handle(out, game.id, status);
}
CALL(game_parse) {
    probity_game_t game = {0};
    probity_status_t status = probity_game_parse(TEXT(json), &game, &error);
    return handle(out, game.id, status);
}
CALL(game_new) {
    probity_game_t game = {0};
    double payoffs[256];
    const char *rows[16], *columns[16];
    size_t count = 0, r = labels_of(ARGUMENT(row_labels), rows), c = labels_of(ARGUMENT(column_labels), columns);
    for (const struct json *row = ARGUMENT(payoffs)->first; row; row = row->next)
        for (const struct json *pair = row->first; pair; pair = pair->next) count += numbers_of(pair, payoffs + count);
    if (count != 2 * r * c) fail("payoffs and labels do not fit", "game_new");
    probity_status_t status = probity_game_new(TEXT(name), r, c, payoffs, rows, columns, &game, &error);
    return handle(out, game.id, status);
}
CALL(game_json) { return document(out, probity_game_json(HANDLE(game), &out->text, &error)); }
CALL(game_account) {
    probity_round_t last;
    double belief[128];
    size_t count = numbers_of(ARGUMENT(belief), belief);
    return document(out, probity_game_account(HANDLE(game), last_of(with, &last), count ? belief : NULL, count, &out->text,
                                              &error));
}
CALL(game_free) { (void)out; return probity_game_free(HANDLE(game), &error); }

CALL(model_open) {
    probity_model_t model = {0};
    probity_status_t status = probity_model_open(path_of(ARGUMENT(path)), TEXT(options), &model, &error);
    return handle(out, model.id, status);
}
CALL(model_open_source) {
    probity_model_t model = {0};
    probity_source_t source = source_of(with);
    probity_status_t status =
        probity_model_open_source(&source, TEXT(options), progress_of(with), NULL, &model, &error);
    close_source();
    return handle(out, model.id, status);
}
CALL(model_plan) {
    probity_plan_t plan;
    probity_source_t source = source_of(with);
    probity_session_options_t options = options_of(ARGUMENT(session_options));
    probity_status_t status = probity_model_plan(&source, TEXT(model_options), &options, &plan, &error);
    close_source();
    if (status == PROBITY_STATUS_OK) give_plan(out, plan);
    return status;
}
CALL(model_info) { return document(out, probity_model_info(HANDLE(model), &out->text, &error)); }
CALL(model_free) { (void)out; return probity_model_free(HANDLE(model), &error); }

CALL(adapter_load) {
    probity_adapter_t adapter = {0};
    probity_status_t status = probity_adapter_load(HANDLE(model), path_of(ARGUMENT(path)), &adapter, &error);
    return handle(out, adapter.id, status);
}
CALL(adapter_load_source) {
    probity_adapter_t adapter = {0};
    probity_source_t source = source_of(with);
    probity_status_t status = probity_adapter_load_source(HANDLE(model), &source, &adapter, &error);
    close_source();
    return handle(out, adapter.id, status);
}
CALL(adapter_info) { return document(out, probity_adapter_info(HANDLE(adapter), &out->text, &error)); }
CALL(adapter_verify) {
    (void)out;
    return probity_adapter_verify_with_progress(HANDLE(adapter), progress_of(with), NULL, &error);
}
CALL(adapter_free) { (void)out; return probity_adapter_free(HANDLE(adapter), &error); }

CALL(session_new) {
    probity_session_t session = {0};
    probity_session_options_t options = options_of(ARGUMENT(options));
    probity_status_t status = probity_session_new(HANDLE(model), &options, &session, &error);
    return handle(out, session.id, status);
}
CALL(session_plan) {
    probity_plan_t plan;
    probity_session_options_t options = options_of(ARGUMENT(options));
    probity_status_t status = probity_session_plan(HANDLE(model), &options, &plan, &error);
    if (status == PROBITY_STATUS_OK) give_plan(out, plan);
    return status;
}
CALL(session_retake) {
    struct adapters set = adapters_of(with);
    bool same = false;
    probity_status_t status =
        probity_session_retake(HANDLE(session), set.adapters, set.count, TEXT(record), &same, &out->text, &error);
    if (status == PROBITY_STATUS_OK) give(out, "\"same\":%s,\"json\":%s", same ? "true" : "false", out->text);
    return status;
}
CALL(session_cancel) { (void)out; return probity_session_cancel(HANDLE(session), &error); }
CALL(session_free) { (void)out; return probity_session_free(HANDLE(session), &error); }

CALL(agent_new) {
    probity_agent_t agent = {0};
    probity_status_t status = probity_agent_new(HANDLE(model), TEXT(scenario), &agent, &error);
    return handle(out, agent.id, status);
}
CALL(agent_join) {
    probity_agent_t agent = {0};
    probity_status_t status = probity_agent_join(HANDLE(session), TEXT(scenario), &agent, &error);
    return handle(out, agent.id, status);
}
CALL(agent_play) {
    probity_agent_t agent = {0};
    uint64_t seed = (uint64_t)number_of(ARGUMENT(seed), 0);
    probity_status_t status = probity_agent_play(HANDLE(session), HANDLE(game), seed, &agent, &error);
    return handle(out, agent.id, status);
}
CALL(agent_set_adapters) {
    (void)out;
    struct adapters set = adapters_of(with);
    return probity_agent_set_adapters(HANDLE(agent), set.adapters, ARGUMENT(scales) ? set.scales : NULL, set.count, &error);
}
CALL(agent_action_count) {
    size_t count = 0;
    probity_status_t status = probity_agent_action_count(HANDLE(agent), &count, &error);
    if (status == PROBITY_STATUS_OK) give(out, "\"count\":%zu", count);
    return status;
}
CALL(agent_decide) {
    uint32_t action = 0;
    double p[128];
    size_t count = 0;
    probity_status_t status = probity_agent_action_count(HANDLE(agent), &count, &error);
    if (status == PROBITY_STATUS_OK) status = probity_agent_decide(HANDLE(agent), &action, p, count, &error);
    if (status == PROBITY_STATUS_OK || status == PROBITY_STATUS_UNRELIABLE) {
        give(out, "\"action\":%u", (unsigned)action);
        give_numbers(out, "probabilities", p, count);
    }
    return status;
}
CALL(agent_legality) {
    double mass = 0;
    probity_status_t status = probity_agent_legality(HANDLE(agent), &mass, &error);
    if (status == PROBITY_STATUS_OK) give(out, "\"legality_mass\":%.17g", mass);
    return status;
}
CALL(agent_policy) {
    probity_round_t last;
    double p[128], mass = 0;
    size_t count = 0;
    probity_status_t status = probity_agent_action_count(HANDLE(agent), &count, &error);
    if (status == PROBITY_STATUS_OK)
        status = probity_agent_policy(HANDLE(agent), last_of(with, &last), p, count, &mass, &error);
    if (status == PROBITY_STATUS_OK || status == PROBITY_STATUS_UNRELIABLE) {
        give_numbers(out, "probabilities", p, count);
        give(out, "\"legality_mass\":%.17g", mass);
    }
    return status;
}
CALL(agent_observe) {
    (void)out;
    return probity_agent_observe(HANDLE(agent), (uint32_t)ARGUMENT(own)->number, (uint32_t)ARGUMENT(other)->number, &error);
}
CALL(agent_history) {
    probity_round_t rounds[64];
    size_t count = 0;
    probity_status_t status = probity_agent_history(HANDLE(agent), rounds, 64, &count, &error);
    if (status == PROBITY_STATUS_OK) give_rounds(out, rounds, count);
    return status;
}
CALL(agent_forget) { (void)out; return probity_agent_forget(HANDLE(agent), &error); }
CALL(agent_explain) {
    probity_status_t status = probity_agent_explain(HANDLE(agent), &out->text, &error);
    if (status == PROBITY_STATUS_OK) give_words(out, "words", out->text);
    return status;
}
CALL(agent_record) { return document(out, probity_agent_record(HANDLE(agent), &out->text, &error)); }
CALL(agent_cancel) { (void)out; return probity_agent_cancel(HANDLE(agent), &error); }
CALL(agent_snapshot) { return probity_agent_snapshot(HANDLE(agent), &out->bytes, &out->length, &error); }
CALL(agent_restore) {
    probity_agent_t agent = {0};
    struct adapters set = adapters_of(with);
    size_t length;
    const uint8_t *bytes = bytes_of(ARGUMENT(bytes), &length);
    probity_status_t status =
        probity_agent_restore(HANDLE(model), set.adapters, set.count, bytes, length, &agent, &error);
    return handle(out, agent.id, status);
}
CALL(agent_rejoin) {
    probity_agent_t agent = {0};
    struct adapters set = adapters_of(with);
    size_t length;
    const uint8_t *bytes = bytes_of(ARGUMENT(bytes), &length);
    probity_status_t status =
        probity_agent_rejoin(HANDLE(session), set.adapters, set.count, bytes, length, &agent, &error);
    return handle(out, agent.id, status);
}
CALL(agent_free) { (void)out; return probity_agent_free(HANDLE(agent), &error); }

CALL(graph_open) {
    probity_graph_t graph = {0};
    probity_status_t status = probity_graph_open(path_of(ARGUMENT(path)), &graph, &error);
    return handle(out, graph.id, status);
}
CALL(graph_parse) {
    probity_graph_t graph = {0};
    probity_status_t status = probity_graph_parse(TEXT(json), &graph, &error);
    return handle(out, graph.id, status);
}
CALL(graph_rank) {
    return document(out, probity_graph_rank(HANDLE(graph), TEXT(method), TEXT(context), &out->text, &error));
}
CALL(graph_explain) {
    return document(out, probity_graph_explain(HANDLE(graph), TEXT(card), TEXT(context), &out->text, &error));
}
CALL(graph_vote) { (void)out; return probity_graph_vote(HANDLE(graph), TEXT(vote), &error); }
CALL(graph_situate) {
    return document(out, probity_graph_situate(HANDLE(graph), HANDLE(model), TEXT(situation), &out->text, &error));
}
CALL(graph_score) {
    return document(out, probity_graph_score(HANDLE(graph), HANDLE(model), TEXT(situation), progress_of(with), NULL,
                                             &out->text, &error));
}
CALL(graph_free) { (void)out; return probity_graph_free(HANDLE(graph), &error); }

static const struct { const char *name; probity_status_t (*call)(const struct json *, struct outcome *); } calls[] = {
#define NAMED(name) {#name, name}
    NAMED(game_named), NAMED(game_parse), NAMED(game_new), NAMED(game_json), NAMED(game_account), NAMED(game_free),
    NAMED(model_open), NAMED(model_open_source), NAMED(model_plan), NAMED(model_info), NAMED(model_free),
    NAMED(adapter_load), NAMED(adapter_load_source), NAMED(adapter_info), NAMED(adapter_verify), NAMED(adapter_free),
    NAMED(session_new), NAMED(session_plan), NAMED(session_retake), NAMED(session_cancel), NAMED(session_free),
    NAMED(agent_new), NAMED(agent_join), NAMED(agent_play), NAMED(agent_set_adapters), NAMED(agent_action_count),
    NAMED(agent_decide), NAMED(agent_legality), NAMED(agent_policy), NAMED(agent_observe), NAMED(agent_history),
    NAMED(agent_forget), NAMED(agent_explain), NAMED(agent_record), NAMED(agent_cancel), NAMED(agent_snapshot),
    NAMED(agent_restore), NAMED(agent_rejoin), NAMED(agent_free), NAMED(graph_open), NAMED(graph_parse),
    NAMED(graph_rank), NAMED(graph_explain), NAMED(graph_vote), NAMED(graph_situate), NAMED(graph_score),
    NAMED(graph_free),
#undef NAMED
};

static void call(const char *name, const struct json *as, const struct json *with, struct outcome *out) {
    (void)as;
    size_t i = 0;
    while (i < sizeof calls / sizeof *calls && strcmp(calls[i].name, name) != 0) i++;
    if (i == sizeof calls / sizeof *calls) fail("no such call", name);
    memset(&error, 0, sizeof error);
    out->status = calls[i].call(with, out);
    if (out->text) {
        char *text = (char *)room(strlen(out->text));
        strcpy(text, out->text);
        probity_string_free(out->text);
        out->text = text;
    }
    if (out->bytes) {
        uint8_t *bytes = (uint8_t *)room(out->length);
        memcpy(bytes, out->bytes, out->length);
        probity_bytes_free(out->bytes, out->length);
        out->bytes = bytes;
    }
    snprintf(out->message, sizeof out->message, "%s", error.message);
}

int main(int argc, char **argv) { return conform(argc, argv, call); }
