/*
 * What each wire says: made once at the start, sent as it is. See wires.h.
 *
 * One event holds one token and goes into one HTTP chunk: 189 bytes of OpenAI's, 180 of Bedrock's (its
 * padding `p` included), 239 of Gemini's, 119 of Anthropic's.
 */
#define _GNU_SOURCE
#include "wires.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct wire chat, converse, gemini, messages;

enum { PROMPT_TOKENS = 256, WHOLE_TOKENS = 160 };
static char words[700];    /* the text of an answer in one piece */

static size_t frame(char *to, const char *event, size_t len) {
    size_t n = (size_t)sprintf(to, "%zx\r\n", len);
    memcpy(to + n, event, len);
    memcpy(to + n + len, "\r\n", 2);
    return n + len + 2;
}

static size_t frame_text(char *to, const char *event) { return frame(to, event, strlen(event)); }

static size_t write_head(char *to, const char *content_type) {
    return (size_t)sprintf(to, "HTTP/1.1 200 OK\r\nContent-Type: %s\r\nCache-Control: no-cache\r\n"
                               "Transfer-Encoding: chunked\r\n\r\n", content_type);
}

static size_t write_plain(char *to, const char *body) {
    return (size_t)sprintf(to, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                               "Content-Length: %zu\r\n\r\n%s", strlen(body), body);
}

/* ---- OpenAI's chat completions ---- */

#define SSE "text/event-stream; charset=utf-8"
#define META "\"id\":\"chatcmpl-bench00000000000000000001\",\"object\":\"chat.completion.chunk\"," \
             "\"created\":1767225600,\"model\":\"m\","

static size_t chat_tail(char *to, long tokens, bool with_usage) {
    char event[600];
    sprintf(event, "data: {" META "\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n");
    size_t n = frame_text(to, event);
    if (with_usage) {
        sprintf(event, "data: {" META "\"choices\":[],\"usage\":{\"prompt_tokens\":%d,"
                "\"completion_tokens\":%ld,\"total_tokens\":%ld}}\n\n", PROMPT_TOKENS, tokens, tokens + PROMPT_TOKENS);
        n += frame_text(to + n, event);
    }
    n += frame_text(to + n, "data: [DONE]\n\n");
    return n + (size_t)sprintf(to + n, "0\r\n\r\n");
}

static void prepare_chat(void) {
    chat.write_tail = chat_tail;
    chat.chunk_len = frame_text(chat.chunk, "data: {" META "\"choices\":[{\"index\":0,\"delta\":{\"content\":\" tok\"},"
                                            "\"finish_reason\":null}]}\n\n");
    chat.head_len = write_head(chat.head, SSE);
    chat.head_len += frame_text(chat.head + chat.head_len,
        "data: {" META "\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}]}\n\n");
    char body[1500];
    sprintf(body, "{\"id\":\"chatcmpl-bench00000000000000000001\",\"object\":\"chat.completion\","
        "\"created\":1767225600,\"model\":\"m\",\"choices\":[{\"index\":0,\"message\":{\"role\":"
        "\"assistant\",\"content\":\"%s\"},\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":"
        "{\"prompt_tokens\":%d,\"completion_tokens\":%d,\"total_tokens\":%d}}",
        words, PROMPT_TOKENS, WHOLE_TOKENS, PROMPT_TOKENS + WHOLE_TOKENS);
    chat.plain_len = write_plain(chat.plain, body);
}

/* ---- Amazon Bedrock's Converse: frames of AWS's event stream, with both sums, a frame per HTTP chunk ---- */

static uint32_t crc32_of(const unsigned char *p, size_t n) {
    uint32_t sum = 0xffffffffu;
    for (size_t i = 0; i < n; i++) {
        sum ^= p[i];
        for (int bit = 0; bit < 8; bit++) sum = (sum >> 1) ^ (0xedb88320u & (0u - (sum & 1u)));
    }
    return ~sum;
}

static void put32(char *to, uint32_t value) {
    for (int i = 0; i < 4; i++) to[i] = (char)(value >> (24 - 8 * i));
}

static size_t put_header(char *to, const char *name, const char *value) {
    size_t n = strlen(name), v = strlen(value), at = 0;
    to[at++] = (char)n;
    memcpy(to + at, name, n);
    at += n;
    to[at++] = 7;                     /* a string */
    to[at++] = (char)(v >> 8);
    to[at++] = (char)v;
    memcpy(to + at, value, v);
    return at + v;
}

static size_t frame_event(char *to, const char *type, const char *payload) {
    char event[1024];
    size_t at = 12;
    at += put_header(event + at, ":event-type", type);
    at += put_header(event + at, ":content-type", "application/json");
    at += put_header(event + at, ":message-type", "event");
    size_t headers = at - 12, n = strlen(payload);
    memcpy(event + at, payload, n);
    at += n;
    put32(event, (uint32_t)at + 4);
    put32(event + 4, (uint32_t)headers);
    put32(event + 8, crc32_of((unsigned char *)event, 8));
    put32(event + at, crc32_of((unsigned char *)event, at));
    return frame(to, event, at + 4);
}

static size_t converse_tail(char *to, long tokens, bool with_usage) {
    (void)with_usage;                 /* Converse always tells it */
    char payload[400];
    size_t n = frame_event(to, "contentBlockStop", "{\"contentBlockIndex\":0,\"p\":\"abcdefghijkl\"}");
    n += frame_event(to + n, "messageStop", "{\"p\":\"abcdefghijklmnopqrstuv\",\"stopReason\":\"end_turn\"}");
    sprintf(payload, "{\"metrics\":{\"latencyMs\":512},\"p\":\"abcdefghijklmnopqrstuvwxyzABC\",\"usage\":{"
            "\"inputTokens\":%d,\"outputTokens\":%ld,\"totalTokens\":%ld}}", PROMPT_TOKENS, tokens, tokens + PROMPT_TOKENS);
    n += frame_event(to + n, "metadata", payload);
    return n + (size_t)sprintf(to + n, "0\r\n\r\n");
}

