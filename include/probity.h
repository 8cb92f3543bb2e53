/* DO NOT EDIT: generated from src/ffi by `make header`. */

/**
 * @file
 * Probity: moral decisions on a local language model.
 *
 * The contract, which every caller keeps:
 * - Pointers are NULL or valid as their types say. Arrays have the stated number of values.
 * - What a function reads stays unchanged during the call; what it writes nobody else uses during the call.
 * - Strings are UTF-8 and NUL-terminated. What the library returns is freed once, by the function that the comment names.
 *
 * What the library promises:
 * - A function that can fail returns a probity_status_t. Outputs come last, before the error, and are written on success
 *   alone; with PROBITY_STATUS_UNRELIABLE they are written, too. The error may be NULL.
 * - Handles are small structs, passed by value: one that was freed, is of another kind or was made up is an error and never
 *   undefined behaviour.
 * - A call needs 256 KiB of stack. What a file or a text makes deep runs on a stack of its own.
 * - Models, adapters, sessions, games and graphs may be used by many threads at once, an agent by one thread at a time.
 * - The library opens no network connection and prints nothing, short of a defect of its own (PROBITY_STATUS_PANIC).
 */

#ifndef PROBITY_H
#define PROBITY_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#ifndef PROBITY_API
#if defined(__GNUC__)
#define PROBITY_API __attribute__((visibility("default")))
#else
#define PROBITY_API
#endif
#endif

/// Every agent draws from the stream of its scenario's seed.
#define PROBITY_SEEDS_SCENARIO 0

/// Every agent draws from the stream of its number in the session.
///
/// The streams are those of its scenario's seed.
#define PROBITY_SEEDS_NUMBERED 1

/// A `legality_floor` under which every decision counts as reliable.
#define PROBITY_FLOOR_OFF -1.0

/// A file, by its path.
#define PROBITY_SOURCE_FILE 1

/// An open file, by its descriptor.
#define PROBITY_SOURCE_DESCRIPTOR 2

/// Bytes in memory.
#define PROBITY_SOURCE_MEMORY 3

/// Longest message in a `probity_error_t`, its NUL included, bytes.
#define PROBITY_ERROR_MESSAGE_SIZE 504

/// The ABI's version. It grows with every change that needs recompiling.
#define PROBITY_ABI_VERSION 1

/// Outcome of a call: one of the `PROBITY_STATUS_*` numbers.
///
/// A number keeps its meaning for good.
typedef int32_t probity_status_t;

/// A model. May be used by many threads at once.
typedef struct probity_model_t {
  /// Opaque.
  uint64_t id;
} probity_model_t;

/// An adapter. May be used by many threads at once.
typedef struct probity_adapter_t {
  /// Opaque.
  uint64_t id;
} probity_adapter_t;

/// The error of a call.
///
/// A failing call fills it if the pointer is not NULL. A successful call leaves it untouched. It owns nothing.
typedef struct probity_error_t {
  /// The same number that the function returns.
  probity_status_t status;
  /// One line, UTF-8, NUL-terminated: what was wrong, where, and what would be right.
  char message[PROBITY_ERROR_MESSAGE_SIZE];
} probity_error_t;

/// Frees what `user_data` points to.
typedef void (*probity_user_data_free_t)(void *user_data);

/// Where the bytes of a GGUF file are: a file, a section of one, or memory.
///
/// Set `size`, `kind`, the fields of the kind, and all others to 0; others that are not 0 are refused.
///
/// Nobody may change the bytes while an object that was made of them lives.
///
/// `probity_source_t source = {.size = sizeof source, .kind = PROBITY_SOURCE_FILE, .path = "model.gguf"};`
typedef struct probity_source_t {
  /// `sizeof(probity_source_t)`.
  ///
  /// Later versions of the library add fields at the end.
  size_t size;
  /// One of `PROBITY_SOURCE_*`.
  uint32_t kind;
  /// The open file of `PROBITY_SOURCE_DESCRIPTOR`, readable and seekable.
  ///
  /// The library duplicates the descriptor, and neither uses nor changes its position. Yours may be closed after the
  /// call. On Windows it is the lower half of a file's `HANDLE`, `(int32_t)(intptr_t)handle`. A handle that does not
  /// let others read loses its position.
  int32_t descriptor;
  /// The path of `PROBITY_SOURCE_FILE`; of the others the name in messages, or NULL.
  const char *path;
  /// The bytes of `PROBITY_SOURCE_MEMORY`, which are not copied.
  ///
  /// They stay readable until `user_data_free` is called.
  const void *bytes;
  /// Where the section starts in the file.
  uint64_t offset;
  /// Bytes of the section or the memory; 0 for a section to the end of its file.
  uint64_t length;
  /// Passed to `user_data_free` as it is.
  void *user_data;
  /// Called with `user_data` once, after the last use of the bytes; NULL for none.
  ///
  /// It runs on the thread of the last call that used them, which may return after the last free. It is not called if
  /// the call fails.
  probity_user_data_free_t user_data_free;
} probity_source_t;

/// Progress of a call: the finished share, 0 to 1.
///
/// It runs on the thread of the call. Returning `false` stops the work.
typedef bool (*probity_progress_t)(void *user_data, float share);

/// An agent. Used by one thread at a time: a second one gets `PROBITY_STATUS_BUSY`.
///
/// `probity_agent_cancel` alone may be called from any thread at any time.
typedef struct probity_agent_t {
  /// Opaque.
  uint64_t id;
} probity_agent_t;

/// A session: the context of a model, with its threads and memory.
///
/// It is shared by any number of agents and threads.
///
/// It takes one decision at a time: agents of other threads wait, in no order.
typedef struct probity_session_t {
  /// Opaque.
  uint64_t id;
} probity_session_t;

