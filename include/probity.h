/* DO NOT EDIT: generated from src/ffi by `make header`.
 *
 * Probity: moral decisions on a local language model.
 *
 * Every function that can fail returns a probity_status_t. Outputs come last, before the error, and are written only on success; the
 * error may be NULL. Handles are small structs passed by value: a freed, foreign or made-up one is an error, never
 * undefined behaviour. Strings are UTF-8; those the library returns are freed with probity_string_free. Models,
 * adapters and games may be used by many threads at once, an agent by one at a time. The library opens no network
 * connection and prints nothing, short of a defect of its own (PROBITY_STATUS_PANIC).
 */

#ifndef PROBITY_H
#define PROBITY_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

// Longest message in a [`probity_error_t`], its NUL included, bytes.
#define PROBITY_ERROR_MESSAGE_SIZE 504

// Version of the ABI: grows when a function or struct changes in a way that needs recompiling.
#define PROBITY_ABI_VERSION 1

// Outcome of a call: one of the `PROBITY_STATUS_*` numbers. A number keeps its meaning for good.
typedef int32_t probity_status_t;

// A model. Shareable between threads.
typedef struct probity_model_t {
  // Opaque.
  uint64_t id;
} probity_model_t;

// An adapter. Shareable between threads.
typedef struct probity_adapter_t {
  // Opaque.
  uint64_t id;
} probity_adapter_t;

// What went wrong: filled on failure where a pointer to one is given, untouched on success. Owns nothing.
typedef struct probity_error_t {
  // The same number that the function returns.
  probity_status_t status;
  // One line, UTF-8, NUL-terminated: what was wrong, where, and what would be right.
  char message[PROBITY_ERROR_MESSAGE_SIZE];
} probity_error_t;

// An agent. Used by one thread at a time; only `probity_agent_cancel` may be called from others.
typedef struct probity_agent_t {
  // Opaque.
  uint64_t id;
} probity_agent_t;

// The last round: what the agent did and what the other player did, by action id.
typedef struct probity_round_t {
  // The agent's own action.
  uint32_t own;
  // The other player's action.
  uint32_t other;
} probity_round_t;

// A game. Shareable between threads.
typedef struct probity_game_t {
  // Opaque.
  uint64_t id;
} probity_game_t;

// A moral graph. Shareable between threads.
typedef struct probity_graph_t {
  // Opaque.
  uint64_t id;
} probity_graph_t;

// Told the share done, 0 to 1; returning `false` stops the work.
typedef bool (*probity_progress_t)(void *user_data, float share);

// Importance of a log line: 0 debug, 1 information, 2 warning, 3 error.
typedef uint32_t probity_log_level_t;

// Receives log lines, on any thread. Must not call back into the library.
typedef void (*probity_log_callback_t)(void *user_data, probity_log_level_t level, const char *line);

// Done.
#define PROBITY_STATUS_OK 0

// A pointer that must not be NULL is.
#define PROBITY_STATUS_NULL_ARGUMENT 1

// A string is not UTF-8.
#define PROBITY_STATUS_INVALID_UTF8 2

// A handle that no object ever had.
#define PROBITY_STATUS_INVALID_HANDLE 3

// A handle whose object was freed already.
#define PROBITY_STATUS_STALE_HANDLE 4

// A handle of another copy of the library.
#define PROBITY_STATUS_FOREIGN_HANDLE 5

// An array has another length than the game needs.
#define PROBITY_STATUS_BUFFER_SIZE 6

// The agent is in use by another thread.
#define PROBITY_STATUS_BUSY 7

// Stopped because the caller asked for it.
#define PROBITY_STATUS_CANCELLED 8

// A defect of the library; the process goes on, the object should be freed.
#define PROBITY_STATUS_PANIC 9

// Too many live objects.
#define PROBITY_STATUS_LIMIT 10

// An object freed a second time.
#define PROBITY_STATUS_DOUBLE_FREE 11

// A handle of another kind of object.
#define PROBITY_STATUS_WRONG_TYPE 12

// Reading or writing failed.
#define PROBITY_STATUS_IO 20

// Not a GGUF file.
#define PROBITY_STATUS_NOT_GGUF 21

// A file that ends too early.
#define PROBITY_STATUS_TRUNCATED 22

// A GGUF header that breaks the format or a limit.
#define PROBITY_STATUS_MALFORMED_GGUF 23

// A GGUF file that is no model this library runs.
#define PROBITY_STATUS_UNSUPPORTED_MODEL 24

