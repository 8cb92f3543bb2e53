#include <probity.h>
