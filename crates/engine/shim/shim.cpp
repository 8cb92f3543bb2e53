// The only way into llama.cpp for calls that may throw.
//
// A C++ exception must not reach Rust: that is undefined behaviour, and in practice an abort of the host. Each function
// here makes one call, catches everything, and returns how the call ended. A failed GGML_ASSERT ends the process; while
// a call of this file is on the stack, it becomes an exception instead and ends the call. crates/engine/src/shim.rs
// declares these functions.

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cfenv>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <map>
#include <memory>
#include <new>

#ifdef _WIN32
#ifdef _MSC_VER
#error "MSVC is not supported: scripts/llama.cmake knows MinGW alone, and a model's streams need it"
#endif
#define WIN32_LEAN_AND_MEAN
#ifndef NOMINMAX
#define NOMINMAX
#endif
#include <immintrin.h>
#include <io.h>
#include <windows.h>
#else
#include <sys/types.h>
#include <unistd.h>
#endif

#include <ggml-cpu.h>
#include <ggml.h>
#include <llama.h>

// Of llama.cpp's src/llama-ext.h, which is not installed; tests/engine/linked_sources.rs compares the two.
struct llama_memory_breakdown_data {
    size_t model   = 0;
    size_t context = 0;
    size_t compute = 0;
};
using llama_memory_breakdown = std::map<ggml_backend_buffer_type_t, llama_memory_breakdown_data>;
llama_memory_breakdown llama_get_memory_breakdown(const struct llama_context * ctx);

#ifdef _WIN32
// Of scripts/streams.h, without which the C library would take our streams for its own: then nothing links.
extern "C" const int probity_engine_streams;
#endif

namespace {

// How a call ended; shim.rs has the same numbers.
enum Ending : int32_t {
    RETURNED = 0,
    // llama.cpp returned an error, and its objects are as before.
    REFUSED = 1,
    // An exception that llama.cpp throws on purpose. Its object is unfit for use, and may be freed.
    THREW = 2,
    // An allocation or an assertion failed in the middle. To free the object may free memory twice.
    DAMAGED = 3,
};

// Guarded calls on this thread's stack.
thread_local int depth = 0;
// Why the last call of this thread did not return.
thread_local char reason[512] = "";

void note(const char * text) {
    snprintf(reason, sizeof reason, "%s", text);
}

// A GGML_ASSERT that failed; its text is the reason. llama.cpp's own handlers catch it and clean up.
struct Assertion : std::exception {
    const char * what() const noexcept override {
        return reason;
    }
};

// ggml calls this function, and aborts the process once it returns.
void on_abort(const char * message) {
    // A second exception during the unwinding would end the process, too, with less of a message.
    if (depth > 0 && std::uncaught_exceptions() == 0) {
        note(message);
        throw Assertion();
    }
    fprintf(stderr, "%s\n", message);
}

// Memory for the day when there is no more. ggml's C code forgets about small allocations that fail, and about what it has
// just freed when they throw; so these do not fail: they get what this block leaves when it is freed.
constexpr size_t RESERVE = 4 << 20;
std::atomic<void *> reserve{nullptr};

// Whether the reserve is full; fills it where it is not.
bool filled() {
    if (reserve.load() != nullptr) {
        return true;
    }
    void * block = malloc(RESERVE);
    void * none = nullptr;
    if (block != nullptr && !reserve.compare_exchange_strong(none, block)) {
        // Another thread has filled it.
        free(block);
    }
    return block != nullptr;
}

// Makes an allocation that has to succeed; without the reserve it throws.
template <typename Allocate> auto must(Allocate allocate) {
    auto memory = allocate();
    if (memory == nullptr) {
        free(reserve.exchange(nullptr));
        memory = allocate();
    }
    if (memory == nullptr) {
        throw std::bad_alloc();
    }
    return memory;
}

struct Guard {
    Guard() {
        depth++;
        reason[0] = '\0';
    }
    ~Guard() {
        depth--;
    }
};

// Makes a call that needs no memory, such as one that frees some.
template <typename Call> int32_t freeing(Call call) noexcept {
    const Guard guard;
    try {
        return call() ? RETURNED : REFUSED;
    } catch (const Assertion &) {
        return DAMAGED;
    } catch (const std::bad_alloc &) {
        note("out of memory");
        return DAMAGED;
    } catch (const std::exception & e) {
        note(e.what());
        return THREW;
    } catch (...) {
        note("an exception without a text");
        return DAMAGED;
    }
}

// Makes a call that may allocate, behind a full reserve.
template <typename Call> int32_t guarded(Call call) noexcept {
    if (!filled()) {
        note("out of memory");
        return REFUSED;
    }
    return freeing(call);
}

// A larger block is checked by ggml, which then returns an error.
constexpr size_t UNCHECKED = 1 << 20;

// Where the bytes of a file are; shim.rs has the same structure.
struct Lent {
    const uint8_t * head;
    uint64_t head_length;
    const uint8_t * bytes;
    intptr_t file;
    uint64_t offset;
    uint64_t length;

