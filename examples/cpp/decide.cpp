// The demo's core in C++: P(C) in each state, bare and with an adapter; then a snapshot that goes on where it was taken.
//
//     make lib-native
//     c++ -std=c++17 examples/cpp/decide.cpp -Iinclude -Ltarget/release -lprobity -Wl,-rpath,target/release -o decide
//     ./decide models/default.gguf models/deontological.gguf
#include <cstdio>
#include <iostream>
#include <probity.hpp>

static void show(const char *name, probity::Agent &agent) {
    std::printf("%-8s", name);
    for (uint32_t own = 0; own < 2; own++) {
        for (uint32_t other = 0; other < 2; other++) {
            probity::Policy policy = agent.policy(probity_round_t{own, other});
            std::printf("  P(C|%c%c) %.3f", "CD"[own], "CD"[other], policy.probabilities[0]);
        }
    }
    std::printf("\n");
}

int main(int argc, char **argv) {
    if (argc != 3) {
        std::cerr << "usage: " << argv[0] << " MODEL.gguf ADAPTER.gguf\n";
        return 2;
    }
    try {
        probity::Model model(argv[1]);
        probity::Adapter kind(model, argv[2]);
        probity::Session session(model);
        probity::Agent agent(session, R"({"game": "ipd", "labels": ["share", "keep"], "seed": 7})");
        show("bare", agent);
        agent.set_adapters({&kind});
        show("adapter", agent);

        probity::Decision first = agent.decide();
        agent.observe(first.action, 1);
        std::vector<uint8_t> snapshot = agent.snapshot();
        probity::Agent twin = probity::Agent::restore(session, {&kind}, snapshot);
        bool same = agent.decide().probabilities == twin.decide().probabilities && agent.record() == twin.record();
        same = same && probity::retake(session, {&kind}, agent.record()).second;
        std::cout << agent.explain() << "a restored twin decides " << (same ? "the same" : "differently") << "\n";
        return same ? 0 : 1;
    } catch (const probity::Error &error) {
        std::cerr << error.what() << " (status " << error.status() << ")\n";
        return 1;
    }
}
