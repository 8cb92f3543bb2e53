/* ggml's dot products on 64-bit ARM, for the processor that runs. CMake writes a CHOOSE for each into CHOICES, a file.
 *
 * ggml chooses its kernels when it is compiled. scripts/llama.cmake compiles those of quantised weights twice: for any processor
 * (NEON), and for those with instructions for dot products of bytes (ARMv8.2's SDOT). */
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/auxv.h>

/* HWCAP_ASIMDDP of Linux's ABI. */
static const unsigned long DOT_PRODUCTS = 1UL << 20;

/* Asked once. A constructor would not do: a linker may drop it from a static library. */
static bool has_dot_products(void) {
    enum { UNKNOWN, NO, YES };
    static atomic_int known;
    int answer = atomic_load_explicit(&known, memory_order_relaxed);
    if (answer == UNKNOWN) {
        answer = getauxval(AT_HWCAP) & DOT_PRODUCTS ? YES : NO;
        atomic_store_explicit(&known, answer, memory_order_relaxed);
    }
    return answer == YES;
}

#define CHOOSE(name) \
    void name##_neon(int, float *, size_t, const void *, size_t, const void *, size_t, int); \
    void name##_dotprod(int, float *, size_t, const void *, size_t, const void *, size_t, int); \
    void name(int, float *, size_t, const void *, size_t, const void *, size_t, int); \
    void name(int n, float * s, size_t bs, const void * x, size_t bx, const void * y, size_t by, int rows) { \
        (has_dot_products() ? name##_dotprod : name##_neon)(n, s, bs, x, bx, y, by, rows); \
    }
#include CHOICES