/// A game. May be used by many threads at once.
typedef struct probity_game_t {
  /// Opaque.
  uint64_t id;
} probity_game_t;

/// A round: what the agent did and what the other player did, by action id.
typedef struct probity_round_t {
  /// The agent's own action.
  uint32_t own;
  /// The other player's action.
  uint32_t other;
} probity_round_t;

/// A moral graph. May be used by many threads at once.
typedef struct probity_graph_t {
  /// Opaque.
  uint64_t id;
} probity_graph_t;

/// Importance of a log line: one of the `PROBITY_LOG_*` numbers.
typedef uint32_t probity_log_level_t;

/// Receives log lines, on any thread; `line` lives for the call.
///
/// Must not call back into the library.
typedef void (*probity_log_callback_t)(void *user_data, probity_log_level_t level, const char *line);

/// Options of a session: `size`, and 0 for every default.
///
/// `probity_session_options_t options = {sizeof options};`
typedef struct probity_session_options_t {
  /// `sizeof(probity_session_options_t)`.
  ///
  /// Later versions of the library add fields at the end.
  size_t size;
  /// Tokens of prompt and labels together; 0 for 2048 or the model's training length.
  uint32_t context;
  /// Threads; 0 for as many as the processor has and the model keeps busy.
  ///
  /// Never more than the process may use.
  uint32_t threads;
  /// Most bytes of weights, cache and buffers together.
  ///
  /// 0 for three times the weights and a gibibyte.
  uint64_t memory;
  /// `PROBITY_SEEDS_SCENARIO` or `PROBITY_SEEDS_NUMBERED`.
  uint32_t seeds;
  /// 1 to keep the cache in 32 bits in place of 16.
  uint32_t exact_cache;
  /// The least legality mass of a reliable decision.
  ///
  /// It counts where the scenario names none; 0 for the default, 0.25.
  double legality_floor;
  /// Told the share of a decision, on the thread that decides; NULL for none.
  ///
  /// It must use no agent of this session (`PROBITY_STATUS_BUSY`). Where a decision turns out not to be reliable, the
  /// search for the cause runs from 0 to 1 again.
  probity_progress_t progress;
  /// Passed to `progress` as it is.
  void *user_data;
  /// Called with `user_data` once; NULL for none.
  ///
  /// The call comes when the session and its last agent are gone.
  probity_user_data_free_t user_data_free;
} probity_session_options_t;

/// The memory of a model and a session, bytes.
typedef struct probity_plan_t {
  /// The weights, once for all sessions of the model.
  uint64_t weights;
  /// The cache of keys and values.
  uint64_t cache;
  /// The buffers of a decode and its outputs.
  uint64_t buffers;
} probity_plan_t;

/// Detail for debugging the engine.
#define PROBITY_LOG_DEBUG 0

/// Ordinary progress.
#define PROBITY_LOG_INFO 1

/// Something looks wrong.
#define PROBITY_LOG_WARN 2

/// An operation failed; the same text is in the error of the call.
#define PROBITY_LOG_ERROR 3

/// Done.
#define PROBITY_STATUS_OK 0

/// A pointer that must not be NULL is.
#define PROBITY_STATUS_NULL_ARGUMENT 1

/// A string is not UTF-8.
#define PROBITY_STATUS_INVALID_UTF8 2

/// A handle that no object ever had.
#define PROBITY_STATUS_INVALID_HANDLE 3

/// A handle whose object was freed already.
#define PROBITY_STATUS_STALE_HANDLE 4

/// A handle of another copy of the library.
#define PROBITY_STATUS_FOREIGN_HANDLE 5

/// An array has another length than the game needs.
#define PROBITY_STATUS_BUFFER_SIZE 6

/// The agent is in use by another thread.
#define PROBITY_STATUS_BUSY 7

/// Stopped because the caller asked for it.
#define PROBITY_STATUS_CANCELLED 8

/// A defect of the library; the process continues, the object should be freed.
#define PROBITY_STATUS_PANIC 9

/// Too many live objects.
#define PROBITY_STATUS_LIMIT 10

/// An object freed a second time.
#define PROBITY_STATUS_DOUBLE_FREE 11

/// A handle of another kind of object.
#define PROBITY_STATUS_WRONG_TYPE 12

/// Reading or writing failed.
#define PROBITY_STATUS_IO 20

/// Not a GGUF file.
#define PROBITY_STATUS_NOT_GGUF 21

/// A file that ends too early.
#define PROBITY_STATUS_TRUNCATED 22

/// A GGUF header that breaks the format or a limit.
#define PROBITY_STATUS_MALFORMED_GGUF 23

/// A GGUF file that is no model this library runs.
#define PROBITY_STATUS_UNSUPPORTED_MODEL 24

/// A GGUF file that is no adapter this library applies.
#define PROBITY_STATUS_UNSUPPORTED_ADAPTER 25

/// An adapter made for another base model.
#define PROBITY_STATUS_ADAPTER_MISMATCH 26

/// An adapter that does not do what its manifest says, or has none.
#define PROBITY_STATUS_UNVERIFIED 27

/// The inference engine refused; the message carries its reason.
#define PROBITY_STATUS_ENGINE 28

/// This processor lacks instructions the library was built with.
#define PROBITY_STATUS_PROCESSOR 29

/// No space left on a device, for example for a vote.
#define PROBITY_STATUS_DISK_FULL 30

/// The process was forked after the library was used.
///
/// The child cannot go on with it.
#define PROBITY_STATUS_FORKED 31

/// The model and a session on it take more memory than they may.
#define PROBITY_STATUS_MEMORY 32

