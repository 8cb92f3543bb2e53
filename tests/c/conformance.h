/* What the conformance programs of C and C++ share: reading a file of calls, comparing what they give, and what earlier
 * calls made. tests/conformance/README.md tells the format. */
#ifndef CONFORMANCE_H
#define CONFORMANCE_H

#include <probity.h>
#include <stdarg.h>

#include "json.h"

/* What the library takes of an open file. */
#ifdef _WIN32
#include <io.h>
#define DESCRIPTOR(opened) ((int32_t)_get_osfhandle(opened))
#else
#define DESCRIPTOR(opened) (opened)
#endif

/* Ends the program: the file or the program is wrong, not the library. */
static void fail(const char *what, const char *where) {
    fprintf(stderr, "%s: %s\n", where, what);
    exit(2);
}

/* What a call gave. */
struct outcome {
    probity_status_t status;
    char message[PROBITY_ERROR_MESSAGE_SIZE];
    /* Set where the language cannot write the call, such as one on an object that is gone. */
    bool left_out;
    /* What it made: a handle, or in `room` a text or bytes. */
    uint64_t id;
    char *text;
    uint8_t *bytes;
    size_t length;
    /* Its outputs as JSON. */
    char *gives;
    size_t given;
};

/* What an earlier call made, by name. A later thing of the same name takes its place. */
struct thing {
    char name[64];
    uint64_t id;
    char *text;
    uint8_t *bytes;
    size_t length;
};

static struct thing things[256];
static size_t thing_count = 0;

static const struct thing *the(const struct json *name) {
    for (size_t i = thing_count; name && name->kind == JSON_STRING && i-- > 0;)
        if (strcmp(things[i].name, name->text) == 0) return &things[i];
    fail("nothing was made of this name", name && name->text ? name->text : "(none)");
    return NULL;
}

/* Room for `size` bytes until the file is done. */
static void *rooms[4096];
static size_t room_count = 0;
static void *room(size_t size) {
    if (room_count == sizeof rooms / sizeof *rooms) fail("too many", "arguments");
    return rooms[room_count++] = json_room(size + 1);
}

/* An argument that is a text: as it stands, an earlier call's, or a document. NULL where it is missing. */
static const char *text_of(const struct json *argument) {
    if (!argument || argument->kind == JSON_NULL) return NULL;
    if (argument->kind == JSON_STRING) return argument->text;
    const struct json *earlier = json_get(argument, "text");
    if (argument->kind == JSON_OBJECT && earlier && json_count(argument) == 1) return the(earlier)->text;
    size_t length = (size_t)(argument->end - argument->begin);
    char *text = (char *)room(length);
    memcpy(text, argument->begin, length);
    return text;
}

/* An argument that is bytes: an earlier call's, whole, without its last `cut`, or with a bit of the byte `flip` turned. */
static const uint8_t *bytes_of(const struct json *argument, size_t *length) {
    const struct thing *earlier = the(json_get(argument, "bytes"));
    const struct json *cut = json_get(argument, "cut"), *flip = json_get(argument, "flip");
    uint8_t *bytes = (uint8_t *)room(earlier->length);
    memcpy(bytes, earlier->bytes, earlier->length);
    *length = earlier->length - (cut ? (size_t)cut->number : 0);
    if (flip) bytes[(size_t)flip->number] ^= 4;
    return bytes;
}

static const char *root_folder = ".";
/* A path within the repository. */
static const char *path_of(const struct json *argument) {
    const char *path = text_of(argument);
    char *whole = (char *)room(strlen(root_folder) + strlen(path) + 1);
    sprintf(whole, "%s/%s", root_folder, path);
    return whole;
}

static double number_of(const struct json *argument, double otherwise) {
    return argument && argument->kind == JSON_NUMBER ? argument->number : otherwise;
}

/* A file's bytes: so many, or all where that is 0. */
static uint8_t *contents(const char *path, size_t wanted, size_t *length) {
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END) != 0) fail("cannot read", path);
    *length = wanted ? wanted : (size_t)ftell(file);
    uint8_t *bytes = (uint8_t *)room(*length);
    rewind(file);
    if (fread(bytes, 1, *length, file) != *length) fail("cannot read", path);
    fclose(file);
    return bytes;
}

