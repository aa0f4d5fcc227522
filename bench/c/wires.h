/*
 * The wires that the upstream speaks: what it sends of each, and how a stream ends.
 *
 *   chat      OpenAI's chat completions          converse   Amazon Bedrock's Converse, ConverseStream
 *   gemini    Gemini's generateContent           messages   Anthropic's Messages
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct wire {
    char chunk[512];       /* one token of a stream */
    char head[2048];       /* the answer's head and what comes before the first token */
    char plain[2560];      /* an answer in one piece, its head included */
    size_t chunk_len, head_len, plain_len;
    size_t (*write_tail)(char *to, long tokens, bool with_usage);   /* what follows the last token */
};

extern struct wire chat, converse, gemini, messages;

void prepare_wires(void);
