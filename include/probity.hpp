/* Probity for C++17: RAII over probity.h, header-only. Errors are exceptions; handles are freed by destructors.
 *
 *     probity::Model model("model.gguf");
 *     probity::Agent agent(model, R"({"game": "ipd", "labels": ["share", "keep"], "seed": 7})");
 *     auto decision = agent.decide();
 *     agent.observe(decision.action, theirs);
 *     std::cout << agent.explain();
 */
#ifndef PROBITY_HPP
#define PROBITY_HPP

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "probity.h"

namespace probity {

/* A failed call: the stable number and the message. */
class Error : public std::runtime_error {
  public:
    explicit Error(const probity_error_t &error) : std::runtime_error(error.message), status_(error.status) {}
    probity_status_t status() const noexcept { return status_; }

  private:
    probity_status_t status_;
};

namespace detail {

template <typename Call> void check(Call &&call) {
    probity_error_t error{};
    if (call(&error) != PROBITY_STATUS_OK) {
        throw Error(error);
    }
}

/* Takes a string the library returned; it is freed where the copy throws, too. */
inline std::string take(char *text) {
    std::unique_ptr<char, decltype(&probity_string_free)> owned(text, probity_string_free);
    return text ? text : "";
}

/* Owns one handle; moves, never copies. */
template <typename Handle, probity_status_t (*Free)(Handle, probity_error_t *)> class Owned {
  public:
    Owned() = default;
    Owned(Owned &&other) noexcept : handle_(std::exchange(other.handle_, Handle{})) {}
    Owned &operator=(Owned &&other) noexcept {
        std::swap(handle_, other.handle_);
        return *this;
    }
    Owned(const Owned &) = delete;
    Owned &operator=(const Owned &) = delete;
    ~Owned() {
        if (handle_.id != 0) {
            Free(handle_, nullptr);
        }
    }
    Handle get() const noexcept { return handle_; }

  protected:
    Handle handle_{};
};

inline std::vector<const char *> pointers(const std::vector<std::string> &texts) {
    std::vector<const char *> pointers;
    pointers.reserve(texts.size());
    for (const std::string &text : texts) {
        pointers.push_back(text.c_str());
    }
    return pointers;
}

/* Calls a `std::function<bool(float)>`; what it throws counts as a request to stop. */
inline bool tell(void *user, float share) {
    try {
        return (*static_cast<std::function<bool(float)> *>(user))(share);
    } catch (...) {
        return false;
    }
}

} // namespace detail

/* The version of the library, such as "0.1.0". */
inline std::string version() { return probity_version(); }

/* This build of the library, as JSON. */
inline std::string build_info() {
    char *json = nullptr;
    detail::check([&](auto *e) { return probity_build_info(&json, e); });
    return detail::take(json);
}

/* Sends log lines of at least a level (PROBITY_LOG_*) to a function, on any thread; an empty one drops them. It must not
 * call back into the library, and what it throws is dropped. */
inline void set_log(std::function<void(probity_log_level_t, const char *)> sink, probity_log_level_t minimum) {
    using Sink = std::function<void(probity_log_level_t, const char *)>;
    if (!sink) {
        detail::check([&](auto *e) { return probity_log_set(nullptr, nullptr, minimum, e); });
        return;
    }
    auto line = [](void *user, probity_log_level_t level, const char *text) {
        try {
            (*static_cast<Sink *>(user))(level, text);
        } catch (...) {
        }
    };
    auto gone = [](void *user) { delete static_cast<Sink *>(user); };
    auto owned = std::make_unique<Sink>(std::move(sink));
    detail::check([&](auto *e) { return probity_log_set_owned(line, owned.get(), gone, minimum, e); });
    owned.release();
}

/* Where the bytes of a model or an adapter are. Nobody may change them while an object that was made of them lives. */
class Source {
  public:
    static Source file(std::string path) {
        Source source(PROBITY_SOURCE_FILE);
        source.path_ = std::move(path);
        return source;
    }

