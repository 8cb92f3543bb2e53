/* One decision: play MODEL.gguf ADAPTER.gguf */
#include <probity.h>
#include <stdio.h>

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    probity_error_t error = {0};
    probity_model_t model;
    probity_adapter_t adapter;
    probity_agent_t agent;
    double p[2];
    if (probity_model_open(argv[1], NULL, &model, &error) || probity_adapter_load(model, argv[2], &adapter, &error) ||
        probity_agent_new(model, "{\"game\": \"ipd\", \"labels\": [\"share\", \"keep\"], \"seed\": 7}", &agent, &error) ||
        probity_agent_set_adapters(agent, &adapter, NULL, 1, &error) ||
        probity_agent_policy(agent, NULL, p, 2, NULL, &error)) {
        fprintf(stderr, "%s\n", error.message);
        return 1;
    }
    printf("share %.3f keep %.3f\n", p[0], p[1]);
    probity_agent_free(agent, NULL);
    probity_adapter_free(adapter, NULL);
    probity_model_free(model, NULL);
    return 0;
}
