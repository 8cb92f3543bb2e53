/* Probity for C++17: RAII over probity.h, header-only. Errors are exceptions; handles are freed by destructors.
 *
 *     probity::Model model("model.gguf");
 *     probity::Agent agent(model, R"({"game": "ipd", "labels": ["share", "keep"], "seed": 7})");
 *     auto decision = agent.decide(2);
 *     agent.observe(decision.action, theirs);
 *     std::cout << agent.explain();
 */
#ifndef PROBITY_HPP
#define PROBITY_HPP

#include <cstdint>
#include <functional>
#include <initializer_list>
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

/* Takes a string the library returned. */
inline std::string take(char *text) {
    std::string copy(text ? text : "");
    probity_string_free(text);
    return copy;
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

} // namespace detail

/* A model, shareable between threads. */
class Model : public detail::Owned<probity_model_t, probity_model_free> {
  public:
    explicit Model(const std::string &path, const char *options = nullptr) {
        detail::check([&](auto *e) { return probity_model_open(path.c_str(), options, &handle_, e); });
    }

    /* `progress` is told the share loaded and stops the load by returning false or throwing. */
    Model(const std::string &path, std::function<bool(float)> progress, const char *options = nullptr) {
        auto tell = [](void *user, float share) -> bool {
            try {
                return (*static_cast<std::function<bool(float)> *>(user))(share);
            } catch (...) {
                return false;
            }
        };
        detail::check([&](auto *e) {
            return probity_model_open_with_progress(path.c_str(), options, tell, &progress, &handle_, e);
        });
    }

    std::string info() const {
        char *json = nullptr;
        detail::check([&](auto *e) { return probity_model_info(handle_, &json, e); });
        return detail::take(json);
    }
};

/* An adapter of a model, shareable between threads. */
class Adapter : public detail::Owned<probity_adapter_t, probity_adapter_free> {
  public:
    Adapter(const Model &model, const std::string &path) {
        detail::check([&](auto *e) { return probity_adapter_load(model.get(), path.c_str(), &handle_, e); });
    }

    std::string info() const {
        char *json = nullptr;
        detail::check([&](auto *e) { return probity_adapter_info(handle_, &json, e); });
        return detail::take(json);
    }

    void verify() const {
        detail::check([&](auto *e) { return probity_adapter_verify(handle_, e); });
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
};

/* An action with the policy it was drawn from. */
struct Decision {
    uint32_t action;
    std::vector<double> probabilities;
};

/* A policy, and the probability that the model answers with a legal action at all. */
struct Policy {
    std::vector<double> probabilities;
    double legality_mass;
};

/* An agent: one thread at a time. */
class Agent : public detail::Owned<probity_agent_t, probity_agent_free> {
  public:
    Agent(const Model &model, const std::string &scenario) {
        detail::check([&](auto *e) { return probity_agent_new(model.get(), scenario.c_str(), &handle_, e); });
    }

    static Agent restore(const Model &model, std::initializer_list<const Adapter *> adapters,
                         const std::vector<uint8_t> &snapshot) {
        Agent agent;
        auto handles = handles_of(adapters);
        detail::check([&](auto *e) {
            return probity_agent_restore(model.get(), handles.data(), handles.size(), snapshot.data(),
                                         snapshot.size(), &agent.handle_, e);
        });
        return agent;
    }

    void set_adapters(std::initializer_list<const Adapter *> adapters, const std::vector<float> &scales = {}) {
        auto handles = handles_of(adapters);
        if (!scales.empty() && scales.size() != handles.size()) {
            throw std::invalid_argument("scales: expected one for each adapter");
        }
        detail::check([&](auto *e) {
            return probity_agent_set_adapters(handle_, handles.data(), scales.empty() ? nullptr : scales.data(),
                                              handles.size(), e);
        });
    }

    Decision decide(size_t actions) {
        Decision decision{0, std::vector<double>(actions)};
        detail::check([&](auto *e) {
            return probity_agent_decide(handle_, &decision.action, decision.probabilities.data(), actions, e);
        });
        return decision;
    }

    Policy policy(size_t actions, std::optional<probity_round_t> last = {}) {
        Policy policy{std::vector<double>(actions), 0.0};
        detail::check([&](auto *e) {
            return probity_agent_policy(handle_, last ? &*last : nullptr, policy.probabilities.data(), actions,
                                        &policy.legality_mass, e);
        });
        return policy;
    }

    void observe(uint32_t own, uint32_t other) {
        detail::check([&](auto *e) { return probity_agent_observe(handle_, own, other, e); });
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
        std::vector<uint8_t> copy(bytes, bytes + length);
        probity_bytes_free(bytes, length);
        return copy;
    }

    /* Stops a running decision; may be called from any thread. */
    void cancel() const {
        detail::check([&](auto *e) { return probity_agent_cancel(handle_, e); });
    }

  private:
    Agent() = default;
    static std::vector<probity_adapter_t> handles_of(std::initializer_list<const Adapter *> adapters) {
        std::vector<probity_adapter_t> handles;
        for (const Adapter *adapter : adapters) {
            handles.push_back(adapter->get());
        }
        return handles;
    }
};

} // namespace probity

#endif /* PROBITY_HPP */
