// One decision: play MODEL.gguf ADAPTER.gguf
#include <cstdio>
#include <probity.hpp>

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    try {
        probity::Model model(argv[1]);
        probity::Adapter adapter(model, argv[2]);
        probity::Agent agent(model, R"({"game": "ipd", "labels": ["share", "keep"], "seed": 7})");
        agent.set_adapters({&adapter});
        probity::Policy policy = agent.policy();
        std::printf("share %.3f keep %.3f\n", policy.probabilities[0], policy.probabilities[1]);
    } catch (const probity::Error &error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 1;
    }
}