/// A decision that is not to be relied on.
///
/// It was taken, and its outputs are written.
#define PROBITY_STATUS_UNRELIABLE 33

/// A payoff table that is not rectangular.
#define PROBITY_STATUS_GAME_SHAPE 40

/// A payoff that is NaN, infinite or beyond 1e12.
#define PROBITY_STATUS_GAME_PAYOFF 41

/// Too few or too many actions.
#define PROBITY_STATUS_GAME_ACTIONS 42

/// A label with control characters, quotes or outer white space.
#define PROBITY_STATUS_LABEL 43

/// A label given twice.
#define PROBITY_STATUS_LABEL_REPEATED 44

/// A label that is the beginning of another; never returned any more.
#define PROBITY_STATUS_LABEL_PREFIX 45

/// An action the game does not have.
#define PROBITY_STATUS_UNKNOWN_ACTION 46

/// A belief that is no distribution over the other player's actions.
#define PROBITY_STATUS_BELIEF 47

/// No catalogue game of that name.
#define PROBITY_STATUS_UNKNOWN_GAME 48

/// A strategy that this game does not allow.
#define PROBITY_STATUS_STRATEGY 49

/// A reward that does not exist or whose constants are off.
#define PROBITY_STATUS_REWARD 50

/// An empty label.
#define PROBITY_STATUS_LABEL_EMPTY 51

/// A label that is too long.
#define PROBITY_STATUS_LABEL_TOO_LONG 52

/// The prompt with its options is longer than the context.
#define PROBITY_STATUS_PROMPT_TOO_LONG 60

/// More options than one decision may have.
#define PROBITY_STATUS_TOO_MANY_OPTIONS 61

/// The model's chat template or vocabulary cannot carry the conversation.
#define PROBITY_STATUS_TEMPLATE 62

/// A document that does not parse, or of another version.
#define PROBITY_STATUS_DOCUMENT 63

/// An option out of its range.
#define PROBITY_STATUS_OPTION 64

/// A snapshot that is damaged or of something else.
#define PROBITY_STATUS_SNAPSHOT 65

/// There is no decision yet.
#define PROBITY_STATUS_NO_DECISION 66

/// Training failed; never returned by this ABI, which has no trainer.
#define PROBITY_STATUS_TRAINING 67

/// A checkpoint that is damaged or of another run; never returned by this ABI.
#define PROBITY_STATUS_CHECKPOINT 68

/// A model that the trainer does not have; never returned by this ABI.
#define PROBITY_STATUS_UNTRAINABLE 69

/// A values card, vote or moral graph that is wrong.
#define PROBITY_STATUS_VALUES 70

/// A store of values that is invalid, damaged, newer, locked or read-only.
#define PROBITY_STATUS_STORE 71

/// No ONNX Runtime, or a graph or tokenizer that it cannot use.
#define PROBITY_STATUS_EMBEDDER 72

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/// Loads a LoRA adapter for a model.
///
/// An adapter whose manifest names another base model is refused; one without a manifest is accepted by its shapes
/// alone.
///
/// - `model`: a live model, which other threads may be using.
/// - `path`: the file; read during the call; not NULL.
/// - `adapter`: receives the adapter, yours to free with `probity_adapter_free`; not NULL.
/// - `error`: filled on failure; NULL to do without.
PROBITY_API
probity_status_t probity_adapter_load(struct probity_model_t model,
                                      const char *path,
                                      struct probity_adapter_t *adapter,
                                      struct probity_error_t *error);

/// As `probity_adapter_load`, of bytes anywhere.
///
/// - `model`: a live model, which other threads may be using.
/// - `source`: the file, the section of a file, or the memory; not NULL. The adapter reads from it as long as it, or
///   whatever uses it, lives.
/// - `adapter`: receives the adapter, yours to free with `probity_adapter_free`; not NULL.
/// - `error`: filled on failure; NULL to do without.
PROBITY_API
probity_status_t probity_adapter_load_source(struct probity_model_t model,
                                             const struct probity_source_t *source,
                                             struct probity_adapter_t *adapter,
                                             struct probity_error_t *error);

/// Describes the adapter as JSON.
///
/// The fields are path, fingerprint, shape and manifest (null without a manifest).
///
/// - `adapter`: a live adapter; from any thread.
/// - `json`: receives a string, yours to free with `probity_string_free`; not NULL.
/// - `error`: filled on failure; NULL to do without.
PROBITY_API
probity_status_t probity_adapter_info(struct probity_adapter_t adapter,
                                      char **json,
                                      struct probity_error_t *error);

/// Takes the decisions that the adapter's manifest records again.
///
/// Fails with `PROBITY_STATUS_UNVERIFIED` where a probability differs, or where the adapter changes no probability.
///
/// - `adapter`: a live adapter; from any thread. The call takes as long as the recorded decisions do.
/// - `error`: filled on failure; NULL to do without.
PROBITY_API
probity_status_t probity_adapter_verify(struct probity_adapter_t adapter,
                                        struct probity_error_t *error);

/// As `probity_adapter_verify`, with progress.
///
/// A verification that is stopped fails with `PROBITY_STATUS_CANCELLED`.
///
/// - `adapter`: a live adapter; from any thread.
/// - `progress`: called on this thread during the call; NULL for none.
/// - `user_data`: passed to `progress` as it is; yours; may be NULL.
/// - `error`: filled on failure; NULL to do without.
PROBITY_API
probity_status_t probity_adapter_verify_with_progress(struct probity_adapter_t adapter,
                                                      probity_progress_t progress,
                                                      void *user_data,
                                                      struct probity_error_t *error);