/* Bytes of a source in memory: those of a file, or written as `hex`. */
static uint8_t *memory_of(const struct json *source, size_t *length) {
    const struct json *hex = json_get(source, "hex");
    if (hex) {
        *length = strlen(hex->text) / 2;
        uint8_t *bytes = (uint8_t *)room(*length);
        for (size_t i = 0; i < *length; i++) {
            unsigned byte = 0;
            if (sscanf(hex->text + 2 * i, "%2x", &byte) != 1) exit(2);
            bytes[i] = (uint8_t)byte;
        }
        return bytes;
    }
    *length = (size_t)number_of(json_get(source, "length"), 0);
    return contents(path_of(json_get(source, "path")), *length, length);
}

/* A progress callback of the argument `progress`: "go" or "stop". */
static bool go_on(void *user, float share) {
    (void)user;
    return share >= 0;
}
static bool stop_at_once(void *user, float share) {
    (void)user;
    (void)share;
    return false;
}
static probity_progress_t progress_of(const struct json *with) {
    const struct json *progress = json_get(with, "progress");
    return !progress ? NULL : strcmp(progress->text, "stop") == 0 ? stop_at_once : go_on;
}

/* Adds to a call's outputs. */
static void give(struct outcome *out, const char *format, ...) {
    va_list rest, again;
    va_start(rest, format);
    va_copy(again, rest);
    int more = vsnprintf(NULL, 0, format, again);
    va_end(again);
    if (!out->gives) out->gives = (char *)json_room(1u << 20);
    if (more < 0 || out->given + (size_t)more + 2 > 1u << 20) fail("too long", "outputs");
    out->gives[out->given] = out->given ? ',' : '{';
    out->given++;
    vsprintf(out->gives + out->given, format, rest);
    out->given += (size_t)more;
    va_end(rest);
}

static void give_numbers(struct outcome *out, const char *name, const double *values, size_t count) {
    char list[8192];
    size_t at = 0;
    for (size_t i = 0; i < count && at + 40 < sizeof list; i++)
        at += (size_t)sprintf(list + at, "%s%.17g", i ? "," : "", values[i]);
    list[at] = '\0';
    give(out, "\"%s\":[%s]", name, list);
}

/* A text that is no document, as a JSON string. */
static void give_words(struct outcome *out, const char *name, const char *words) {
    char *escaped = (char *)json_room(6 * strlen(words) + 1), *to = escaped;
    for (; *words; words++) {
        if ((unsigned char)*words < 32) to += sprintf(to, "\\u%04x", (unsigned char)*words);
        else {
            if (*words == '"' || *words == '\\') *to++ = '\\';
            *to++ = *words;
        }
    }
    give(out, "\"%s\":\"%s\"", name, escaped);
    free(escaped);
}

static probity_session_options_t options_of(const struct json *options) {
    probity_session_options_t made;
    memset(&made, 0, sizeof made);
    made.size = sizeof made;
    made.context = (uint32_t)number_of(json_get(options, "context"), 0);
    made.threads = (uint32_t)number_of(json_get(options, "threads"), 0);
    made.memory = (uint64_t)number_of(json_get(options, "memory"), 0);
    made.seeds = (uint32_t)number_of(json_get(options, "seeds"), 0);
    made.exact_cache = (uint32_t)number_of(json_get(options, "exact_cache"), 0);
    made.legality_floor = number_of(json_get(options, "legality_floor"), 0);
    return made;
}

static void give_plan(struct outcome *out, probity_plan_t plan) {
    give(out, "\"plan\":{\"weights\":%.0f,\"cache\":%.0f,\"buffers\":%.0f}", (double)plan.weights, (double)plan.cache,
         (double)plan.buffers);
}

static void give_rounds(struct outcome *out, const probity_round_t *rounds, size_t count) {
    char list[4096] = "";
    size_t at = 0;
    for (size_t i = 0; i < count && at + 32 < sizeof list; i++)
        at += (size_t)sprintf(list + at, "%s[%u,%u]", i ? "," : "", (unsigned)rounds[i].own, (unsigned)rounds[i].other);
    give(out, "\"rounds\":[%s]", list);
}

