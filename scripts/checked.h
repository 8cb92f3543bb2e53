/* Included before every C file of ggml, and before ggml-backend.cpp.
 *
 * Nobody checks their small allocations, and a failed one is a write to address 0: crates/engine/shim/shim.cpp lets them succeed out
 * of a reserve. Their threads wait for each other in loops: on x86-64 a loop that takes long lets the others run. */
#ifndef PROBITY_CHECKED_H
#define PROBITY_CHECKED_H

/* What names malloc itself, before it has another name. */
#include <stdlib.h>
#ifdef __cplusplus
#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>
extern "C" {
#endif

void * probity_engine_malloc(size_t size);
void * probity_engine_calloc(size_t n, size_t size);
void * probity_engine_realloc(void * memory, size_t size);
#define malloc probity_engine_malloc
#define calloc probity_engine_calloc
#define realloc probity_engine_realloc

#ifndef _WIN32
int probity_engine_posix_memalign(void ** out, size_t alignment, size_t size);
#define posix_memalign probity_engine_posix_memalign
#endif

#ifdef __cplusplus
}
#endif

/* ggml waits by this instruction. A thread that waits for long may wait for a thread that has no processor. */
#if defined(__x86_64__) && !defined(__cplusplus) && !defined(_WIN32)
#include <immintrin.h>
#include <sched.h>
static inline void probity_engine_pause(void) {
    static _Thread_local unsigned pauses;
    if (++pauses % 4096 == 0) {
        sched_yield();
    } else {
        _mm_pause();
    }
}
#define _mm_pause probity_engine_pause
#endif

#endif
