/* What the C programs of the tests check by: each failed check is told, counted, and survived. */
#ifndef EXPECT_H
#define EXPECT_H

#include <probity.h>
#include <stdio.h>

static int failures = 0;
static probity_error_t error;

#define EXPECT(status, call)                                                                           \
    do {                                                                                               \
        probity_status_t got = (call);                                                                 \
        if (got != (status)) {                                                                         \
            fprintf(stderr, "%s:%d: %s\n    gave %d, expected %s (%d): %s\n", __FILE__, __LINE__, #call, \
                    (int)got, #status, (int)(status), error.message);                                  \
            failures++;                                                                                \
        }                                                                                              \
    } while (0)

#define OK(call) EXPECT(PROBITY_STATUS_OK, call)
#define TRUE(condition)                                                               \
    do {                                                                              \
        if (!(condition)) {                                                           \
            fprintf(stderr, "%s:%d: not %s\n", __FILE__, __LINE__, #condition);       \
            failures++;                                                               \
        }                                                                             \
    } while (0)

__attribute__((unused)) static const char *SCENARIO = "{\"game\": \"ipd\", \"labels\": [\"share\", \"keep\"], \"seed\": 7}";

#endif