static const struct { const char *name; probity_status_t status; } statuses[] = {
#define STATUS(name) {#name, PROBITY_STATUS_##name}
    STATUS(STALE_HANDLE), STATUS(CANCELLED), STATUS(DOUBLE_FREE), STATUS(IO), STATUS(NOT_GGUF), STATUS(TRUNCATED),
    STATUS(MALFORMED_GGUF), STATUS(UNSUPPORTED_MODEL), STATUS(UNSUPPORTED_ADAPTER), STATUS(ADAPTER_MISMATCH),
    STATUS(UNVERIFIED), STATUS(MEMORY), STATUS(UNRELIABLE), STATUS(GAME_SHAPE), STATUS(GAME_PAYOFF),
    STATUS(GAME_ACTIONS), STATUS(LABEL), STATUS(LABEL_REPEATED), STATUS(UNKNOWN_ACTION), STATUS(BELIEF),
    STATUS(UNKNOWN_GAME), STATUS(STRATEGY), STATUS(REWARD), STATUS(LABEL_EMPTY), STATUS(LABEL_TOO_LONG),
    STATUS(PROMPT_TOO_LONG), STATUS(DOCUMENT), STATUS(OPTION), STATUS(SNAPSHOT), STATUS(NO_DECISION), STATUS(VALUES),
    STATUS(STORE),
#undef STATUS
};

static probity_status_t status_of(const struct json *name) {
    if (!name) return PROBITY_STATUS_OK;
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++)
        if (strcmp(statuses[i].name, name->text) == 0) return statuses[i].status;
    fail("not among the statuses", name->text);
    return 0;
}

static void keep(const struct json *as, const struct outcome *out) {
    if (!as) return;
    if (thing_count == sizeof things / sizeof *things) fail("too many", "names");
    struct thing *thing = &things[thing_count++];
    snprintf(thing->name, sizeof thing->name, "%s", as->text);
    thing->id = out->id;
    thing->text = out->text;
    thing->bytes = out->bytes;
    thing->length = out->length;
}

/* Makes a call. What it makes, later calls know by the name `as`, which may be NULL. */
typedef void (*conformance_call)(const char *name, const struct json *as, const struct json *with, struct outcome *out);

/* Makes the calls of a file, and tells each that gives something else than the file says. Returns how many did. */
static int conform_to(const char *path, bool show, conformance_call call) {
    size_t length;
    struct json *file = json_read((char *)contents(path, 0, &length));
    double within = number_of(json_get(file, "within"), 1e-3);
    int calls = 0, wrong = 0, left_out = 0;
    for (const struct json *node = json_get(file, "calls")->first; node; node = node->next) {
        struct outcome out;
        memset(&out, 0, sizeof out);
        calls++;
        call(json_get(node, "call")->text, json_get(node, "as"), json_get(node, "with"), &out);
        if (out.left_out) {
            left_out++;
            continue;
        }
        if (!out.gives) give(&out, "%s", "");
        strcat(out.gives, "}");
        const struct json *expected = json_get(node, "gives"), *says = json_get(node, "says");
        struct json *found = json_read(out.gives);
        bool right = out.status == status_of(json_get(node, "fails")) && (!says || strstr(out.message, says->text)) &&
                     (!expected || json_matches(expected, found, within));
        if (!right) {
            wrong++;
            fprintf(stderr, "call %d of %s: %.*s\n    gave status %d (%s) %s\n", calls, path, (int)(node->end - node->begin),
                    node->begin, (int)out.status, out.message, out.gives);
        }
        if (show) printf("%d %s\n", (int)out.status, out.gives);
        keep(json_get(node, "as"), &out);
        json_free(found);
        free(out.gives);
    }
    printf("%s: %d calls, %d wrong, %d that this language cannot write\n", path, calls, wrong, left_out);
    json_free(file);
    while (room_count) free(rooms[--room_count]);
    thing_count = 0;
    return wrong;
}

/* The program: [--show] ROOT FILE... */
static int conform(int argc, char **argv, conformance_call call) {
    bool show = argc > 1 && strcmp(argv[1], "--show") == 0;
    int wrong = 0, first = show ? 2 : 1;
    if (argc < first + 2) fail("expected [--show] ROOT FILE...", argv[0]);
    root_folder = argv[first];
    for (int i = first + 1; i < argc; i++) wrong += conform_to(argv[i], show, call);
    return wrong != 0;
}

#endif