    /* A section of a file; a length of 0 reaches to its end. */
    static Source file(std::string path, uint64_t offset, uint64_t length) {
        Source source = file(std::move(path));
        source.source_.offset = offset;
        source.source_.length = length;
        return source;
    }

    /* An open file, or a section of one: its descriptor, on Windows the lower half of its HANDLE.
     * It must stay open until the model or the adapter is made. */
    static Source descriptor(int descriptor, uint64_t offset = 0, uint64_t length = 0) {
        Source source(PROBITY_SOURCE_DESCRIPTOR);
        source.source_.descriptor = descriptor;
        source.source_.offset = offset;
        source.source_.length = length;
        return source;
    }

    /* Bytes in memory, which live as long as anybody needs them; the name stands for them in messages. */
    static Source memory(std::vector<uint8_t> bytes, std::string name = "memory") {
        Source source(PROBITY_SOURCE_MEMORY);
        source.path_ = std::move(name);
        source.bytes_ = std::make_shared<const std::vector<uint8_t>>(std::move(bytes));
        return source;
    }

    /* Calls a function of probity.h with the source; its data are the library's where the call succeeds. */
    template <typename Call> void give(Call &&call) const {
        using Bytes = std::shared_ptr<const std::vector<uint8_t>>;
        auto keep = bytes_ ? std::make_unique<Bytes>(bytes_) : nullptr;
        probity_source_t source = view();
        if (keep) {
            source.user_data = keep.get();
            source.user_data_free = [](void *bytes) { delete static_cast<Bytes *>(bytes); };
        }
        detail::check([&](auto *e) { return call(&source, e); });
        keep.release();
    }

    /* Calls a function of probity.h that keeps nothing of the source. */
    template <typename Call> void lend(Call &&call) const {
        probity_source_t source = view();
        detail::check([&](auto *e) { return call(&source, e); });
    }

  private:
    probity_source_t view() const {
        probity_source_t source = source_;
        source.path = path_.empty() ? nullptr : path_.c_str();
        source.bytes = bytes_ ? bytes_->data() : nullptr;
        source.length = bytes_ ? bytes_->size() : source_.length;
        return source;
    }

    explicit Source(uint32_t kind) {
        source_.size = sizeof source_;
        source_.kind = kind;
    }

    probity_source_t source_{};
    std::string path_;
    std::shared_ptr<const std::vector<uint8_t>> bytes_;
};

/* Options of a session: every field at its default. */
inline probity_session_options_t session_options() {
    probity_session_options_t options{};
    options.size = sizeof options;
    return options;
}

/* A model, shareable between threads. */
class Model : public detail::Owned<probity_model_t, probity_model_free> {
  public:
    explicit Model(const std::string &path, const char *options = nullptr) {
        detail::check([&](auto *e) { return probity_model_open(path.c_str(), options, &handle_, e); });
    }

    /* `progress` is told the share loaded and stops the load by returning false or throwing. */
    Model(const std::string &path, std::function<bool(float)> progress, const char *options = nullptr) {
        detail::check([&](auto *e) {
            return probity_model_open_with_progress(path.c_str(), options, detail::tell, &progress, &handle_, e);
        });
    }

    explicit Model(const Source &source, const char *options = nullptr) {
        source.give([&](auto *s, auto *e) {
            return probity_model_open_source(s, options, nullptr, nullptr, &handle_, e);
        });
    }

    /* `progress` is told the share loaded and stops the load by returning false or throwing. */
    Model(const Source &source, std::function<bool(float)> progress, const char *options = nullptr) {
        source.give([&](auto *s, auto *e) {
            return probity_model_open_source(s, options, detail::tell, &progress, &handle_, e);
        });
    }

    std::string info() const {
        char *json = nullptr;
        detail::check([&](auto *e) { return probity_model_info(handle_, &json, e); });
        return detail::take(json);
    }

