// probity.hpp from C++: sources of every kind, and exceptions after which nothing leaks. Run with a model and an adapter
// for it; built with AddressSanitizer.
#include <cstdio>
#include <fstream>
#include <iterator>
#include <probity.hpp>

static int failures = 0;

#define TRUE(condition)                                                         \
    do {                                                                        \
        if (!(condition)) {                                                     \
            std::fprintf(stderr, "%s:%d: not %s\n", __FILE__, __LINE__, #condition); \
            failures++;                                                         \
        }                                                                       \
    } while (0)

static const char *SCENARIO = R"({"game": "ipd", "labels": ["share", "keep"], "seed": 7})";

static std::vector<uint8_t> contents(const char *path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

static std::vector<double> decide(const probity::Model &model, const probity::Adapter &adapter) {
    probity::Agent agent(model, SCENARIO);
    agent.set_adapters({&adapter});
    return agent.decide().probabilities;
}

template <typename Call> static probity_status_t status_of(Call &&call) {
    try {
        call();
    } catch (const probity::Error &error) {
        return error.status();
    }
    return PROBITY_STATUS_OK;
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    using probity::Source;
    const auto model_bytes = contents(argv[1]), adapter_bytes = contents(argv[2]);
    probity::Model plain(argv[1]);
    const auto expected = decide(plain, probity::Adapter(plain, argv[2]));

    int told = 0;
    Source memory = Source::memory(model_bytes, "bundled");
    probity::Model bundled(memory, [&](float) { return ++told > 0; });
    TRUE(told > 0);
    TRUE(bundled.info().find("bundled") != std::string::npos);
    TRUE(decide(bundled, probity::Adapter(bundled, Source::memory(adapter_bytes))) == expected);
    // A source makes any number of models.
    TRUE(probity::plan(memory).weights == probity::plan(Source::file(argv[1])).weights);
    probity::Model twin(memory), section(Source::file(argv[1], 0, model_bytes.size()));
    TRUE(decide(twin, probity::Adapter(twin, argv[2])) == expected);
    TRUE(decide(section, probity::Adapter(section, Source::file(argv[2]))) == expected);

    TRUE(status_of([&] { probity::Model(memory, [](float) -> bool { throw 1; }); }) == PROBITY_STATUS_CANCELLED);
    TRUE(status_of([&] { probity::Model(Source::memory({1, 2, 3})); }) == PROBITY_STATUS_NOT_GGUF);
    TRUE(status_of([&] { probity::Model(Source::descriptor(-1)); }) == PROBITY_STATUS_OPTION);
    TRUE(status_of([&] { probity::Adapter(plain, Source::memory(model_bytes)); }) ==
         PROBITY_STATUS_UNSUPPORTED_ADAPTER);
    return failures > 0;
}
