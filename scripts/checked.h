/* Included before every C file of ggml, and before ggml-backend.cpp: nobody checks their small allocations, and a failed one is a
 * write to address 0. crates/engine/shim/shim.cpp lets them succeed out of a reserve. */
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

#endif