    uint64_t all() const {
        return head_length + length;
    }

    // Copies some of the bytes from a position on, at most `n`. Returns how many, or a negative number.
    int64_t read(uint64_t position, char * to, size_t n) const {
        const bool in_head = position < head_length;
        const uint64_t at = in_head ? position : offset + (position - head_length);
        n = std::min<uint64_t>(n, (in_head ? head_length : all()) - position);
        if (in_head || bytes != nullptr) {
            memcpy(to, (in_head ? head : bytes) + at, n);
            return n;
        }
#ifdef _WIN32
        OVERLAPPED from = {};
        from.Offset = DWORD(at);
        from.OffsetHigh = DWORD(at >> 32);
        DWORD got = 0;
        return ReadFile(HANDLE(file), to, DWORD(std::min<size_t>(n, 1 << 30)), &got, &from) ? int64_t(got) : -1;
#else
        ssize_t got;
        do {
            got = pread(int(file), to, n, at);
        } while (got < 0 && errno == EINTR);
        return got;
#endif
    }
};

// A C stream over lent bytes. It has a position of its own, whoever else reads the file.
struct Stream {
    const Lent * lent;
    uint64_t position = 0;

    explicit Stream(const Lent * lent);
    ~Stream();
    Stream(const Stream &) = delete;

    // What llama.cpp takes for a file.
    FILE * file();

    int64_t read(char * to, size_t n) {
        const int64_t got = lent->read(position, to, n);
        position += std::max<int64_t>(got, 0);
        return got;
    }

    int64_t seek(int64_t offset, int whence) {
        const uint64_t from = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? position : lent->all();
        const int64_t to = int64_t(from) + offset;
        if (to < 0 || uint64_t(to) > lent->all()) {
            errno = EINVAL;
            return -1;
        }
        return position = to;
    }

#ifdef _WIN32
    // The stream of this thread's call. Its address stands for a file and for a handle, and no C library reads it: what
    // llama.cpp does to a file comes to the functions below (scripts/streams.h).
    static thread_local Stream * own;
    // Stands for its descriptor. The C library has -1 for an error and -2 for a stream without a descriptor.
    static constexpr int DESCRIPTOR = -1000;
#else
private:
    std::unique_ptr<FILE, int (*)(FILE *)> stream{nullptr, fclose};
#endif
};

#ifdef _WIN32
thread_local Stream * Stream::own = nullptr;

Stream::Stream(const Lent * lent) : lent(lent) {
    own = this;
}

Stream::~Stream() {
    own = nullptr;
}

FILE * Stream::file() {
    return probity_engine_streams == 1 ? reinterpret_cast<FILE *>(this) : nullptr;
}
#else
Stream::Stream(const Lent * lent) : lent(lent) {
#if defined(__linux__) && !defined(__ANDROID__)
    cookie_io_functions_t functions = {};
    functions.read = [](void * stream, char * to, size_t n) {
        return ssize_t(static_cast<Stream *>(stream)->read(to, n));
    };
    functions.seek = [](void * stream, off64_t * offset, int whence) {
        const int64_t position = static_cast<Stream *>(stream)->seek(*offset, whence);
        return position < 0 ? -1 : (*offset = position, 0);
    };
    stream.reset(fopencookie(this, "rb", functions));
#else
    stream.reset(funopen(
        this, [](void * stream, char * to, int n) { return int(static_cast<Stream *>(stream)->read(to, n)); }, nullptr,
        [](void * stream, fpos_t offset, int whence) {
            return fpos_t(static_cast<Stream *>(stream)->seek(offset, whence));
        },
        nullptr
    ));
#endif
    if (!stream) {
        throw std::bad_alloc();
    }
}

Stream::~Stream() = default;

FILE * Stream::file() {
    return stream.get();
}
#endif

} // namespace

