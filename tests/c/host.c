/* What a host does to the threads and processes that it calls from: rounding modes, forks, small stacks. */
#define _POSIX_C_SOURCE 200809L
#include <fenv.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifndef _WIN32
#include <sys/wait.h>
#include <unistd.h>
#endif
#ifdef __SSE__
#include <xmmintrin.h>
#endif

#include "probity.h"

#define EXPECT(wanted, call)                                                                                           \
    do {                                                                                                               \
        probity_status_t got_ = (call);                                                                                \
        if (got_ != (wanted)) {                                                                                        \
            fprintf(stderr, "%s:%d: status %d, expected %d: %s\n", __FILE__, __LINE__, got_, (wanted), error.message); \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

static probity_error_t error;
static const char *const SCENARIO = "{\"game\": \"ipd\", \"labels\": [\"share\", \"keep\"], \"seed\": 7}";

static void decide(probity_model_t model, double p[2]) {
    probity_agent_t agent;
    uint32_t action;
    EXPECT(PROBITY_STATUS_OK, probity_agent_new(model, SCENARIO, &agent, &error));
    EXPECT(PROBITY_STATUS_OK, probity_agent_decide(agent, &action, p, 2, &error));
    EXPECT(PROBITY_STATUS_OK, probity_agent_free(agent, &error));
}

/* The caller's rounding mode changes no bit, and is the same afterwards. */
static void rounding(probity_model_t model) {
    static const int MODES[] = {FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO};
    double usual[2], p[2];
    decide(model, usual);
    for (size_t i = 0; i < sizeof MODES / sizeof *MODES; i++) {
        fesetround(MODES[i]);
        decide(model, p);
        int after = fegetround();
        fesetround(FE_TONEAREST);
        if (after != MODES[i] || memcmp(p, usual, sizeof p) != 0) {
            fprintf(stderr, "rounding mode %d: %.17g and %.17g, mode %d afterwards\n", MODES[i], p[0], usual[0], after);
            exit(1);
        }
    }
}

#ifdef __SSE__
/* Nor does the register of SSE: to round up, and to flush subnormal numbers to zero. */
static void flushing(probity_model_t model) {
    double usual[2], p[2];
    decide(model, usual);
    unsigned before = _mm_getcsr();
    _mm_setcsr(before | 0xc040);
    decide(model, p);
    unsigned after = _mm_getcsr();
    _mm_setcsr(before);
    if ((after & 0xc040) != 0xc040 || memcmp(p, usual, sizeof p) != 0) {
        fprintf(stderr, "flush-to-zero: %.17g and %.17g, register %x afterwards\n", p[0], usual[0], after);
        exit(1);
    }
}
#endif

#ifndef _WIN32
static void ends_well(pid_t child) {
    int status = 0;
    waitpid(child, &status, 0);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        fprintf(stderr, "the child ended with %d\n", status);
        exit(1);
    }
}

/* A child that cannot go on with its parent's threads says so, at every call, and does not wait for them. */
static void forks_early(void) {
    probity_game_t game;
    EXPECT(PROBITY_STATUS_OK, probity_game_named("ipd", &game, &error));
    pid_t child = fork();
    if (child == 0) {
        alarm(60);
        probity_game_t other;
        EXPECT(PROBITY_STATUS_FORKED, probity_game_named("ipd", &other, &error));
        EXPECT(PROBITY_STATUS_FORKED, probity_game_free(game, &error));
        _exit(0);
    }
    ends_well(child);
    EXPECT(PROBITY_STATUS_OK, probity_game_free(game, &error));
}

static void forks(probity_model_t model) {
    probity_agent_t agent;
    uint32_t action;
    EXPECT(PROBITY_STATUS_OK, probity_agent_new(model, SCENARIO, &agent, &error));
    EXPECT(PROBITY_STATUS_OK, probity_agent_decide(agent, &action, NULL, 0, &error));
    pid_t child = fork();
    if (child == 0) {
        alarm(60);
        EXPECT(PROBITY_STATUS_FORKED, probity_agent_decide(agent, &action, NULL, 0, &error));
        EXPECT(PROBITY_STATUS_FORKED, probity_agent_new(model, SCENARIO, &agent, &error));
        EXPECT(PROBITY_STATUS_FORKED, probity_agent_free(agent, &error));
        EXPECT(PROBITY_STATUS_FORKED, probity_model_free(model, &error));
        _exit(0);
    }
    ends_well(child);
    EXPECT(PROBITY_STATUS_OK, probity_agent_decide(agent, &action, NULL, 0, &error));
    EXPECT(PROBITY_STATUS_OK, probity_agent_free(agent, &error));
}
#endif

/* A preamble of one long word, which regular expressions recurse over, on the stack of a background thread. */
static void *long_word(void *file) {
    char scenario[10000], word[8193];
    probity_model_t model;
    probity_agent_t agent;
    uint32_t action;
    memset(word, 'A', sizeof word - 1);
    word[sizeof word - 1] = '\0';
    snprintf(scenario, sizeof scenario, "{\"game\": \"ipd\", \"labels\": [\"share\", \"keep\"], \"preamble\": \"%s\"}", word);
    EXPECT(PROBITY_STATUS_OK, probity_model_open(file, NULL, &model, &error));
    EXPECT(PROBITY_STATUS_OK, probity_agent_new(model, scenario, &agent, &error));
    probity_status_t status = probity_agent_decide(agent, &action, NULL, 0, &error);
    if (status != PROBITY_STATUS_OK) EXPECT(PROBITY_STATUS_PROMPT_TOO_LONG, status);
    EXPECT(PROBITY_STATUS_OK, probity_agent_free(agent, &error));
    EXPECT(PROBITY_STATUS_OK, probity_model_free(model, &error));
    return NULL;
}

int main(int argc, char **argv) {
    if (argc < 2) return 2;
#ifndef _WIN32
    /* Before any model: the library has locks without one, too. */
    forks_early();
#endif
    probity_model_t model;
    EXPECT(PROBITY_STATUS_OK, probity_model_open(argv[1], NULL, &model, &error));
    rounding(model);
#ifdef __SSE__
    flushing(model);
#endif
#ifndef _WIN32
    forks(model);
#endif
    EXPECT(PROBITY_STATUS_OK, probity_model_free(model, &error));
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 512 << 10);
    for (int i = 2; i < argc; i++) {
        pthread_t thread;
        if (pthread_create(&thread, &small, long_word, argv[i]) != 0) return 3;
        pthread_join(thread, NULL);
    }
    return 0;
}
