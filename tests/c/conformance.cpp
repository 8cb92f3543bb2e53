/* The conformance files through C++: conformance [--show] ROOT FILE... (tests/conformance/README.md). */
#include <fcntl.h>
#include <unistd.h>

#include <map>
#include <memory>
#include <probity.hpp>

#include "conformance.h"

namespace {

using std::string;

/* Live objects, by name. */
template <typename T> using Objects = std::map<string, std::unique_ptr<T>>;
Objects<probity::Game> games;
Objects<probity::Model> models;
Objects<probity::Adapter> adapters;
Objects<probity::Session> sessions;
Objects<probity::Agent> agents;
Objects<probity::Graph> graphs;

/* A call that C++ cannot write: what it names was let go. */
struct LeftOut {};

/* A call in progress. */
struct Call {
    const struct json *with;
    struct outcome *out;
    string as;

    const struct json *at(const char *name) const { return json_get(with, name); }
    const char *text(const char *name) const { return text_of(at(name)); }
    string name(const char *name) const { return at(name)->text; }

    template <typename T> T &the(Objects<T> &all, const char *kind) const {
        auto found = all.find(name(kind));
        if (found == all.end()) throw LeftOut{};
        return *found->second;
    }
    template <typename T> void make(Objects<T> &all, T &&made) const { all[as] = std::make_unique<T>(std::move(made)); }
    template <typename T> void let_go(Objects<T> &all, const char *kind) const {
        if (all.erase(name(kind)) == 0) throw LeftOut{};
    }

    /* A text that the call returned, for later calls. */
    void keep(const string &text) const {
        out->text = static_cast<char *>(room(text.size()));
        memcpy(out->text, text.data(), text.size());
    }
    void document(const string &json) const {
        keep(json);
        give(out, "\"json\":%s", json.c_str());
    }
    /* Tells whether a decision or a policy is to be relied on. */
    void doubt(bool reliable, const string &doubt) const {
        if (reliable) return;
        out->status = PROBITY_STATUS_UNRELIABLE;
        snprintf(out->message, sizeof out->message, "%s", doubt.c_str());
    }