/// Lets an adapter go.
///
/// Agents that have it set keep it until they are freed or given another set.
///
/// - `adapter`: a live adapter; freed once, from any thread.
/// - `error`: filled on failure; NULL to do without.
PROBITY_API
probity_status_t probity_adapter_free(struct probity_adapter_t adapter,
                                      struct probity_error_t *error);

/// Makes an agent.
///
/// - `model`: a live model, which other threads may be using.
/// - `scenario`: JSON (`docs/schema/scenario.json`), such as `{"game": "ipd", "labels": ["share", "keep"], "seed": 7}`;
///   read during the call; not NULL.
/// - `agent`: receives the agent, yours to free with `probity_agent_free`; not NULL.
/// - `error`: filled on failure; NULL to do without.
PROBITY_API
probity_status_t probity_agent_new(struct probity_model_t model,
                                   const char *scenario,
                                   struct probity_agent_t *agent,
                                   struct probity_error_t *error);

/// Makes an agent in a session, which it shares with the session's other agents.
///
/// The call never waits for a decision.
///
/// - `session`: a live session, which other threads may be using.
/// - `scenario`: JSON, as in `probity_agent_new`; read during the call; not NULL.
/// - `agent`: receives the agent, yours to free with `probity_agent_free`; not NULL.
/// - `error`: filled on failure; NULL to do without.
PROBITY_API
probity_status_t probity_agent_join(struct probity_session_t session,
                                    const char *scenario,
                                    struct probity_agent_t *agent,
                                    struct probity_error_t *error);

/// Makes an agent in a session, for a game.
///
/// Its scenario has the game, the seed, and defaults for the rest.
///
/// - `session`: a live session, which other threads may be using.
/// - `game`: a live game, whose row player the agent is.
/// - `seed`: the seed of the agent's random stream.
/// - `agent`: receives the agent, yours to free with `probity_agent_free`; not NULL.
/// - `error`: filled on failure; NULL to do without.
PROBITY_API
probity_status_t probity_agent_play(struct probity_session_t session,
                                    struct probity_game_t game,
                                    uint64_t seed,
                                    struct probity_agent_t *agent,
                                    struct probity_error_t *error);

/// Replaces the agent's whole set of adapters.
///
/// What was computed under the old set is forgotten. On failure the old set stays.
///
/// - `agent`: a live agent that no other thread is using.
/// - `adapters`: `count` live adapters, which the agent keeps as long as they are set; read during the call; NULL, with
///   a count of 0, for none.
/// - `scales`: `count` numbers, read during the call; NULL for 1 each.
/// - `error`: filled on failure; NULL to do without.
PROBITY_API
probity_status_t probity_agent_set_adapters(struct probity_agent_t agent,
                                            const struct probity_adapter_t *adapters,
                                            const float *scales,
                                            size_t count,
                                            struct probity_error_t *error);

/// How many actions the agent has.
///
/// - `agent`: a live agent that no other thread is using.
/// - `count`: receives the number; not NULL.
/// - `error`: filled on failure; NULL to do without.
PROBITY_API
probity_status_t probity_agent_action_count(struct probity_agent_t agent,
                                            size_t *count,
                                            struct probity_error_t *error);

/// Takes a decision.
///
/// The history is unchanged until `probity_agent_observe` says what was really played.
///
/// Where the legality mass is below the scenario's floor, the decision is taken and recorded, `action` and
/// `probabilities` are written, and the call returns `PROBITY_STATUS_UNRELIABLE`: the model would have answered with
/// something else, and the message has the likely cause.
///
/// - `agent`: a live agent that no other thread is using.
/// - `action`: receives the id of the action taken; not NULL.
/// - `probabilities`: receives the probability of each action, in order of id; NULL, with a count of 0, to do without.
/// - `count`: room in `probabilities`: as many as the agent has actions.
/// - `error`: filled on failure; NULL to do without.
PROBITY_API
probity_status_t probity_agent_decide(struct probity_agent_t agent,
                                      uint32_t *action,
                                      double *probabilities,
                                      size_t count,
                                      struct probity_error_t *error);

/// The legality mass of the last decision.
///
/// It is the probability that the model answers with any legal action.
///
/// - `agent`: a live agent that no other thread is using. Before its first decision the call fails with
///   `PROBITY_STATUS_NO_DECISION`.
/// - `legality_mass`: receives it, 0 to 1; not NULL.
/// - `error`: filled on failure; NULL to do without.
PROBITY_API
probity_status_t probity_agent_legality(struct probity_agent_t agent,
                                        double *legality_mass,
                                        struct probity_error_t *error);

/// Computes the probability of each action in a state, without a decision.
///
/// Nothing is drawn or remembered. Where the legality mass is below the floor, the outputs are written, and the call
/// returns `PROBITY_STATUS_UNRELIABLE`, as `probity_agent_decide` does.
///
/// - `agent`: a live agent that no other thread is using.
/// - `last`: the last round, read during the call; NULL for the first round.
/// - `probabilities`: receives the probability of each action, in order of id; not NULL.
/// - `count`: room in `probabilities`: as many as the agent has actions.
/// - `legality_mass`: receives the probability that the model answers with any legal action; NULL to do without.
/// - `error`: filled on failure; NULL to do without.
PROBITY_API
probity_status_t probity_agent_policy(struct probity_agent_t agent,
                                      const struct probity_round_t *last,
                                      double *probabilities,
                                      size_t count,
                                      double *legality_mass,
                                      struct probity_error_t *error);

/// Tells the agent what was played.
///
/// - `agent`: a live agent that no other thread is using.
/// - `own`, `other`: the agent's own action and the other player's, by id.
/// - `error`: filled on failure; NULL to do without.
PROBITY_API
probity_status_t probity_agent_observe(struct probity_agent_t agent,
                                       uint32_t own,
                                       uint32_t other,
                                       struct probity_error_t *error);