static void prepare_converse(void) {
    converse.write_tail = converse_tail;
    converse.chunk_len = frame_event(converse.chunk, "contentBlockDelta",
        "{\"contentBlockIndex\":0,\"delta\":{\"text\":\" tok\"},\"p\":\"abcdefghijklmnopqrstuvw\"}");
    converse.head_len = write_head(converse.head, "application/vnd.amazon.eventstream");
    converse.head_len += frame_event(converse.head + converse.head_len, "messageStart",
        "{\"p\":\"abcdefghijklmnopq\",\"role\":\"assistant\"}");
    char body[1500];
    sprintf(body, "{\"metrics\":{\"latencyMs\":512},\"output\":{\"message\":{\"content\":[{\"text\":\"%s\"}],"
        "\"role\":\"assistant\"}},\"stopReason\":\"end_turn\",\"usage\":{\"inputTokens\":%d,\"outputTokens\":%d,"
        "\"totalTokens\":%d}}", words, PROMPT_TOKENS, WHOLE_TOKENS, PROMPT_TOKENS + WHOLE_TOKENS);
    converse.plain_len = write_plain(converse.plain, body);
}

/* ---- Gemini's generateContent: events that end with CR LF, as Vertex AI sends them, and no last word ---- */

#define ORIGIN "\"modelVersion\":\"gemini-2.5-flash\",\"createTime\":\"2026-01-01T00:00:00.123456Z\"," \
               "\"responseId\":\"bench0000000000000001\"}"
#define SPEAKS "{\"candidates\":[{\"content\":{\"role\":\"model\",\"parts\":[{\"text\":\"%s\"}]}"

static size_t gemini_tail(char *to, long tokens, bool with_usage) {
    (void)with_usage;                 /* Gemini always tells it */
    char event[800];
    sprintf(event, "data: " SPEAKS ",\"finishReason\":\"STOP\"}],\"usageMetadata\":{\"promptTokenCount\":%d,"
            "\"candidatesTokenCount\":%ld,\"totalTokenCount\":%ld,\"trafficType\":\"ON_DEMAND\"}," ORIGIN "\r\n\r\n",
            "", PROMPT_TOKENS, tokens, tokens + PROMPT_TOKENS);
    size_t n = frame_text(to, event);
    return n + (size_t)sprintf(to + n, "0\r\n\r\n");
}

static void prepare_gemini(void) {
    gemini.write_tail = gemini_tail;
    char body[1800];
    sprintf(body, "data: " SPEAKS "}],\"usageMetadata\":{\"trafficType\":\"ON_DEMAND\"}," ORIGIN "\r\n\r\n", " tok");
    gemini.chunk_len = frame_text(gemini.chunk, body);
    gemini.head_len = write_head(gemini.head, "text/event-stream");
    sprintf(body, SPEAKS ",\"finishReason\":\"STOP\",\"avgLogprobs\":-0.25}],\"usageMetadata\":{\"promptTokenCount\":%d,"
        "\"candidatesTokenCount\":%d,\"totalTokenCount\":%d,\"trafficType\":\"ON_DEMAND\"}," ORIGIN,
        words, PROMPT_TOKENS, WHOLE_TOKENS, PROMPT_TOKENS + WHOLE_TOKENS);
    gemini.plain_len = write_plain(gemini.plain, body);
}

/* ---- Anthropic's Messages ---- */

#define MESSAGE "{\"id\":\"msg_bench0000000000000001\",\"type\":\"message\",\"role\":\"assistant\"," \
                "\"model\":\"claude-sonnet-4-5\","

static size_t messages_tail(char *to, long tokens, bool with_usage) {
    (void)with_usage;                 /* Messages always tells it */
    char event[400];
    size_t n = frame_text(to, "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n");
    sprintf(event, "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\","
            "\"stop_sequence\":null},\"usage\":{\"output_tokens\":%ld}}\n\n", tokens);
    n += frame_text(to + n, event);
    n += frame_text(to + n, "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n");
    return n + (size_t)sprintf(to + n, "0\r\n\r\n");
}

static void prepare_messages(void) {
    messages.write_tail = messages_tail;
    char body[1800];
    messages.chunk_len = frame_text(messages.chunk, "event: content_block_delta\ndata: {\"type\":\"content_block_delta\","
        "\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\" tok\"}}\n\n");
    size_t n = write_head(messages.head, SSE);
    sprintf(body, "event: message_start\ndata: {\"type\":\"message_start\",\"message\":" MESSAGE "\"content\":[],"
        "\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{\"input_tokens\":%d,\"output_tokens\":1}}}\n\n", PROMPT_TOKENS);
    n += frame_text(messages.head + n, body);
    n += frame_text(messages.head + n, "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,"
        "\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n");
    messages.head_len = n + frame_text(messages.head + n, "event: ping\ndata: {\"type\": \"ping\"}\n\n");
    sprintf(body, MESSAGE "\"content\":[{\"type\":\"text\",\"text\":\"%s\"}],\"stop_reason\":\"end_turn\","
        "\"stop_sequence\":null,\"usage\":{\"input_tokens\":%d,\"output_tokens\":%d}}", words, PROMPT_TOKENS, WHOLE_TOKENS);
    messages.plain_len = write_plain(messages.plain, body);
}

void prepare_wires(void) {
    for (int i = 0; i < WHOLE_TOKENS; i++) strcat(words, " tok");
    prepare_chat();
    prepare_converse();
    prepare_gemini();
    prepare_messages();
}
