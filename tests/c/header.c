/* The header compiles alone, twice, as C and as C++, and its version is the library's. */
#include <probity.h>
#include <probity.h>
#if defined(__cplusplus)
static_assert(PROBITY_ABI_VERSION == 1, "ABI version");
#else
_Static_assert(PROBITY_ABI_VERSION == 1, "ABI version");
_Static_assert(sizeof(probity_model_t) == 8, "handles are 64 bits");
_Static_assert(sizeof(probity_error_t) == 508, "errors own nothing and are copied freely");
#endif
int main(void) { return probity_abi_version() == PROBITY_ABI_VERSION ? 0 : 1; }
