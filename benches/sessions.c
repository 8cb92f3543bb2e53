/* A village on one session, through the C library: AGENTS players of one game, each against its neighbour. Prints the
 * figures as one line of JSON for benches/sessions.rs. */
#define _GNU_SOURCE
#include <malloc.h>
#include <probity.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define AGENTS 1000
#define ROUNDS 20
#define KNOWN 200000

static probity_error_t error;

static void ok(probity_status_t status) {
    if (status != PROBITY_STATUS_OK) {
        fprintf(stderr, "%d: %s\n", (int)status, error.message);
        exit(1);
    }
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

int main(int argc, char **argv) {
    static probity_agent_t agents[AGENTS];
    static uint32_t moves[AGENTS];
    if (argc != 3) return 2;
    probity_model_t model;
    probity_session_t session;
    probity_session_options_t options = {sizeof options};
    options.seeds = PROBITY_SEEDS_NUMBERED;
    ok(probity_model_open(argv[1], NULL, &model, &error));
    ok(probity_session_new(model, &options, &session, &error));
    /* What the first agent of a scenario makes belongs to all of them. */
    probity_agent_t first;
    ok(probity_agent_join(session, argv[2], &first, &error));

    struct mallinfo2 before = mallinfo2();
    double start = now();
    for (int i = 0; i < AGENTS; i++) ok(probity_agent_join(session, argv[2], &agents[i], &error));
    double made = (now() - start) / AGENTS;

    start = now();
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < AGENTS; i++) ok(probity_agent_decide(agents[i], &moves[i], NULL, 0, &error));
        for (int i = 0; i < AGENTS; i++) ok(probity_agent_observe(agents[i], moves[i], moves[i ^ 1], &error));
    }
    double decision = (now() - start) / (AGENTS * ROUNDS);
    struct mallinfo2 after = mallinfo2();

    double p[2];
    start = now();
    for (int i = 0; i < KNOWN; i++) ok(probity_agent_decide(first, &moves[0], p, 2, &error));
    double known = (now() - start) / KNOWN;
    printf("{\"made\": %.9f, \"decision\": %.9f, \"known\": %.9f, \"bytes\": %zu}\n", made, decision, known,
           (after.uordblks + after.hblkhd - before.uordblks - before.hblkhd) / AGENTS);
    return 0;
}