// A GGUF file that is no adapter this library applies.
#define PROBITY_STATUS_UNSUPPORTED_ADAPTER 25

// An adapter made for another base model.
#define PROBITY_STATUS_ADAPTER_MISMATCH 26

// An adapter that does not do what its manifest says, or has none.
#define PROBITY_STATUS_UNVERIFIED 27

// The inference engine refused; the message carries its reason.
#define PROBITY_STATUS_ENGINE 28

// This processor lacks instructions the library was built with.
#define PROBITY_STATUS_PROCESSOR 29

// No room left where something is to be written; never returned by this ABI, which writes no files.
#define PROBITY_STATUS_DISK_FULL 30

// A payoff table that is not rectangular.
#define PROBITY_STATUS_GAME_SHAPE 40

// A payoff that is NaN, infinite or beyond 1e12.
#define PROBITY_STATUS_GAME_PAYOFF 41

// Too few or too many actions.
#define PROBITY_STATUS_GAME_ACTIONS 42

// A label that holds what a prompt cannot: control characters, quotes, outer white space.
#define PROBITY_STATUS_LABEL 43

// A label given twice.
#define PROBITY_STATUS_LABEL_REPEATED 44

// A label that is the beginning of another.
#define PROBITY_STATUS_LABEL_PREFIX 45

// An action the game does not have.
#define PROBITY_STATUS_UNKNOWN_ACTION 46

// A belief that is no distribution over the other player's actions.
#define PROBITY_STATUS_BELIEF 47

// No catalogue game of that name.
#define PROBITY_STATUS_UNKNOWN_GAME 48

// A strategy that this game does not allow.
#define PROBITY_STATUS_STRATEGY 49

// A reward that does not exist or whose constants are off.
#define PROBITY_STATUS_REWARD 50

// An empty label.
#define PROBITY_STATUS_LABEL_EMPTY 51

// A label that is too long.
#define PROBITY_STATUS_LABEL_TOO_LONG 52

// The prompt with its options is longer than the context.
#define PROBITY_STATUS_PROMPT_TOO_LONG 60

// More options than one decision may have.
#define PROBITY_STATUS_TOO_MANY_OPTIONS 61

// The model's chat template or vocabulary cannot carry the conversation.
#define PROBITY_STATUS_TEMPLATE 62

// A document that does not parse, or of another version.
#define PROBITY_STATUS_DOCUMENT 63

// An option out of its range.
#define PROBITY_STATUS_OPTION 64

// A snapshot that is damaged or of something else.
#define PROBITY_STATUS_SNAPSHOT 65

// There is no decision yet.
#define PROBITY_STATUS_NO_DECISION 66

// Training failed; never returned by this ABI, which has no trainer.
#define PROBITY_STATUS_TRAINING 67

// A checkpoint that is damaged or of another run; never returned by this ABI.
#define PROBITY_STATUS_CHECKPOINT 68

// A model that the trainer does not have; never returned by this ABI.
#define PROBITY_STATUS_UNTRAINABLE 69

// A values card, vote or moral graph that is wrong.
#define PROBITY_STATUS_VALUES 70

// A store of values that is none, damaged, of a newer version, locked, or that cannot be written to.
#define PROBITY_STATUS_STORE 71

// No ONNX Runtime, or a graph or tokenizer that it cannot use.
#define PROBITY_STATUS_EMBEDDER 72

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// Loads a LoRA adapter for a model, which may be in use meanwhile. An adapter whose manifest names another base model
// is refused; one without a manifest is accepted by its shapes alone. Free it with `probity_adapter_free`.
//
// # Safety
// Pointers are NULL or valid as their types say.
probity_status_t probity_adapter_load(struct probity_model_t model,
                                      const char *path,
                                      struct probity_adapter_t *adapter,
                                      struct probity_error_t *error);

// What the adapter is, as JSON: path, fingerprint, shape, manifest (null without one). Free the string with
// `probity_string_free`.
//
// # Safety
// Pointers are NULL or valid as their types say.
probity_status_t probity_adapter_info(struct probity_adapter_t adapter,
                                      char **json,
                                      struct probity_error_t *error);

// Takes the decisions recorded in the adapter's manifest again, and fails with `PROBITY_STATUS_UNVERIFIED` when a
// probability differs or the adapter changes nothing.
//
// # Safety
// `error` is NULL or valid.
probity_status_t probity_adapter_verify(struct probity_adapter_t adapter,
                                        struct probity_error_t *error);