extern "C" {

const char * probity_engine_reason() {
    return reason;
}

int32_t probity_engine_start(ggml_log_callback log) {
    return guarded([&] {
        llama_log_set(log, nullptr);
        ggml_log_set(log, nullptr);
        ggml_set_abort_callback(on_abort);
        llama_backend_init();
        return true;
    });
}

int32_t probity_engine_model_map(const char * path, llama_model_params params, llama_model ** out) {
    return guarded([&] { return (*out = llama_model_load_from_file(path, params)) != nullptr; });
}

int32_t probity_engine_model_load(const Lent * lent, llama_model_params params, llama_model ** out) {
    return guarded([&] {
        Stream stream(lent);
        return (*out = llama_model_load_from_file_ptr(stream.file(), params)) != nullptr;
    });
}

// The bytes of weights, cache and buffers. The vocabulary's texts are left out: `size` is their number.
int32_t probity_engine_plan(
    const Lent * lent, llama_model_params model_params, llama_context_params context_params, const char * size_key,
    int64_t size, uint64_t * out
) {
    return guarded([&] {
        llama_model_kv_override overrides[3] = {};
        overrides[0].tag = LLAMA_KV_OVERRIDE_TYPE_STR;
        snprintf(overrides[0].key, sizeof overrides[0].key, "tokenizer.ggml.model");
        snprintf(overrides[0].val_str, sizeof overrides[0].val_str, "no_vocab");
        overrides[1].tag = LLAMA_KV_OVERRIDE_TYPE_INT;
        snprintf(overrides[1].key, sizeof overrides[1].key, "%s", size_key);
        overrides[1].val_i64 = size;
        model_params.kv_overrides = overrides;
        Stream stream(lent);
        const std::unique_ptr<llama_model, decltype(&llama_model_free)> model(
            llama_model_load_from_file_ptr(stream.file(), model_params), llama_model_free
        );
        if (!model) {
            return false;
        }
        const std::unique_ptr<llama_context, decltype(&llama_free)> context(
            llama_init_from_model(model.get(), context_params), llama_free
        );
        if (!context) {
            return false;
        }
        out[0] = out[1] = out[2] = 0;
        for (const auto & [type, bytes] : llama_get_memory_breakdown(context.get())) {
            out[0] += bytes.model;
            out[1] += bytes.context;
            out[2] += bytes.compute;
        }
        return true;
    });
}

int32_t probity_engine_model_free(llama_model * model) {
    return freeing([&] { return llama_model_free(model), true; });
}

int32_t probity_engine_tokenize(
    const llama_vocab * vocab, const char * text, int32_t length, llama_token * tokens, int32_t room, bool control,
    int32_t * out
) {
    return guarded([&] { return *out = llama_tokenize(vocab, text, length, tokens, room, false, control), true; });
}

int32_t probity_engine_spell(const llama_vocab * vocab, llama_token token, char * text, int32_t room, int32_t * out) {
    return guarded([&] { return *out = llama_token_to_piece(vocab, token, text, room, 0, false), true; });
}

int32_t probity_engine_context_new(llama_model * model, llama_context_params params, llama_context ** out) {
    return guarded([&] { return (*out = llama_init_from_model(model, params)) != nullptr; });
}

int32_t probity_engine_context_free(llama_context * context) {
    return freeing([&] { return llama_free(context), true; });
}

int32_t probity_engine_pool_new(ggml_threadpool_params params, ggml_threadpool ** out) {
    return guarded([&] { return (*out = ggml_threadpool_new(&params)) != nullptr; });
}

int32_t probity_engine_pool_attach(llama_context * context, ggml_threadpool * pool) {
    return guarded([&] { return llama_attach_threadpool(context, pool, pool), true; });
}

int32_t probity_engine_decode(llama_context * context, llama_batch batch, int32_t * code) {
    return guarded([&] { return (*code = llama_decode(context, batch)) == 0; });
}

int32_t probity_engine_logits(llama_context * context, int32_t row, float ** out) {
    return guarded([&] { return (*out = llama_get_logits_ith(context, row)) != nullptr; });
}

int32_t probity_engine_state(llama_context * context, int32_t row, float ** out) {
    return guarded([&] { return (*out = llama_get_embeddings_ith(context, row)) != nullptr; });
}

int32_t probity_engine_cache_clear(llama_context * context) {
    return guarded([&] { return llama_memory_clear(llama_get_memory(context), false), true; });
}

int32_t probity_engine_cache_truncate(llama_context * context, int32_t sequence, int32_t from) {
    return guarded([&] { return llama_memory_seq_rm(llama_get_memory(context), sequence, from, -1); });
}

int32_t probity_engine_cache_share(llama_context * context, int32_t to) {
    return guarded([&] { return llama_memory_seq_cp(llama_get_memory(context), 0, to, -1, -1), true; });
}

int32_t probity_engine_adapter_load(llama_model * model, const Lent * lent, llama_adapter_lora ** out) {
    return guarded([&] {
        Stream stream(lent);
        return (*out = llama_adapter_lora_init_from_file_ptr(model, stream.file())) != nullptr;
    });
}

int32_t probity_engine_adapter_free(llama_adapter_lora * adapter) {
    return freeing([&] { return llama_adapter_lora_free(adapter), true; });
}

int32_t probity_engine_adapters_set(llama_context * context, llama_adapter_lora ** adapters, size_t n, float * scales) {
    return guarded([&] { return llama_set_adapters_lora(context, adapters, n, scales) == 0; });
}

int32_t probity_engine_grammar_new(const llama_vocab * vocab, const char * text, llama_sampler ** out) {
    return guarded([&] { return (*out = llama_sampler_init_grammar(vocab, text, "root")) != nullptr; });
}

int32_t probity_engine_grammar_apply(llama_sampler * grammar, llama_token_data_array * candidates) {
    return guarded([&] { return llama_sampler_apply(grammar, candidates), true; });
}

int32_t probity_engine_grammar_accept(llama_sampler * grammar, llama_token token) {
    return guarded([&] { return llama_sampler_accept(grammar, token), true; });
}

int32_t probity_engine_grammar_free(llama_sampler * grammar) {
    return freeing([&] { return llama_sampler_free(grammar), true; });
}

// The allocator of ggml's C files (scripts/checked.h).

void * probity_engine_malloc(size_t size) {
    return size == 0 ? nullptr : must([&] { return malloc(size); });
}

void * probity_engine_calloc(size_t n, size_t size) {
    return n == 0 || size == 0 ? nullptr : must([&] { return calloc(n, size); });
}

void * probity_engine_realloc(void * memory, size_t size) {
    return size == 0 ? realloc(memory, size) : must([&] { return realloc(memory, size); });
}

#ifndef _WIN32
int probity_engine_posix_memalign(void ** out, size_t alignment, size_t size) {
    if (size >= UNCHECKED) {
        return posix_memalign(out, alignment, size);
    }
    int code = 0;
    must([&] {
        code = posix_memalign(out, alignment, size);
        return code == ENOMEM ? nullptr : out;
    });
    return code;
}
#endif

#ifdef _WIN32
// What llama.cpp's readers of files call (scripts/streams.h).

size_t probity_engine_fread(void * to, size_t size, size_t n, FILE * file) {
    Stream * own = Stream::own;
    if (own == nullptr || file != own->file()) {
        return fread(to, size, n, file);
    }
    size_t got = 0;
    while (got < size * n) {
        const int64_t more = own->read(static_cast<char *>(to) + got, size * n - got);
        if (more <= 0) {
            break;
        }
        got += more;
    }
    return size == 0 ? 0 : got / size;
}

int probity_engine_fseek(FILE * file, long long offset, int whence) {
    Stream * own = Stream::own;
    if (own == nullptr || file != own->file()) {
        return _fseeki64(file, offset, whence);
    }
    return own->seek(offset, whence) < 0 ? -1 : 0;
}

long long probity_engine_ftell(FILE * file) {
    Stream * own = Stream::own;
    return own == nullptr || file != own->file() ? _ftelli64(file) : own->position;
}

int probity_engine_fileno(FILE * file) {
    Stream * own = Stream::own;
    return own == nullptr || file != own->file() ? _fileno(file) : Stream::DESCRIPTOR;
}

intptr_t probity_engine_handle(int descriptor) {
    return descriptor == Stream::DESCRIPTOR ? intptr_t(Stream::own) : _get_osfhandle(descriptor);
}

BOOL probity_engine_read(HANDLE file, void * to, DWORD n, DWORD * got, OVERLAPPED * from) {
    Stream * own = Stream::own;
    if (own == nullptr || file != own) {
        return ReadFile(file, to, n, got, from);
    }
    *got = DWORD(probity_engine_fread(to, 1, n, own->file()));
    return TRUE;
}

BOOL probity_engine_seek(HANDLE file, LARGE_INTEGER offset, LARGE_INTEGER * position, DWORD whence) {
    Stream * own = Stream::own;
    if (own == nullptr || file != own) {
        return SetFilePointerEx(file, offset, position, whence);
    }
    if (own->seek(offset.QuadPart, int(whence)) < 0) {
        SetLastError(ERROR_NEGATIVE_SEEK);
        return FALSE;
    }
    if (position != nullptr) {
        position->QuadPart = own->position;
    }
    return TRUE;
}
#endif

// The floating-point environment of the caller, put aside during a call.

struct Floats {
    alignas(fenv_t) char bytes[64];
};
static_assert(sizeof(fenv_t) <= sizeof(Floats::bytes), "shim.rs reserves 64 bytes");

#if defined(_WIN32) && defined(__x86_64__)
// MinGW's fesetenv leaves the mode of SSE, by which everything here is rounded.
struct Modes {
    uint32_t sse;
    uint16_t x87;
};

void probity_engine_floats_standard(Floats * caller) {
    Modes modes;
    modes.sse = _mm_getcsr();
    __asm__ volatile("fnstcw %0" : "=m"(modes.x87));
    memcpy(caller->bytes, &modes, sizeof modes);
    _mm_setcsr(0x1f80);
    __asm__ volatile("fninit");
}

void probity_engine_floats_restore(const Floats * caller) {
    Modes modes;
    memcpy(&modes, caller->bytes, sizeof modes);
    _mm_setcsr(modes.sse);
    __asm__ volatile("fldcw %0" : : "m"(modes.x87));
}
#else
void probity_engine_floats_standard(Floats * caller) {
    fegetenv(reinterpret_cast<fenv_t *>(caller->bytes));
    fesetenv(FE_DFL_ENV);
}

void probity_engine_floats_restore(const Floats * caller) {
    fesetenv(reinterpret_cast<const fenv_t *>(caller->bytes));
}
#endif

} // extern "C"