    /* The memory of the model and a session on it. */
    probity_plan_t plan(const probity_session_options_t &options = session_options()) const {
        probity_plan_t plan{};
        detail::check([&](auto *e) { return probity_session_plan(handle_, &options, &plan, e); });
        return plan;
    }
};

/* The memory of a model and a session on it, before anything takes it. */
inline probity_plan_t plan(const Source &source, const probity_session_options_t &options = session_options(),
                           const char *model_options = nullptr) {
    probity_plan_t plan{};
    source.lend([&](auto *s, auto *e) { return probity_model_plan(s, model_options, &options, &plan, e); });
    return plan;
}

/* A model's context, shared by any number of agents and threads. */
class Session : public detail::Owned<probity_session_t, probity_session_free> {
  public:
    explicit Session(const Model &model, const probity_session_options_t &options = session_options()) {
        detail::check([&](auto *e) { return probity_session_new(model.get(), &options, &handle_, e); });
    }

    /* Stops a running decision of any of its agents or, where none runs, the next; from any thread. */
    void cancel() const {
        detail::check([&](auto *e) { return probity_session_cancel(handle_, e); });
    }
};

/* An adapter of a model, shareable between threads. */
class Adapter : public detail::Owned<probity_adapter_t, probity_adapter_free> {
  public:
    Adapter(const Model &model, const std::string &path) {
        detail::check([&](auto *e) { return probity_adapter_load(model.get(), path.c_str(), &handle_, e); });
    }

    Adapter(const Model &model, const Source &source) {
        source.give([&](auto *s, auto *e) { return probity_adapter_load_source(model.get(), s, &handle_, e); });
    }

    std::string info() const {
        char *json = nullptr;
        detail::check([&](auto *e) { return probity_adapter_info(handle_, &json, e); });
        return detail::take(json);
    }

    void verify() const {
        detail::check([&](auto *e) { return probity_adapter_verify(handle_, e); });
    }

    /* `progress` is told the share done and stops the work by returning false or throwing. */
    void verify(std::function<bool(float)> progress) const {
        detail::check([&](auto *e) {
            return probity_adapter_verify_with_progress(handle_, detail::tell, &progress, e);
        });
    }
};

/* A moral graph: a store of values, or one read from JSON. Shareable between threads. */
class Graph : public detail::Owned<probity_graph_t, probity_graph_free> {
  public:
    explicit Graph(const std::string &path) {
        detail::check([&](auto *e) { return probity_graph_open(path.c_str(), &handle_, e); });
    }

    static Graph parse(const std::string &json) {
        Graph graph;
        detail::check([&](auto *e) { return probity_graph_parse(json.c_str(), &graph.handle_, e); });
        return graph;
    }

    std::string rank(const char *method = nullptr, const char *context = nullptr) const {
        char *json = nullptr;
        detail::check([&](auto *e) { return probity_graph_rank(handle_, method, context, &json, e); });
        return detail::take(json);
    }

    std::string explain(const std::string &card, const char *context = nullptr) const {
        char *json = nullptr;
        detail::check([&](auto *e) { return probity_graph_explain(handle_, card.c_str(), context, &json, e); });
        return detail::take(json);
    }

    void vote(const std::string &json) {
        detail::check([&](auto *e) { return probity_graph_vote(handle_, json.c_str(), e); });
    }

    /* The contexts of a situation told in words, with the wisest values there, as JSON. */
    std::string situate(const Model &model, const std::string &situation) const {
        char *json = nullptr;
        detail::check([&](auto *e) { return probity_graph_situate(handle_, model.get(), situation.c_str(), &json, e); });
        return detail::take(json);
    }

    /* What the wisest values make of each action of a situation (JSON), and why. */
    std::string score(const Model &model, const std::string &situation) const {
        char *json = nullptr;
        detail::check([&](auto *e) {
            return probity_graph_score(handle_, model.get(), situation.c_str(), nullptr, nullptr, &json, e);
        });
        return detail::take(json);
    }