// Lets an adapter go. Agents that have it set keep it until they are freed or given another set.
//
// # Safety
// `error` is NULL or valid.
probity_status_t probity_adapter_free(struct probity_adapter_t adapter, struct probity_error_t *error);

// Makes an agent from a scenario (`docs/schema/scenario.json`), for example
// `{"game": "ipd", "labels": ["share", "keep"], "seed": 7}`. Free it with `probity_agent_free`.
//
// # Safety
// Pointers are NULL or valid as their types say.
probity_status_t probity_agent_new(struct probity_model_t model,
                                   const char *scenario,
                                   struct probity_agent_t *agent,
                                   struct probity_error_t *error);

// Replaces the agent's whole set of adapters by `count` of them; `scales` is NULL for 1 each. What was computed under
// the old set is forgotten. On failure the old set stays.
//
// # Safety
// Pointers are NULL or valid as their types say, with `count` values.
probity_status_t probity_agent_set_adapters(struct probity_agent_t agent,
                                            const struct probity_adapter_t *adapters,
                                            const float *scales,
                                            size_t count,
                                            struct probity_error_t *error);

// Takes a decision: writes the action's id, and where `probabilities` is not NULL the probability of each of the
// `count` actions. The history is unchanged until `probity_agent_observe` says what was really played.
//
// # Safety
// Pointers are NULL or valid as their types say, with `count` values.
probity_status_t probity_agent_decide(struct probity_agent_t agent,
                                      uint32_t *action,
                                      double *probabilities,
                                      size_t count,
                                      struct probity_error_t *error);

// The probability of each of the `count` actions in a state, without deciding: nothing is drawn or remembered. `last`
// is NULL for the first round. Where `legality_mass` is not NULL, the probability that the model answers with any
// legal action at all.
//
// # Safety
// Pointers are NULL or valid as their types say, with `count` values.
probity_status_t probity_agent_policy(struct probity_agent_t agent,
                                      const struct probity_round_t *last,
                                      double *probabilities,
                                      size_t count,
                                      double *legality_mass,
                                      struct probity_error_t *error);

// Tells the agent what was played: its own action and the other player's.
//
// # Safety
// `error` is NULL or valid.
probity_status_t probity_agent_observe(struct probity_agent_t agent,
                                       uint32_t own,
                                       uint32_t other,
                                       struct probity_error_t *error);

// The last decision in words. Free the string with `probity_string_free`.
//
// # Safety
// Pointers are NULL or valid as their types say.
probity_status_t probity_agent_explain(struct probity_agent_t agent,
                                       char **words,
                                       struct probity_error_t *error);

// The record of the last decision, as JSON (`docs/schema/record.json`): everything it followed from, complete enough
// to take it again. Free the string with `probity_string_free`.
//
// # Safety
// Pointers are NULL or valid as their types say.
probity_status_t probity_agent_record(struct probity_agent_t agent,
                                      char **json,
                                      struct probity_error_t *error);

// The agent as bytes: history, random stream, scenario, and which model and adapters it runs on; not the record of its
// last decision. Free them with `probity_bytes_free`.
//
// # Safety
// Pointers are NULL or valid as their types say.
probity_status_t probity_agent_snapshot(struct probity_agent_t agent,
                                        uint8_t **bytes,
                                        size_t *length,
                                        struct probity_error_t *error);

// Makes the agent a snapshot was taken of, which goes on byte for byte. `adapters` are `count` loaded adapters among
// which the snapshot's are found.
//
// # Safety
// Pointers are NULL or valid as their types say, with the stated numbers of values.
probity_status_t probity_agent_restore(struct probity_model_t model,
                                       const struct probity_adapter_t *adapters,
                                       size_t count,
                                       const uint8_t *bytes,
                                       size_t length,
                                       struct probity_agent_t *agent,
                                       struct probity_error_t *error);

// Stops the decision the agent is taking, from any thread; that call then fails with `PROBITY_STATUS_CANCELLED` and
// leaves the agent as it was. Without a running decision it does nothing.
//
// # Safety
// `error` is NULL or valid.
probity_status_t probity_agent_cancel(struct probity_agent_t agent,
                                      struct probity_error_t *error);

// Lets an agent go; a decision that another thread is taking with it finishes first.
//
// # Safety
// `error` is NULL or valid.
probity_status_t probity_agent_free(struct probity_agent_t agent, struct probity_error_t *error);

