/* Asks a store of values which are the wisest, votes, and asks again; with a model it scores what somebody could do.
 *
 *     cc examples/c/values.c -Iinclude -Ltarget/release -lprobity -o values
 *     ./values values.db model.gguf
 */
#include <stdio.h>

#include "probity.h"

static int failed(const probity_error_t *error) {
    fprintf(stderr, "%s (status %d)\n", error->message, (int)error->status);
    return 1;
}

int main(int argc, char **argv) {
    probity_error_t error = {0};
    probity_graph_t graph;
    char *text;

    if (argc != 2 && argc != 3) {
        fprintf(stderr, "usage: %s STORE [MODEL]\n", argv[0]);
        return 2;
    }
    if (probity_graph_open(argv[1], &graph, &error)) {
        return failed(&error);
    }
    if (probity_graph_rank(graph, "robust", NULL, &text, &error)) {
        return failed(&error);
    }
    printf("before: %s\n", text);
    probity_string_free(text);

    if (probity_graph_vote(graph, "{\"voter\": \"me\", \"from\": \"calm\", \"to\": 7, "
                                  "\"context\": \"When tired\", \"answer\": \"upgrade\"}", &error)) {
        return failed(&error);
    }
    if (probity_graph_rank(graph, "robust", "When tired", &text, &error)) {
        return failed(&error);
    }
    printf("after: %s\n", text);
    probity_string_free(text);

    if (probity_graph_explain(graph, "calm", NULL, &text, &error)) {
        return failed(&error);
    }
    printf("why: %s\n", text);
    probity_string_free(text);
    if (argc == 3) {
        const char *asks = "A friend asks whether to send an angry letter tonight.";
        const char *choice = "{\"situation\": \"A friend asks whether to send an angry letter tonight.\", "
                             "\"actions\": [\"Tell them to sleep on it.\", \"Help them to make it sharper.\"], "
                             "\"contexts\": [\"When tired\"]}";
        probity_model_t model;
        if (probity_model_open(argv[2], NULL, &model, &error) ||
            probity_graph_situate(graph, model, asks, &text, &error)) {
            return failed(&error);
        }
        printf("contexts: %s\n", text);
        probity_string_free(text);
        if (probity_graph_score(graph, model, choice, NULL, NULL, &text, &error)) {
            return failed(&error);
        }
        printf("scores: %s\n", text);
        probity_string_free(text);
        if (probity_model_free(model, &error)) {
            return failed(&error);
        }
    }
    return probity_graph_free(graph, &error) ? failed(&error) : 0;
}