/// What was played so far.
///
/// - `agent`: a live agent that no other thread is using.
/// - `rounds`: receives the last rounds, the oldest first, as many as there is room for; NULL, with a room of 0, to ask
///   for the number alone.
/// - `room`: how many rounds there is room for.
/// - `count`: receives how many rounds were played; not NULL.
/// - `error`: filled on failure; NULL to do without.
PROBITY_API
probity_status_t probity_agent_history(struct probity_agent_t agent,
                                       struct probity_round_t *rounds,
                                       size_t room,
                                       size_t *count,
                                       struct probity_error_t *error);

/// Forgets what was played; the random stream goes on.
///
/// - `agent`: a live agent that no other thread is using.
/// - `error`: filled on failure; NULL to do without.
PROBITY_API
probity_status_t probity_agent_forget(struct probity_agent_t agent,
                                      struct probity_error_t *error);

/// The last decision in words.
///
/// - `agent`: a live agent that no other thread is using. Before its first decision the call fails with
///   `PROBITY_STATUS_NO_DECISION`.
/// - `words`: receives a string, yours to free with `probity_string_free`; not NULL.
/// - `error`: filled on failure; NULL to do without.
PROBITY_API
probity_status_t probity_agent_explain(struct probity_agent_t agent,
                                       char **words,
                                       struct probity_error_t *error);

/// Returns the record of the last decision as JSON.
///
/// `docs/schema/record.json` describes it. The record is enough to take the decision again.
///
/// - `agent`: a live agent that no other thread is using. Before its first decision the call fails with
///   `PROBITY_STATUS_NO_DECISION`.
/// - `json`: receives a string, yours to free with `probity_string_free`; not NULL.
/// - `error`: filled on failure; NULL to do without.
PROBITY_API
probity_status_t probity_agent_record(struct probity_agent_t agent,
                                      char **json,
                                      struct probity_error_t *error);

/// Cancels the running decision of the agent.
///
/// Where none runs, the next call that asks the model is cancelled: a decision, a policy or a replay.
///
/// The decision fails with `PROBITY_STATUS_CANCELLED` and leaves the agent unchanged.
///
/// - `agent`: a live agent; from any thread.
/// - `error`: filled on failure; NULL to do without.
PROBITY_API
probity_status_t probity_agent_cancel(struct probity_agent_t agent,
                                      struct probity_error_t *error);

/// Lets an agent go.
///
/// A decision that another thread is taking with it finishes first.
///
/// - `agent`: a live agent; freed once, from any thread.
/// - `error`: filled on failure; NULL to do without.
PROBITY_API probity_status_t probity_agent_free(struct probity_agent_t agent, struct probity_error_t *error);

/// Makes a game. Action 0 of each player counts as cooperation.
///
/// - `name`: read during the call; not NULL.
/// - `rows`, `columns`: how many actions the two players have, 2 to 128 each.
/// - `payoffs`: `rows * columns` pairs, row by row, the row player's points before the column player's; read during the
///   call; not NULL.
/// - `row_labels`, `column_labels`: `rows` and `columns` strings; read during the call; not NULL.
/// - `game`: receives the game, yours to free with `probity_game_free`; not NULL.
/// - `error`: filled on failure; NULL to do without.
PROBITY_API
probity_status_t probity_game_new(const char *name,
                                  size_t rows,
                                  size_t columns,
                                  const double *payoffs,
                                  const char *const *row_labels,
                                  const char *const *column_labels,
                                  struct probity_game_t *game,
                                  struct probity_error_t *error);

/// Takes a game from the catalogue.
///
/// - `name`: the name of a catalogue game, such as "ipd"; an unknown one is refused with the list of names. Read during
///   the call; not NULL.
/// - `game`: receives the game, yours to free with `probity_game_free`; not NULL.
/// - `error`: filled on failure; NULL to do without.
PROBITY_API
probity_status_t probity_game_named(const char *name,
                                    struct probity_game_t *game,
                                    struct probity_error_t *error);

/// Reads a game from its JSON form (`docs/schema/game.json`).
///
/// - `json`: read during the call; not NULL.
/// - `game`: receives the game, yours to free with `probity_game_free`; not NULL.
/// - `error`: filled on failure; NULL to do without.
PROBITY_API
probity_status_t probity_game_parse(const char *json,
                                    struct probity_game_t *game,
                                    struct probity_error_t *error);

/// Writes a game in its JSON form.
///
/// - `game`: a live game; from any thread.
/// - `json`: receives a string, yours to free with `probity_string_free`; not NULL.
/// - `error`: filled on failure; NULL to do without.
PROBITY_API
probity_status_t probity_game_json(struct probity_game_t game,
                                   char **json,
                                   struct probity_error_t *error);

/// Computes the moral account of every action of the row player, as JSON.
///
/// It holds expected points, and reward and regret under every framework.
///
/// - `game`: a live game; from any thread.
/// - `last`: the last round, read during the call; NULL before the first round.
/// - `belief`: `count` probabilities of the other player's actions, read during the call; NULL, with a count of 0, for
///   equal ones.
/// - `json`: receives a string, yours to free with `probity_string_free`; not NULL.
/// - `error`: filled on failure; NULL to do without.
PROBITY_API
probity_status_t probity_game_account(struct probity_game_t game,
                                      const struct probity_round_t *last,
                                      const double *belief,
                                      size_t count,
                                      char **json,
                                      struct probity_error_t *error);

/// Lets a game go.
///
/// - `game`: a live game; freed once, from any thread. Calls that are using it finish first.
/// - `error`: filled on failure; NULL to do without.
PROBITY_API probity_status_t probity_game_free(struct probity_game_t game, struct probity_error_t *error);