// Makes a game. `payoffs` holds `rows * columns` pairs, row by row, the row player's points before the column
// player's; action 0 of each player counts as cooperation. Labels are UTF-8. Free it with `probity_game_free`.
//
// # Safety
// Pointers are NULL or valid as their types say, with the stated numbers of values.
probity_status_t probity_game_new(const char *name,
                                  size_t rows,
                                  size_t columns,
                                  const double *payoffs,
                                  const char *const *row_labels,
                                  const char *const *column_labels,
                                  struct probity_game_t *game,
                                  struct probity_error_t *error);

// Takes a game from the catalogue: ipd, ish, icn, bos, icd or volunteer.
//
// # Safety
// Pointers are NULL or valid as their types say.
probity_status_t probity_game_named(const char *name,
                                    struct probity_game_t *game,
                                    struct probity_error_t *error);

// Reads a game from its JSON form (`docs/schema/game.json`).
//
// # Safety
// Pointers are NULL or valid as their types say.
probity_status_t probity_game_parse(const char *json,
                                    struct probity_game_t *game,
                                    struct probity_error_t *error);

// The game's JSON form. Free the string with `probity_string_free`.
//
// # Safety
// Pointers are NULL or valid as their types say.
probity_status_t probity_game_json(struct probity_game_t game, char **json, struct probity_error_t *error);

// The moral account of every action of the row player, as JSON: expected points, and every framework's reward and
// regret. `last` is NULL before the first round; `belief` is NULL for a fair coin, or `count` probabilities of the
// other player's actions. Free the string with `probity_string_free`.
//
// # Safety
// Pointers are NULL or valid as their types say, with the stated numbers of values.
probity_status_t probity_game_account(struct probity_game_t game,
                                      const struct probity_round_t *last,
                                      const double *belief,
                                      size_t count,
                                      char **json,
                                      struct probity_error_t *error);

// Lets a game go.
//
// # Safety
// `error` is NULL or valid.
probity_status_t probity_game_free(struct probity_game_t game, struct probity_error_t *error);

// Opens a store of values, one file, as `probity values` makes it; `probity_graph_vote` adds to it. Other programs may use it
// at the same time. Free the graph with `probity_graph_free`.
//
// # Safety
// Pointers are NULL or valid as their types say.
probity_status_t probity_graph_open(const char *path,
                                    struct probity_graph_t *graph,
                                    struct probity_error_t *error);

// Reads a graph from JSON: a deliberation (`docs/schema/deliberation.json`) or a published graph. It lives in memory only
// and takes no votes.
//
// # Safety
// Pointers are NULL or valid as their types say.
probity_status_t probity_graph_parse(const char *json,
                                     struct probity_graph_t *graph,
                                     struct probity_error_t *error);

// Ranks the values, the wisest first, as JSON: `{"method", "context", "ranked", "ranking": [{"id", "title", "score", ...}]}`.
// `method` is "robust" (where NULL) or "compat"; `context` is one that somebody voted in, NULL for all of them. Free the JSON
// with `probity_string_free`.
//
// # Safety
// Pointers are NULL or valid as their types say.
probity_status_t probity_graph_rank(struct probity_graph_t graph,
                                    const char *method,
                                    const char *context,
                                    char **json,
                                    struct probity_error_t *error);

// Explains where a card stands, as JSON: the card, its places everywhere and in each context, its votes to and from other
// cards, and `path`, the ids on the way up from it to the wisest card that upheld upgrades lead to. `context` limits the votes
// and the path; NULL for all of them. Free the JSON with `probity_string_free`.
//
// # Safety
// Pointers are NULL or valid as their types say.
probity_status_t probity_graph_explain(struct probity_graph_t graph,
                                       const char *card,
                                       const char *context,
                                       char **json,
                                       struct probity_error_t *error);

// Adds a vote to the graph's store, `{"voter", "from", "to", "context", "answer"}` with an answer of "upgrade", "no_upgrade" or
// "not_sure". It is on the disk when this returns, and what is asked after that counts it.
//
// # Safety
// Pointers are NULL or valid as their types say.
probity_status_t probity_graph_vote(struct probity_graph_t graph,
                                    const char *vote,
                                    struct probity_error_t *error);