  private:
    Graph() = default;
};

/* A game on paper. */
class Game : public detail::Owned<probity_game_t, probity_game_free> {
  public:
    /* `payoffs`: for each row, and in it for each column, the row player's points and the column player's. */
    Game(const std::string &name, const std::vector<double> &payoffs, const std::vector<std::string> &row_labels,
         const std::vector<std::string> &column_labels) {
        if (payoffs.size() != 2 * row_labels.size() * column_labels.size()) {
            throw std::invalid_argument("payoffs: expected a pair for each pair of labels");
        }
        auto rows = detail::pointers(row_labels), columns = detail::pointers(column_labels);
        detail::check([&](auto *e) {
            return probity_game_new(name.c_str(), rows.size(), columns.size(), payoffs.data(), rows.data(),
                                    columns.data(), &handle_, e);
        });
    }

    static Game named(const std::string &name) {
        Game game;
        detail::check([&](auto *e) { return probity_game_named(name.c_str(), &game.handle_, e); });
        return game;
    }

    static Game parse(const std::string &json) {
        Game game;
        detail::check([&](auto *e) { return probity_game_parse(json.c_str(), &game.handle_, e); });
        return game;
    }

    std::string json() const {
        char *text = nullptr;
        detail::check([&](auto *e) { return probity_game_json(handle_, &text, e); });
        return detail::take(text);
    }

    /* The moral account of every action, as JSON; an empty belief is a fair coin. */
    std::string account(std::optional<probity_round_t> last = {}, const std::vector<double> &belief = {}) const {
        char *text = nullptr;
        detail::check([&](auto *e) {
            return probity_game_account(handle_, last ? &*last : nullptr, belief.empty() ? nullptr : belief.data(),
                                        belief.size(), &text, e);
        });
        return detail::take(text);
    }

  private:
    Game() = default;
};

/* An action with the policy it was drawn from. */
struct Decision {
    uint32_t action;
    std::vector<double> probabilities;
    /* Whether the legality mass reaches the floor; where it does not, `doubt` says why. */
    bool reliable;
    std::string doubt;
};

/* Handles of adapters, in order. */
inline std::vector<probity_adapter_t> handles_of(const std::vector<const Adapter *> &adapters) {
    std::vector<probity_adapter_t> handles;
    handles.reserve(adapters.size());
    for (const Adapter *adapter : adapters) {
        handles.push_back(adapter->get());
    }
    return handles;
}

/* A policy, and the probability that the model answers with a legal action at all. */
struct Policy {
    std::vector<double> probabilities;
    double legality_mass;
    /* As a decision's. */
    bool reliable;
    std::string doubt;
};

/* An agent: one thread at a time. */
class Agent : public detail::Owned<probity_agent_t, probity_agent_free> {
  public:
    /* In a session of its own. */
    Agent(const Model &model, const std::string &scenario) {
        detail::check([&](auto *e) { return probity_agent_new(model.get(), scenario.c_str(), &handle_, e); });
    }

    Agent(const Session &session, const std::string &scenario) {
        detail::check([&](auto *e) { return probity_agent_join(session.get(), scenario.c_str(), &handle_, e); });
    }

    Agent(const Session &session, const Game &game, uint64_t seed) {
        detail::check([&](auto *e) { return probity_agent_play(session.get(), game.get(), seed, &handle_, e); });
    }

    static Agent restore(const Model &model, const std::vector<const Adapter *> &adapters,
                         const std::vector<uint8_t> &snapshot) {
        Agent agent;
        auto handles = handles_of(adapters);
        detail::check([&](auto *e) {
            return probity_agent_restore(model.get(), handles.data(), handles.size(), snapshot.data(), snapshot.size(),
                                         &agent.handle_, e);
        });
        return agent;
    }

    static Agent restore(const Session &session, const std::vector<const Adapter *> &adapters,
                         const std::vector<uint8_t> &snapshot) {
        Agent agent;
        auto handles = handles_of(adapters);
        detail::check([&](auto *e) {
            return probity_agent_rejoin(session.get(), handles.data(), handles.size(), snapshot.data(), snapshot.size(),
                                        &agent.handle_, e);
        });
        return agent;
    }

    void set_adapters(const std::vector<const Adapter *> &adapters, const std::vector<float> &scales = {}) {
        auto handles = handles_of(adapters);
        if (!scales.empty() && scales.size() != handles.size()) {
            throw std::invalid_argument("scales: expected one for each adapter");
        }
        detail::check([&](auto *e) {
            return probity_agent_set_adapters(handle_, handles.data(), scales.empty() ? nullptr : scales.data(),
                                              handles.size(), e);
        });
    }