/// Opens a store of values, one file, as `probity values` makes it.
///
/// Other programs may use it at the same time.
///
/// - `path`: the file; read during the call; not NULL.
/// - `graph`: receives the graph, yours to free with `probity_graph_free`; not NULL.
/// - `error`: filled on failure; NULL to do without.
PROBITY_API
probity_status_t probity_graph_open(const char *path,
                                    struct probity_graph_t *graph,
                                    struct probity_error_t *error);

/// Reads a graph from JSON.
///
/// The document is a deliberation (`docs/schema/deliberation.json`) or a published graph. The graph lives in memory and
/// takes no votes.
///
/// - `json`: read during the call; not NULL.
/// - `graph`: receives the graph, yours to free with `probity_graph_free`; not NULL.
/// - `error`: filled on failure; NULL to do without.
PROBITY_API
probity_status_t probity_graph_parse(const char *json,
                                     struct probity_graph_t *graph,
                                     struct probity_error_t *error);

/// Ranks the values, the wisest first, as JSON.
///
/// `{"method", "context", "ranked", "ranking": [{"id", "title", "score", ...}]}`.
///
/// - `graph`: a live graph; from any thread.
/// - `method`: "robust" or "compat"; read during the call; NULL for "robust".
/// - `context`: the text of a context that somebody voted in; read during the call; NULL for all contexts.
/// - `json`: receives a string, yours to free with `probity_string_free`; not NULL.
/// - `error`: filled on failure; NULL to do without.
PROBITY_API
probity_status_t probity_graph_rank(struct probity_graph_t graph,
                                    const char *method,
                                    const char *context,
                                    char **json,
                                    struct probity_error_t *error);

/// Explains the place of a card, as JSON.
///
/// The document holds the card, its places over all contexts and in each, its votes from and to other cards, and
/// `path`: the ids of the upheld upgrades from the card to the wisest reachable card.
///
/// - `graph`: a live graph; from any thread.
/// - `card`: the card's id; read during the call; not NULL.
/// - `context`: limits the votes and the path to one context; read during the call; NULL for all contexts.
/// - `json`: receives a string, yours to free with `probity_string_free`; not NULL.
/// - `error`: filled on failure; NULL to do without.
PROBITY_API
probity_status_t probity_graph_explain(struct probity_graph_t graph,
                                       const char *card,
                                       const char *context,
                                       char **json,
                                       struct probity_error_t *error);

/// Adds a vote to the graph's store.
///
/// It is on the disk when this returns, and every later answer counts it.
///
/// - `graph`: a live graph that was opened as a store; from any thread.
/// - `vote`: JSON, `{"voter", "from", "to", "context", "answer"}`, with "upgrade", "no_upgrade" or "not_sure" for an
///   answer; read during the call; not NULL.
/// - `error`: filled on failure; NULL to do without.
PROBITY_API
probity_status_t probity_graph_vote(struct probity_graph_t graph,
                                    const char *vote,
                                    struct probity_error_t *error);

/// Measures a model's threshold for the graph now, with progress.
///
/// Later calls with this model then need not.
///
/// - `graph`: a live graph; from any thread.
/// - `model`: a live model, which other threads may be using.
/// - `progress`: called on this thread during the call; NULL for none. Stopped, the call fails with
///   `PROBITY_STATUS_CANCELLED`.
/// - `user_data`: passed to `progress` as it is; yours; may be NULL.
/// - `error`: filled on failure; NULL to do without.
PROBITY_API
probity_status_t probity_graph_prepare(struct probity_graph_t graph,
                                       struct probity_model_t model,
                                       probity_progress_t progress,
                                       void *user_data,
                                       struct probity_error_t *error);

/// Finds the contexts of a situation and their wisest values, as JSON.
///
/// `{"contexts": [{"text", "similarity", "weight", "wisest": [{"id", "title", "score", "error", "bound", "voters",
/// "contested"}]}]}`, with at most three contexts of ten values each. If the graph abstains, `"abstains"` has the
/// reason.
///
/// The model's hidden states tell which contexts are near. The threshold is measured when a graph is first asked with
/// this model; where the model cannot tell near from far, the graph abstains. The graph keeps the model that it was
/// asked with last, even where the model itself is freed.
///
/// - `graph`: a live graph; from any thread.
/// - `model`: a live model, which other threads may be using.
/// - `situation`: the situation in words; read during the call; not NULL.
/// - `json`: receives a string, yours to free with `probity_string_free`; not NULL.
/// - `error`: filled on failure; NULL to do without.
PROBITY_API
probity_status_t probity_graph_situate(struct probity_graph_t graph,
                                       struct probity_model_t model,
                                       const char *situation,
                                       char **json,
                                       struct probity_error_t *error);

/// Scores the actions of a situation by its wisest values, as JSON.
///
/// `"values"` has a number from -1.5 to 1 for each action. The document lists the contexts, cards, votes, policies and
/// penalties of the sum. If the graph abstains, `"values"` is `null` and `"abstains"` has the reason.
///
/// The model judges how well each action serves each policy, by two questions each.
///
/// - `graph`: a live graph; from any thread.
/// - `model`: a live model, which other threads may be using.
/// - `situation`: JSON, `{"situation", "actions": [...]}`, and optionally `"contexts": [...]`, which are found as in
///   `probity_graph_situate` where none is named, and `"baseline"`, the action that counts as doing nothing; read
///   during the call; not NULL.
/// - `progress`: called on this thread during the call; NULL for none.
/// - `user_data`: passed to `progress` as it is; yours; may be NULL.
/// - `json`: receives a string, yours to free with `probity_string_free`; not NULL.
/// - `error`: filled on failure; NULL to do without.
PROBITY_API
probity_status_t probity_graph_score(struct probity_graph_t graph,
                                     struct probity_model_t model,
                                     const char *situation,
                                     probity_progress_t progress,
                                     void *user_data,
                                     char **json,
                                     struct probity_error_t *error);