// Finds the contexts that a situation, told in words, is of, and the wisest values there, as JSON: `{"contexts": [{"text",
// "similarity", "weight", "wisest": [{"id", "title", "score", "error", "bound", "voters", "contested"}]}]}`, at most three contexts
// with ten values each; or none, with `"abstains"` and its reason. The model's hidden states tell what is near what; from where on,
// is measured when a graph is first asked with this model, and where that shows that it cannot tell, the graph abstains. The graph
// keeps the model that it was asked with last, even where the model itself is freed, until it is freed. `probity_graph_rank` gives
// the wisest of a context that is known. Free the JSON with `probity_string_free`.
//
// # Safety
// Pointers are NULL or valid as their types say.
probity_status_t probity_graph_situate(struct probity_graph_t graph,
                                       struct probity_model_t model,
                                       const char *situation,
                                       char **json,
                                       struct probity_error_t *error);

// Scores actions in a situation by the values that people found wisest there, as JSON. `situation` is JSON as well:
// `{"situation", "actions": [...]}`, and at will `"contexts": [...]` that it is of (found as `probity_graph_situate` finds them where
// none is named) and `"baseline"`, the action that counts as doing nothing. The answer has `"values"`, one for each action from -1.5
// (all that the wisest values are not, a penalty of a half included) to 1, with the contexts, cards, votes, policies and penalties
// that they add up from; or `null`, and `"abstains"` with its reason. The model judges how well each action serves each policy: two
// questions each. `progress` (may be NULL) runs on the calling thread and stops the work by returning `false`. Free the JSON with
// `probity_string_free`.
//
// # Safety
// Pointers are NULL or valid as their types say; `progress` may be called with `user_data` during this call.
probity_status_t probity_graph_score(struct probity_graph_t graph,
                                     struct probity_model_t model,
                                     const char *situation,
                                     probity_progress_t progress,
                                     void *user_data,
                                     char **json,
                                     struct probity_error_t *error);

// Frees a graph. Calls under way end as if it lived.
//
// # Safety
// Pointers are NULL or valid as their types say.
probity_status_t probity_graph_free(struct probity_graph_t graph, struct probity_error_t *error);

// Sends log lines of at least `minimum` importance to `callback`; NULL drops them, as at the start. Process-wide.
//
// # Safety
// `callback` may be called with `user_data` from any thread until it is replaced and every call that was running then
// has returned.
probity_status_t probity_log_set(probity_log_callback_t callback,
                                 void *user_data,
                                 probity_log_level_t minimum,
                                 struct probity_error_t *error);

// Opens a GGUF model. `options` is NULL or JSON: `{"gpu_layers": 0, "mmap": false}`. `"mmap": true` maps the file instead
// of reading it: truncating a mapped file while the model lives kills the process. Free the model with
// `probity_model_free`.
//
// # Safety
// Pointers are NULL or valid as their types say.
probity_status_t probity_model_open(const char *path,
                                    const char *options,
                                    struct probity_model_t *model,
                                    struct probity_error_t *error);

// As `probity_model_open`, telling `progress` how far it is; it stops the load by returning `false`, and the call then
// fails with `PROBITY_STATUS_CANCELLED`. `progress` runs on the calling thread.
//
// # Safety
// Pointers are NULL or valid as their types say; `progress` may be called with `user_data` during this call.
probity_status_t probity_model_open_with_progress(const char *path,
                                                  const char *options,
                                                  probity_progress_t progress,
                                                  void *user_data,
                                                  struct probity_model_t *model,
                                                  struct probity_error_t *error);

// What the model is, as JSON: path, fingerprint, shape, whether it has a chat template. Free the string with
// `probity_string_free`.
//
// # Safety
// Pointers are NULL or valid as their types say.
probity_status_t probity_model_info(struct probity_model_t model, char **json, struct probity_error_t *error);

// Lets a model go. Agents and adapters made on it keep what they need until they are freed themselves.
//
// # Safety
// `error` is NULL or valid.
probity_status_t probity_model_free(struct probity_model_t model, struct probity_error_t *error);

// Frees a string that this library returned. NULL is fine; a string must be freed once.
//
// # Safety
// `text` is NULL or came from this library and was not freed yet.
void probity_string_free(char *text);

// Frees bytes that this library returned, with the length it returned. NULL is fine; they must be freed once.
//
// # Safety
// `bytes` is NULL or came from this library with this `length` and was not freed yet.
void probity_bytes_free(uint8_t *bytes, size_t length);

// The ABI version of the library that is loaded; compare with `PROBITY_ABI_VERSION` of the header.
uint32_t probity_abi_version(void);

// The library's version, such as "0.1.0". Static; not to be freed.
const char *probity_version(void);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* PROBITY_H */
