/* A reader of JSON documents, for the conformance programs of C and C++. A document that does not parse ends the program:
 * the files are the project's own. Nodes live until json_free. */
#ifndef JSON_H
#define JSON_H

#include <ctype.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum json_kind { JSON_NULL, JSON_FALSE, JSON_TRUE, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

struct json {
    enum json_kind kind;
    double number;
    /* A string's bytes, its escapes resolved. */
    char *text;
    /* The node's place in the document. */
    const char *begin, *end;
    /* Its name within an object. */
    char *key;
    struct json *first, *next;
};

static void json_wrong(const char *at) {
    fprintf(stderr, "not JSON: %.40s\n", at);
    exit(2);
}

static void *json_room(size_t size) {
    void *room = calloc(1, size);
    if (!room) exit(2);
    return room;
}

static const char *json_blank(const char *at) {
    while (isspace((unsigned char)*at)) at++;
    return at;
}

static char *json_utf8(char *to, unsigned code) {
    if (code < 0x80) {
        *to++ = (char)code;
    } else if (code < 0x800) {
        *to++ = (char)(0xc0 | code >> 6);
        *to++ = (char)(0x80 | (code & 63));
    } else if (code < 0x10000) {
        *to++ = (char)(0xe0 | code >> 12);
        *to++ = (char)(0x80 | (code >> 6 & 63));
        *to++ = (char)(0x80 | (code & 63));
    } else {
        *to++ = (char)(0xf0 | code >> 18);
        *to++ = (char)(0x80 | (code >> 12 & 63));
        *to++ = (char)(0x80 | (code >> 6 & 63));
        *to++ = (char)(0x80 | (code & 63));
    }
    return to;
}

/* A string's text. `*at` is behind its first quote, and then behind its last. */
static char *json_string(const char **at) {
    static const char escapes[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    char *text = (char *)json_room(strlen(*at) + 1), *to = text;
    for (; **at != '"'; ++*at) {
        if (!**at) json_wrong("an open string");
        if (**at != '\\') {
            *to++ = **at;
            continue;
        }
        ++*at;
        if (**at == 'u') {
            unsigned code = 0, low = 0;
            int read = 0;
            if (sscanf(*at + 1, "%4x%n", &code, &read) != 1 || read != 4) json_wrong(*at);
            *at += 4;
            if (code >= 0xd800 && code < 0xdc00 && sscanf(*at + 1, "\\u%4x", &low) == 1) {
                code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
                *at += 6;
            }
            to = json_utf8(to, code);
        } else {
            const char *escape = **at ? strchr(escapes, **at) : NULL;
            if (!escape) json_wrong(*at);
            *to++ = meant[escape - escapes];
        }
    }
    ++*at;
    return text;
}

/* A node. `*at` is at or before its first byte, and then behind its last. */
static struct json *json_node(const char **at) {
    struct json *node = (struct json *)json_room(sizeof *node), **last = &node->first;
    char *rest;
    node->begin = *at = json_blank(*at);
    char open = **at, close = open == '{' ? '}' : ']';
    if (open == '{' || open == '[') {
        node->kind = open == '{' ? JSON_OBJECT : JSON_ARRAY;
        *at = json_blank(*at + 1);
        while (**at != close) {
            char *key = NULL;
            if (open == '{') {
                if (**at != '"') json_wrong(*at);
                ++*at;
                key = json_string(at);
                *at = json_blank(*at);
                if (**at != ':') json_wrong(*at);
                ++*at;
            }
            *last = json_node(at);
            (*last)->key = key;
            last = &(*last)->next;
            *at = json_blank(*at);
            if (**at == ',') *at = json_blank(*at + 1);
            else if (**at != close) json_wrong(*at);
        }
        ++*at;
    } else if (open == '"') {
        node->kind = JSON_STRING;
        ++*at;
        node->text = json_string(at);
    } else if (strncmp(*at, "null", 4) == 0) {
        *at += 4;
    } else if (strncmp(*at, "true", 4) == 0) {
        node->kind = JSON_TRUE;
        *at += 4;
    } else if (strncmp(*at, "false", 5) == 0) {
        node->kind = JSON_FALSE;
        *at += 5;
    } else {
        node->kind = JSON_NUMBER;
        node->number = strtod(*at, &rest);
        if (rest == *at) json_wrong(*at);
        *at = rest;
    }
    node->end = *at;
    return node;
}

static struct json *json_read(const char *text) {
    struct json *node = json_node(&text);
    if (*json_blank(text)) json_wrong(text);
    return node;
}

static void json_free(struct json *node) {
    while (node) {
        struct json *next = node->next;
        json_free(node->first);
        free(node->text);
        free(node->key);
        free(node);
        node = next;
    }
}

static const struct json *json_get(const struct json *object, const char *key) {
    const struct json *node = object ? object->first : NULL;
    while (node && (!node->key || strcmp(node->key, key) != 0)) node = node->next;
    return node;
}

static size_t json_count(const struct json *array) {
    size_t count = 0;
    for (const struct json *node = array ? array->first : NULL; node; node = node->next) count++;
    return count;
}

/* Whether `found` is as `expected` says: an object may have more fields than expected, numbers may differ by `within`, and
 * `{"contains": "..."}` stands for any text with such a part. */
static bool json_matches(const struct json *expected, const struct json *found, double within) {
    const struct json *part = json_get(expected, "contains");
    if (part && found->kind == JSON_STRING) return strstr(found->text, part->text) != NULL;
    if (expected->kind != found->kind) return false;
    if (expected->kind == JSON_NUMBER) return fabs(expected->number - found->number) <= within;
    if (expected->kind == JSON_STRING) return strcmp(expected->text, found->text) == 0;
    if (expected->kind == JSON_ARRAY && json_count(expected) != json_count(found)) return false;
    const struct json *other = found->first;
    for (const struct json *node = expected->first; node; node = node->next) {
        if (expected->kind == JSON_OBJECT) other = json_get(found, node->key);
        if (!other || !json_matches(node, other, within)) return false;
        if (expected->kind == JSON_ARRAY) other = other->next;
    }
    return true;
}

#endif