/// Lets a graph go. Calls that are using it finish first.
///
/// - `graph`: a live graph; freed once, from any thread.
/// - `error`: filled on failure; NULL to do without.
PROBITY_API probity_status_t probity_graph_free(struct probity_graph_t graph, struct probity_error_t *error);

/// Sets where log lines go, for the whole process. At the start they go nowhere.
///
/// - `callback`: called from any thread until it is replaced and every call that was running then has returned; NULL to
///   drop the lines.
/// - `user_data`: passed to `callback` as it is; yours, for as long as `callback` may be called; may be NULL.
/// - `minimum`: the least importance that is passed on.
/// - `error`: filled on failure; NULL to do without.
PROBITY_API
probity_status_t probity_log_set(probity_log_callback_t callback,
                                 void *user_data,
                                 probity_log_level_t minimum,
                                 struct probity_error_t *error);

/// As `probity_log_set`, with data that the library frees.
///
/// - `callback`: as in `probity_log_set`.
/// - `user_data`: passed to `callback` as it is; the library's, unless the call fails; may be NULL.
/// - `user_data_free`: called with `user_data` once, when `callback` was replaced and its last call has returned; NULL
///   for none.
/// - `minimum`: the least importance that is passed on.
/// - `error`: filled on failure; NULL to do without.
PROBITY_API
probity_status_t probity_log_set_owned(probity_log_callback_t callback,
                                       void *user_data,
                                       probity_user_data_free_t user_data_free,
                                       probity_log_level_t minimum,
                                       struct probity_error_t *error);

/// Opens a GGUF model.
///
/// - `path`: the file; read during the call; not NULL.
/// - `options`: JSON, `{"gpu_layers": 0, "mmap": false}`, read during the call; NULL for these defaults. `"mmap": true`
///   maps the file instead of reading it: truncating a mapped file while the model lives kills the process.
/// - `model`: receives the model, yours to free with `probity_model_free`; not NULL.
/// - `error`: filled on failure; NULL to do without.
PROBITY_API
probity_status_t probity_model_open(const char *path,
                                    const char *options,
                                    struct probity_model_t *model,
                                    struct probity_error_t *error);

/// As `probity_model_open`, with progress.
///
/// A load that is stopped fails with `PROBITY_STATUS_CANCELLED`.
///
/// - `path`: the file; read during the call; not NULL.
/// - `options`: as in `probity_model_open`.
/// - `progress`: called on this thread during the call; NULL for none.
/// - `user_data`: passed to `progress` as it is; yours; may be NULL.
/// - `model`: receives the model, yours to free with `probity_model_free`; not NULL.
/// - `error`: filled on failure; NULL to do without.
PROBITY_API
probity_status_t probity_model_open_with_progress(const char *path,
                                                  const char *options,
                                                  probity_progress_t progress,
                                                  void *user_data,
                                                  struct probity_model_t *model,
                                                  struct probity_error_t *error);

/// As `probity_model_open_with_progress`, of bytes anywhere.
///
/// - `source`: the file, the section of a file, or the memory; not NULL. The model reads from it as long as it, or
///   whatever was made on it, lives.
/// - `options`: as in `probity_model_open`; only a whole file by its path can be mapped.
/// - `progress`: called on this thread during the call; NULL for none.
/// - `user_data`: passed to `progress` as it is; yours; may be NULL.
/// - `model`: receives the model, yours to free with `probity_model_free`; not NULL.
/// - `error`: filled on failure; NULL to do without.
PROBITY_API
probity_status_t probity_model_open_source(const struct probity_source_t *source,
                                           const char *options,
                                           probity_progress_t progress,
                                           void *user_data,
                                           struct probity_model_t *model,
                                           struct probity_error_t *error);

/// Tells the memory of a model and a session on it, before anything takes it.
///
/// - `source`: the file, the section of a file, or the memory; read during the call; not NULL. Its `user_data_free` is
///   not called.
/// - `model_options`: as in `probity_model_open`.
/// - `session_options`: as for `probity_session_new`; the limit of memory is not applied.
/// - `plan`: receives the bytes; not NULL.
/// - `error`: filled on failure; NULL to do without.
PROBITY_API
probity_status_t probity_model_plan(const struct probity_source_t *source,
                                    const char *model_options,
                                    const struct probity_session_options_t *session_options,
                                    struct probity_plan_t *plan,
                                    struct probity_error_t *error);

/// Describes the model as JSON.
///
/// The fields are path, fingerprint, shape, and the presence of a chat template.
///
/// - `model`: a live model; from any thread.
/// - `json`: receives a string, yours to free with `probity_string_free`; not NULL.
/// - `error`: filled on failure; NULL to do without.
PROBITY_API
probity_status_t probity_model_info(struct probity_model_t model,
                                    char **json,
                                    struct probity_error_t *error);

/// Lets a model go.
///
/// Agents and adapters that were made on it keep what they need until they are freed themselves.
///
/// - `model`: a live model; freed once, from any thread.
/// - `error`: filled on failure; NULL to do without.
PROBITY_API probity_status_t probity_model_free(struct probity_model_t model, struct probity_error_t *error);