    std::optional<probity_round_t> last() const {
        const struct json *pair = at("last");
        if (!pair) return {};
        return probity_round_t{uint32_t(pair->first->number), uint32_t(pair->first->next->number)};
    }
    template <typename T> std::vector<T> numbers(const char *name) const {
        std::vector<T> numbers;
        for (auto *node = at(name) ? at(name)->first : nullptr; node; node = node->next) numbers.push_back(T(node->number));
        return numbers;
    }
    std::vector<string> texts(const char *name) const {
        std::vector<string> texts;
        for (auto *node = at(name)->first; node; node = node->next) texts.emplace_back(node->text);
        return texts;
    }
    std::vector<const probity::Adapter *> set() const {
        std::vector<const probity::Adapter *> set;
        for (auto &name : texts("adapters")) {
            if (!adapters.count(name)) throw LeftOut{};
            set.push_back(adapters[name].get());
        }
        return set;
    }
    std::vector<uint8_t> bytes() const {
        size_t length;
        const uint8_t *bytes = bytes_of(at("bytes"), &length);
        return {bytes, bytes + length};
    }
    probity_session_options_t options(const char *name) const { return options_of(at(name)); }
    std::function<bool(float)> progress() const {
        auto told = progress_of(with);
        return [told](float share) { return !told || told(nullptr, share); };
    }
};

/* A descriptor that is closed with it. */
struct Opened {
    int descriptor = -1;
    ~Opened() {
        if (descriptor >= 0) close(descriptor);
    }
};

probity::Source source_of(const Call &call, Opened &opened) {
    const struct json *wanted = call.at("source");
    const string kind = json_get(wanted, "kind")->text;
    if (kind == "memory") {
        size_t length;
        const uint8_t *bytes = memory_of(wanted, &length);
        return probity::Source::memory({bytes, bytes + length});
    }
    const char *path = path_of(json_get(wanted, "path"));
    auto offset = uint64_t(number_of(json_get(wanted, "offset"), 0));
    auto length = uint64_t(number_of(json_get(wanted, "length"), 0));
    if (kind == "file") return probity::Source::file(path, offset, length);
    opened.descriptor = open(path, O_RDONLY);
    if (opened.descriptor < 0) fail("cannot open", path);
    return probity::Source::descriptor(DESCRIPTOR(opened.descriptor), offset, length);
}

const std::map<string, void (*)(const Call &)> calls = {
    {"game_named", [](auto &c) { c.make(games, probity::Game::named(c.text("name"))); }},
    {"game_parse", [](auto &c) { c.make(games, probity::Game::parse(c.text("json"))); }},
    {"game_new",
     [](auto &c) {
         std::vector<double> payoffs;
         for (auto *row = c.at("payoffs")->first; row; row = row->next)
             for (auto *pair = row->first; pair; pair = pair->next)
                 for (auto *points = pair->first; points; points = points->next) payoffs.push_back(points->number);
         c.make(games, probity::Game(c.text("name"), payoffs, c.texts("row_labels"), c.texts("column_labels")));
     }},
    {"game_json", [](auto &c) { c.document(c.the(games, "game").json()); }},
    {"game_account",
     [](auto &c) { c.document(c.the(games, "game").account(c.last(), c.template numbers<double>("belief"))); }},
    {"game_free", [](auto &c) { c.let_go(games, "game"); }},

    {"model_open", [](auto &c) { c.make(models, probity::Model(path_of(c.at("path")), c.text("options"))); }},
    {"model_open_source",
     [](auto &c) {
         Opened opened;
         c.make(models, probity::Model(source_of(c, opened), c.progress(), c.text("options")));
     }},
    {"model_plan",
     [](auto &c) {
         Opened opened;
         give_plan(c.out, probity::plan(source_of(c, opened), c.options("session_options"), c.text("model_options")));
     }},
    {"model_info", [](auto &c) { c.document(c.the(models, "model").info()); }},
    {"model_free", [](auto &c) { c.let_go(models, "model"); }},

    {"adapter_load",
     [](auto &c) { c.make(adapters, probity::Adapter(c.the(models, "model"), path_of(c.at("path")))); }},
    {"adapter_load_source",
     [](auto &c) {
         Opened opened;
         c.make(adapters, probity::Adapter(c.the(models, "model"), source_of(c, opened)));
     }},
    {"adapter_info", [](auto &c) { c.document(c.the(adapters, "adapter").info()); }},
    {"adapter_verify", [](auto &c) { c.the(adapters, "adapter").verify(c.progress()); }},
    {"adapter_free", [](auto &c) { c.let_go(adapters, "adapter"); }},

    {"session_new", [](auto &c) { c.make(sessions, probity::Session(c.the(models, "model"), c.options("options"))); }},
    {"session_plan", [](auto &c) { give_plan(c.out, c.the(models, "model").plan(c.options("options"))); }},
    {"session_retake",
     [](auto &c) {
         auto [json, same] = probity::retake(c.the(sessions, "session"), c.set(), c.text("record"));
         give(c.out, "\"same\":%s", same ? "true" : "false");
         c.document(json);
     }},
    {"session_cancel", [](auto &c) { c.the(sessions, "session").cancel(); }},
    {"session_free", [](auto &c) { c.let_go(sessions, "session"); }},

    {"agent_new", [](auto &c) { c.make(agents, probity::Agent(c.the(models, "model"), c.text("scenario"))); }},
    {"agent_join", [](auto &c) { c.make(agents, probity::Agent(c.the(sessions, "session"), c.text("scenario"))); }},
    {"agent_play",
     [](auto &c) {
         auto seed = uint64_t(number_of(c.at("seed"), 0));
         c.make(agents, probity::Agent(c.the(sessions, "session"), c.the(games, "game"), seed));
     }},
    {"agent_set_adapters",
     [](auto &c) { c.the(agents, "agent").set_adapters(c.set(), c.template numbers<float>("scales")); }},
    {"agent_action_count", [](auto &c) { give(c.out, "\"count\":%zu", c.the(agents, "agent").actions()); }},
    {"agent_decide",
     [](auto &c) {
         auto decision = c.the(agents, "agent").decide();
         give(c.out, "\"action\":%u", unsigned(decision.action));
         give_numbers(c.out, "probabilities", decision.probabilities.data(), decision.probabilities.size());
         c.doubt(decision.reliable, decision.doubt);
     }},
    {"agent_legality", [](auto &c) { give(c.out, "\"legality_mass\":%.17g", c.the(agents, "agent").legality()); }},
    {"agent_policy",
     [](auto &c) {
         auto policy = c.the(agents, "agent").policy(c.last());
         give_numbers(c.out, "probabilities", policy.probabilities.data(), policy.probabilities.size());
         give(c.out, "\"legality_mass\":%.17g", policy.legality_mass);
         c.doubt(policy.reliable, policy.doubt);
     }},
    {"agent_observe",
     [](auto &c) {
         c.the(agents, "agent").observe(uint32_t(c.at("own")->number), uint32_t(c.at("other")->number));
     }},
    {"agent_history",
     [](auto &c) {
         auto rounds = c.the(agents, "agent").history();
         give_rounds(c.out, rounds.data(), rounds.size());
     }},
    {"agent_forget", [](auto &c) { c.the(agents, "agent").forget(); }},
    {"agent_explain", [](auto &c) { give_words(c.out, "words", c.the(agents, "agent").explain().c_str()); }},
    {"agent_record", [](auto &c) { c.document(c.the(agents, "agent").record()); }},
    {"agent_cancel", [](auto &c) { c.the(agents, "agent").cancel(); }},
    {"agent_snapshot",
     [](auto &c) {
         auto bytes = c.the(agents, "agent").snapshot();
         c.keep({bytes.begin(), bytes.end()});
         c.out->bytes = reinterpret_cast<uint8_t *>(std::exchange(c.out->text, nullptr));
         c.out->length = bytes.size();
     }},
    {"agent_restore",
     [](auto &c) { c.make(agents, probity::Agent::restore(c.the(models, "model"), c.set(), c.bytes())); }},
    {"agent_rejoin",
     [](auto &c) { c.make(agents, probity::Agent::restore(c.the(sessions, "session"), c.set(), c.bytes())); }},
    {"agent_free", [](auto &c) { c.let_go(agents, "agent"); }},

    {"graph_open", [](auto &c) { c.make(graphs, probity::Graph(path_of(c.at("path")))); }},
    {"graph_parse", [](auto &c) { c.make(graphs, probity::Graph::parse(c.text("json"))); }},
    {"graph_rank", [](auto &c) { c.document(c.the(graphs, "graph").rank(c.text("method"), c.text("context"))); }},
    {"graph_explain", [](auto &c) { c.document(c.the(graphs, "graph").explain(c.text("card"), c.text("context"))); }},
    {"graph_vote", [](auto &c) { c.the(graphs, "graph").vote(c.text("vote")); }},
    {"graph_situate",
     [](auto &c) { c.document(c.the(graphs, "graph").situate(c.the(models, "model"), c.text("situation"))); }},
    {"graph_score",
     [](auto &c) { c.document(c.the(graphs, "graph").score(c.the(models, "model"), c.text("situation"))); }},
    {"graph_free", [](auto &c) { c.let_go(graphs, "graph"); }},
};

void call(const char *name, const struct json *as, const struct json *with, struct outcome *out) {
    auto found = calls.find(name);
    if (found == calls.end()) fail("no such call", name);
    try {
        found->second({with, out, as ? as->text : ""});
    } catch (const probity::Error &error) {
        out->status = error.status();
        snprintf(out->message, sizeof out->message, "%s", error.what());
    } catch (LeftOut) {
        out->left_out = true;
    }
}

} // namespace

int main(int argc, char **argv) {
    int code = conform(argc, argv, call);
    return code;
}