    size_t actions() const {
        size_t count = 0;
        detail::check([&](auto *e) { return probity_agent_action_count(handle_, &count, e); });
        return count;
    }

    Decision decide() { return decide(actions()); }

    Decision decide(size_t actions) {
        Decision decision{0, std::vector<double>(actions), true, {}};
        probity_error_t error{};
        probity_status_t status =
            probity_agent_decide(handle_, &decision.action, decision.probabilities.data(), actions, &error);
        if (status == PROBITY_STATUS_UNRELIABLE) {
            decision.reliable = false;
            decision.doubt = error.message;
        } else if (status != PROBITY_STATUS_OK) {
            throw Error(error);
        }
        return decision;
    }

    /* The probability that the model answered the last decision with any legal action. */
    double legality() const {
        double mass = 0;
        detail::check([&](auto *e) { return probity_agent_legality(handle_, &mass, e); });
        return mass;
    }

    Policy policy(std::optional<probity_round_t> last = {}) { return policy(actions(), last); }

    Policy policy(size_t actions, std::optional<probity_round_t> last = {}) {
        Policy policy{std::vector<double>(actions), 0.0, true, {}};
        probity_error_t error{};
        probity_status_t status = probity_agent_policy(handle_, last ? &*last : nullptr, policy.probabilities.data(),
                                                       actions, &policy.legality_mass, &error);
        if (status == PROBITY_STATUS_UNRELIABLE) {
            policy.reliable = false;
            policy.doubt = error.message;
        } else if (status != PROBITY_STATUS_OK) {
            throw Error(error);
        }
        return policy;
    }

    void observe(uint32_t own, uint32_t other) {
        detail::check([&](auto *e) { return probity_agent_observe(handle_, own, other, e); });
    }

    /* What was played, the oldest round first. */
    std::vector<probity_round_t> history() const {
        size_t count = 0;
        detail::check([&](auto *e) { return probity_agent_history(handle_, nullptr, 0, &count, e); });
        std::vector<probity_round_t> rounds(count);
        detail::check([&](auto *e) { return probity_agent_history(handle_, rounds.data(), count, &count, e); });
        return rounds;
    }

    void forget() {
        detail::check([&](auto *e) { return probity_agent_forget(handle_, e); });
    }

    std::string explain() const {
        char *text = nullptr;
        detail::check([&](auto *e) { return probity_agent_explain(handle_, &text, e); });
        return detail::take(text);
    }

    std::string record() const {
        char *text = nullptr;
        detail::check([&](auto *e) { return probity_agent_record(handle_, &text, e); });
        return detail::take(text);
    }

    std::vector<uint8_t> snapshot() const {
        uint8_t *bytes = nullptr;
        size_t length = 0;
        detail::check([&](auto *e) { return probity_agent_snapshot(handle_, &bytes, &length, e); });
        auto free = [length](uint8_t *bytes) { probity_bytes_free(bytes, length); };
        std::unique_ptr<uint8_t, decltype(free)> owned(bytes, free);
        return std::vector<uint8_t>(bytes, bytes + length);
    }

    /* Stops a running decision or, where none runs, the next; from any thread. */
    void cancel() const {
        detail::check([&](auto *e) { return probity_agent_cancel(handle_, e); });
    }

  private:
    Agent() = default;
};

/* Takes a recorded decision again: the new record, and whether it equals the given one. */
inline std::pair<std::string, bool> retake(const Session &session, const std::vector<const Adapter *> &adapters,
                                           const std::string &record) {
    auto handles = handles_of(adapters);
    bool same = false;
    char *json = nullptr;
    detail::check([&](auto *e) {
        return probity_session_retake(session.get(), handles.data(), handles.size(), record.c_str(), &same, &json, e);
    });
    return {detail::take(json), same};
}

} // namespace probity

#endif /* PROBITY_HPP */