/// Makes a session.
///
/// - `model`: a live model, which other threads may be using.
/// - `options`: read during the call; NULL for the defaults. If the call fails, `user_data_free` is not called.
/// - `session`: receives the session, yours to free with `probity_session_free`; not NULL.
/// - `error`: filled on failure; NULL to do without.
PROBITY_API
probity_status_t probity_session_new(struct probity_model_t model,
                                     const struct probity_session_options_t *options,
                                     struct probity_session_t *session,
                                     struct probity_error_t *error);

/// Tells the memory of a session before it is made.
///
/// - `model`: a live model; from any thread.
/// - `options`: as for `probity_session_new`; the limit of memory is not applied.
/// - `plan`: receives the bytes; not NULL.
/// - `error`: filled on failure; NULL to do without.
PROBITY_API
probity_status_t probity_session_plan(struct probity_model_t model,
                                      const struct probity_session_options_t *options,
                                      struct probity_plan_t *plan,
                                      struct probity_error_t *error);

/// Takes a recorded decision again.
///
/// The same build on the same kind of processor takes the same decision, to the bit.
///
/// - `session`: a live session on the model that the record names; from any thread.
/// - `adapters`: `count` live adapters, among which the record's are found; read during the call; NULL, with a count of
///   0, for none.
/// - `record`: JSON, as from `probity_agent_record`; read during the call; not NULL.
/// - `same`: receives whether the new record equals the given one; not NULL.
/// - `json`: receives the new record, yours to free with `probity_string_free`; NULL to do without.
/// - `error`: filled on failure; NULL to do without.
PROBITY_API
probity_status_t probity_session_retake(struct probity_session_t session,
                                        const struct probity_adapter_t *adapters,
                                        size_t count,
                                        const char *record,
                                        bool *same,
                                        char **json,
                                        struct probity_error_t *error);

/// Cancels the running decision of any of the session's agents.
///
/// Where none runs, the next call that asks the model is cancelled.
///
/// - `session`: a live session; from any thread.
/// - `error`: filled on failure; NULL to do without.
PROBITY_API
probity_status_t probity_session_cancel(struct probity_session_t session,
                                        struct probity_error_t *error);

/// Lets a session go.
///
/// Agents that were made in it keep what they need until they are freed themselves.
///
/// - `session`: a live session; freed once, from any thread.
/// - `error`: filled on failure; NULL to do without.
PROBITY_API
probity_status_t probity_session_free(struct probity_session_t session,
                                      struct probity_error_t *error);

/// Saves the agent as bytes.
///
/// The bytes hold the history, the random stream, the scenario, and the fingerprints of model and adapters. They do not
/// hold the record of the last decision.
///
/// - `agent`: a live agent that no other thread is using.
/// - `bytes`: receives the bytes, yours to free with `probity_bytes_free`; not NULL.
/// - `length`: receives their number; not NULL.
/// - `error`: filled on failure; NULL to do without.
PROBITY_API
probity_status_t probity_agent_snapshot(struct probity_agent_t agent,
                                        uint8_t **bytes,
                                        size_t *length,
                                        struct probity_error_t *error);

/// Makes an agent from a snapshot; it continues byte for byte.
///
/// - `model`: the live model that the snapshot was taken on.
/// - `adapters`: `count` live adapters, among which the snapshot's are found; read during the call; NULL, with a count
///   of 0, for none.
/// - `bytes`: `length` bytes of the snapshot, read during the call; not NULL.
/// - `agent`: receives the agent, yours to free with `probity_agent_free`; not NULL.
/// - `error`: filled on failure; NULL to do without.
PROBITY_API
probity_status_t probity_agent_restore(struct probity_model_t model,
                                       const struct probity_adapter_t *adapters,
                                       size_t count,
                                       const uint8_t *bytes,
                                       size_t length,
                                       struct probity_agent_t *agent,
                                       struct probity_error_t *error);

/// Makes an agent from a snapshot, in a session; it continues byte for byte.
///
/// - `session`: a live session on the model that the snapshot was taken on.
/// - `adapters`, `count`, `bytes`, `length`: as in `probity_agent_restore`.
/// - `agent`: receives the agent, yours to free with `probity_agent_free`; not NULL.
/// - `error`: filled on failure; NULL to do without.
PROBITY_API
probity_status_t probity_agent_rejoin(struct probity_session_t session,
                                      const struct probity_adapter_t *adapters,
                                      size_t count,
                                      const uint8_t *bytes,
                                      size_t length,
                                      struct probity_agent_t *agent,
                                      struct probity_error_t *error);

/// What a status means, in a few words. Static; not to be freed.
///
/// A number that this version of the library does not have gives "an unknown status".
PROBITY_API const char *probity_status_text(probity_status_t status);

/// Frees a string that this library returned.
///
/// - `text`: yours until this call, from any thread; each string is freed once. NULL does nothing.
PROBITY_API void probity_string_free(char *text);

/// Frees bytes that this library returned.
///
/// - `bytes`: yours until this call, from any thread; freed once. NULL does nothing.
/// - `length`: the length that came with them.
PROBITY_API void probity_bytes_free(uint8_t *bytes, size_t length);

/// Returns the ABI version of the loaded library.
///
/// Compare it with `PROBITY_ABI_VERSION` of the header.
PROBITY_API uint32_t probity_abi_version(void);

/// The library's version, such as "0.1.0". Static; not to be freed.
PROBITY_API const char *probity_version(void);

/// Describes this build of the library as JSON.
///
/// The fields are version, abi, llama_cpp (its version), instruction_sets (which this build uses without asking the
/// processor), and features.
///
/// - `json`: receives a string, yours to free with `probity_string_free`; not NULL.
/// - `error`: filled on failure; NULL to do without.
PROBITY_API
probity_status_t probity_build_info(char **json,
                                    struct probity_error_t *error);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* PROBITY_H */
