/*
 * A fake provider of four wires: what stands behind every gateway that the benchmark measures.
 *
 * One thread, one epoll loop, no allocation per chunk: it must be so cheap that it is not what is
 * measured. It knows HTTP/1.1 only as far as the gateways under test speak it (keep-alive,
 * Content-Length and chunked request bodies; requests that arrive early wait their turn).
 *
 *   POST /v1/chat/completions   "stream":true answers SSE, one HTTP chunk and one send() per event,
 *                               as inference engines do; otherwise a JSON answer of about 1 KB.
 *                               "max_tokens" is the number of content chunks, "seed" the pace in
 *                               chunks per second and stream (absent or 0: as fast as the socket
 *                               takes them). Both are standard fields, so every gateway passes them.
 *                               Where a wire has no seed, "pace 64" in the prompt says the same.
 *   POST /model/ID/converse, /model/ID/converse-stream           Amazon Bedrock, binary frames
 *   POST ...:generateContent, ...:streamGenerateContent?alt=sse  Gemini
 *   POST /v1/messages                                            Anthropic
 *                               The same numbers of chunks, the same pace, a token per event as above,
 *                               each in the wire's own words; signatures and keys are not looked at.
 *   GET  /health /v1/models     what gateways probe
 *   GET  /stats                 counts of requests, chunks, finished and cancelled streams; own CPU
 *
 * The same serves at 127.0.0.1 to 127.0.0.4, so that it can be taken for four replicas.
 * Scalar fields of the body are looked for in its first and last kilobyte only.
 * Prints "listening PORT" once it serves; `--port 0` takes a free one.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "wires.h"

enum { MAX_FD = 65536, HEAD_MAX = 65536, EVENTS = 512, EDGE = 1024, REPLICAS = 4 };
enum phase { READ_HEAD, READ_BODY, ANSWER, STREAM };

struct conn {
    int fd;
    enum phase phase;
    char *in;              /* request bytes; a chunked body is decoded in place */
    size_t in_len, in_cap;
    size_t head_len, body_len, body_need;
    size_t raw;            /* next undecoded byte of a chunked body */
    size_t piece_left;     /* of the current chunk, its CRLF included */
    bool chunked, last_piece, body_done, close_after;
    const char *out;       /* what is being sent: a constant, or `own` */
    size_t out_off, out_len;
    char own[2048];
    long left;             /* content chunks still to send */
    long total;
    const struct wire *wire;
    bool with_usage, tail_sent;
    uint64_t period_ns, due_ns;
    int heap_at;           /* place in the heap of paced streams, -1: not there */
    int ready_at;          /* place in the list of saturated streams, -1: not there */
    bool waits_for_room;   /* EPOLLOUT is armed */
};

static struct conn *conns[MAX_FD];
static struct conn *heap[MAX_FD];
static struct conn *ready[MAX_FD];
static int heap_len, ready_len, ep, listeners[REPLICAS];
static long default_chunks = 64, default_pace = 0;
static struct { uint64_t connections, open, requests, streams, finished, cancelled, chunks; } stats;

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- small answers ---- */

#define MODELS "{\"object\":\"list\",\"data\":[{\"id\":\"m\",\"object\":\"model\"," \
               "\"created\":1767225600,\"owned_by\":\"bench\"}]}"

static void write_small(struct conn *c, const char *status, const char *body) {
    c->out_len = (size_t)sprintf(c->own, "HTTP/1.1 %s\r\nContent-Type: application/json\r\n"
                                         "Content-Length: %zu\r\n\r\n%s", status, strlen(body), body);
    c->out = c->own;
}

static void write_stats(struct conn *c) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    char body[512];
    sprintf(body, "{\"connections\":%lu,\"open\":%lu,\"requests\":%lu,\"streams\":%lu,\"finished\":%lu,"
            "\"cancelled\":%lu,\"chunks\":%lu,\"user_us\":%ld,\"system_us\":%ld}",
            stats.connections, stats.open, stats.requests, stats.streams, stats.finished,
            stats.cancelled, stats.chunks,
            u.ru_utime.tv_sec * 1000000 + u.ru_utime.tv_usec,
            u.ru_stime.tv_sec * 1000000 + u.ru_stime.tv_usec);
    write_small(c, "200 OK", body);
}

/* ---- the heap of paced streams, the list of saturated ones ---- */

static void heap_put(int at, struct conn *c) { heap[at] = c; c->heap_at = at; }

static void heap_up(int at) {
    struct conn *c = heap[at];
    for (; at > 0 && heap[(at - 1) / 2]->due_ns > c->due_ns; at = (at - 1) / 2)
        heap_put(at, heap[(at - 1) / 2]);
    heap_put(at, c);
}

static void heap_down(int at) {
    struct conn *c = heap[at];
    for (;;) {
        int kid = 2 * at + 1;
        if (kid >= heap_len) break;
        if (kid + 1 < heap_len && heap[kid + 1]->due_ns < heap[kid]->due_ns) kid++;
        if (heap[kid]->due_ns >= c->due_ns) break;
        heap_put(at, heap[kid]);
        at = kid;
    }
    heap_put(at, c);
}

static void leave_queues(struct conn *c) {
    if (c->heap_at >= 0) {
        int at = c->heap_at;
        struct conn *last = heap[--heap_len];
        c->heap_at = -1;
        if (last != c) { heap_put(at, last); heap_up(at); heap_down(last->heap_at); }
    }
    if (c->ready_at >= 0) {
        struct conn *last = ready[--ready_len];
        ready[c->ready_at] = last;
        last->ready_at = c->ready_at;
        c->ready_at = -1;
    }
}

static void join_queue(struct conn *c) {
    if (c->period_ns) { heap[heap_len] = c; heap_up(heap_len++); }
    else { c->ready_at = ready_len; ready[ready_len++] = c; }
}

/* ---- connections ---- */

static void arm(struct conn *c, bool for_room) {
    if (c->waits_for_room == for_room) return;
    c->waits_for_room = for_room;
    struct epoll_event e = {.events = EPOLLIN | (for_room ? EPOLLOUT : 0u), .data.ptr = c};
    epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &e);
}

static void drop(struct conn *c) {
    if (c->phase == STREAM) stats.cancelled++;
    leave_queues(c);
    stats.open--;
    conns[c->fd] = NULL;
    close(c->fd);
    free(c->in);
    free(c);
}

/* 1: all sent, 0: the socket is full, -1: the peer is gone */
static int flush(struct conn *c) {
    while (c->out_off < c->out_len) {
        ssize_t n = send(c->fd, c->out + c->out_off, c->out_len - c->out_off, MSG_NOSIGNAL);
        if (n < 0) return errno == EAGAIN ? 0 : -1;
        c->out_off += (size_t)n;
    }
    return 1;
}

static void start(struct conn *c, const char *bytes, size_t len) {
    c->out = bytes;
    c->out_len = len;
    c->out_off = 0;
}

static int read_request(struct conn *c);

static int finish(struct conn *c) {
    leave_queues(c);
    c->phase = READ_HEAD;
    if (c->close_after) { drop(c); return -1; }
    size_t used = c->head_len + (c->chunked ? c->raw - c->head_len : c->body_need);
    memmove(c->in, c->in + used, c->in_len - used);
    c->in_len -= used;
    if (c->in_cap > 16384 && c->in_len == 0) { free(c->in); c->in = NULL; c->in_cap = 0; }
    arm(c, false);
    return c->in_len ? read_request(c) : 0;
}

/* One step of a stream: the next event. 1: sent, 0: wait for room, -1: the connection is gone. */
static int step(struct conn *c) {
    int sent = flush(c);
    if (sent == 1) {
        if (c->left > 0) {
            c->left--;
            stats.chunks++;
            start(c, c->wire->chunk, c->wire->chunk_len);
        } else {
            c->tail_sent = true;
            start(c, c->own, c->wire->write_tail(c->own, c->total, c->with_usage));
        }
        sent = flush(c);
        if (sent == 1 && c->tail_sent) {
            stats.finished++;
            c->phase = ANSWER;
            return finish(c) < 0 ? -1 : 1;
        }
    }
    if (sent < 0) { drop(c); return -1; }
    if (sent == 0) { leave_queues(c); arm(c, true); }
    return sent;
}

static const char *field(const struct conn *c, const char *name) {
    const char *body = c->in + c->head_len;
    size_t n = strlen(name), edge = c->body_len < EDGE ? c->body_len : EDGE;
    const char *at = memmem(body + c->body_len - edge, edge, name, n);
    if (!at && c->body_len > edge) at = memmem(body, edge, name, n);
    if (!at) return NULL;
    at += n;
    while (*at == ' ' || *at == ':') at++;
    return at;
}

static long number(const struct conn *c, const char *name, long otherwise) {
    const char *at = field(c, name);
    return at ? strtol(at, NULL, 10) : otherwise;
}

static bool is_true(const struct conn *c, const char *name) {
    const char *at = field(c, name);
    return at && strncmp(at, "true", 4) == 0;
}

static void begin_stream(struct conn *c, const struct wire *wire, long chunks) {
    c->wire = wire;
    c->total = c->left = chunks;
    long pace = number(c, "\"seed\"", 0);
    if (!pace) pace = number(c, "pace ", default_pace);
    c->tail_sent = false;
    c->period_ns = pace > 0 ? 1000000000u / (uint64_t)pace : 0;
    if (c->period_ns) {
        /* spread the streams over the period by the golden ratio, so that they do not beat together */
        uint64_t phase = (stats.streams * 618034u) % 1000000u;
        c->due_ns = now_ns() + c->period_ns * phase / 1000000u;
    }
    stats.streams++;
    c->phase = STREAM;
    start(c, wire->head, wire->head_len);
}

/* Gateways write the limit of Gemini's output in either of protobuf's spellings. */
static long tokens_wanted(const struct conn *c, const struct wire *wire) {
    if (wire == &converse) return number(c, "\"maxTokens\"", default_chunks);
    if (wire != &gemini) return number(c, "\"max_tokens\"", default_chunks);
    return number(c, "\"maxOutputTokens\"", number(c, "\"max_output_tokens\"", default_chunks));
}

static bool has(const char *text, size_t len, const char *word) {
    return memmem(text, len, word, strlen(word)) != NULL;
}

/* Which API a POST is for, and whether it wants a stream; NULL: none. */
static const struct wire *find_wire(const struct conn *c, const char *path, bool *streams) {
    size_t len = (size_t)((const char *)memchr(path, '\n', c->head_len) - path);
    if (strncmp(path, "/v1/chat/completions", 20) == 0 || strncmp(path, "/v1/messages", 12) == 0) {
        *streams = is_true(c, "\"stream\"");
        return path[4] == 'c' ? &chat : &messages;
    }
    if (strncmp(path, "/model/", 7) == 0 && has(path, len, "/converse")) {
        *streams = has(path, len, "/converse-stream");
        return &converse;
    }
    *streams = has(path, len, ":streamGenerateContent") && has(path, len, "alt=sse");
    return *streams || has(path, len, ":generateContent") ? &gemini : NULL;
}

static void generate(struct conn *c, const struct wire *wire, bool streams) {
    stats.requests++;
    if (!streams) { start(c, wire->plain, wire->plain_len); return; }
    c->with_usage = wire == &chat && is_true(c, "\"include_usage\"");
    begin_stream(c, wire, tokens_wanted(c, wire));
}

static int answer(struct conn *c) {
    bool is_post = memcmp(c->in, "POST ", 5) == 0;
    const char *path = c->in + (is_post ? 5 : 4);
    bool streams = false;
    const struct wire *wire = is_post ? find_wire(c, path, &streams) : NULL;
    c->phase = ANSWER;
    c->out_off = 0;
    if (wire) generate(c, wire, streams);
    else if (strncmp(path, "/v1/models", 10) == 0) write_small(c, "200 OK", MODELS);
    else if (strncmp(path, "/health", 7) == 0) write_small(c, "200 OK", "{}");
    else if (strncmp(path, "/stats", 6) == 0) write_stats(c);
    else write_small(c, "404 Not Found", "{\"error\":{\"message\":\"not here\"}}");
    int sent = flush(c);
    if (sent < 0) { drop(c); return -1; }
    if (c->phase == STREAM) {
        if (sent == 0) arm(c, true);
        else join_queue(c);
        return 0;
    }
    if (sent == 0) { arm(c, true); return 0; }
    return finish(c);
}

/* ---- requests ---- */

/* Decodes what has arrived of a chunked body in place. false: not even hexadecimal. */
static bool unchunk(struct conn *c) {
    while (c->raw < c->in_len && !c->body_done) {
        if (c->piece_left == 0) {
            char *line = c->in + c->raw;
            char *end = memchr(line, '\n', c->in_len - c->raw);
            if (!end) return true;
            if (c->last_piece) {          /* the blank line after the last chunk */
                c->raw = (size_t)(end - c->in) + 1;
                c->body_done = true;
                return true;
            }
            char *stop;
            size_t size = strtoul(line, &stop, 16);
            if (stop == line) return false;
            c->raw = (size_t)(end - c->in) + 1;
            if (size == 0) c->last_piece = true;
            else c->piece_left = size + 2;
            continue;
        }
        size_t have = c->in_len - c->raw;
        size_t take = have < c->piece_left ? have : c->piece_left;
        size_t data = c->piece_left > 2 ? c->piece_left - 2 : 0;
        if (data > take) data = take;
        memmove(c->in + c->head_len + c->body_len, c->in + c->raw, data);
        c->body_len += data;
        c->raw += take;
        c->piece_left -= take;
    }
    return true;
}

static bool read_head(struct conn *c, char *end) {
    c->head_len = (size_t)(end - c->in) + 4;
    c->body_len = c->body_need = c->piece_left = 0;
    c->chunked = c->last_piece = c->body_done = c->close_after = false;
    for (char *line = memchr(c->in, '\n', c->head_len) ; line && line < end;
         line = memchr(line, '\n', (size_t)(end - line))) {
        line++;
        if (strncasecmp(line, "content-length:", 15) == 0) c->body_need = strtoul(line + 15, NULL, 10);
        else if (strncasecmp(line, "transfer-encoding:", 18) == 0) c->chunked = true;
        else if (strncasecmp(line, "connection: close", 17) == 0) c->close_after = true;
    }
    c->raw = c->head_len;
    return c->in_len >= 5 && c->body_need < (64u << 20);
}

/* Goes on with what is in the buffer. -1: the connection is gone. */
static int read_request(struct conn *c) {
    if (c->phase == READ_HEAD) {
        char *end = memmem(c->in, c->in_len, "\r\n\r\n", 4);
        if (!end && c->in_len < HEAD_MAX) return 0;
        if (!end || !read_head(c, end)) { drop(c); return -1; }
        c->phase = READ_BODY;
    }
    if (c->phase != READ_BODY) return 0;
    if (c->chunked) {
        if (!unchunk(c)) { drop(c); return -1; }
        if (!c->body_done) return 0;
    } else {
        if (c->in_len - c->head_len < c->body_need) return 0;
        c->body_len = c->body_need;
    }
    return answer(c);
}

static int on_readable(struct conn *c) {
    size_t want = c->in_len + 4096;
    if (c->phase == READ_BODY && !c->chunked && want < c->head_len + c->body_need)
        want = c->head_len + c->body_need;
    if (c->in_cap < want + 1) {
        size_t cap = c->in_cap ? c->in_cap : 4096;
        while (cap < want + 1) cap *= 2;
        char *bigger = realloc(c->in, cap);
        if (!bigger) { drop(c); return -1; }
        c->in = bigger;
        c->in_cap = cap;
    }
    ssize_t n = recv(c->fd, c->in + c->in_len, c->in_cap - c->in_len - 1, 0);
    if (n < 0 && errno == EAGAIN) return 0;
    if (n <= 0) { drop(c); return -1; }
    c->in_len += (size_t)n;
    c->in[c->in_len] = 0;
    return read_request(c);
}

static void on_writable(struct conn *c) {
    int sent = flush(c);
    if (sent < 0) { drop(c); return; }
    if (sent == 0) return;
    arm(c, false);
    if (c->phase == ANSWER) { finish(c); return; }
    if (c->phase == STREAM) {
        if (c->tail_sent) { stats.finished++; c->phase = ANSWER; finish(c); }
        else join_queue(c);
    }
}

static void accept_all(int listener) {
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) return;
        if (fd >= MAX_FD) { close(fd); continue; }
        int one = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        struct conn *c = calloc(1, sizeof *c);
        if (!c) { close(fd); continue; }
        c->fd = fd;
        c->heap_at = c->ready_at = -1;
        conns[fd] = c;
        stats.connections++;
        stats.open++;
        struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
        epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e);
    }
}

static void on_connect(void) {
    for (int i = 0; i < REPLICAS; i++) accept_all(listeners[i]);
}

/* ---- the loop ---- */

static void run_paced(void) {
    uint64_t now = now_ns();
    while (heap_len && heap[0]->due_ns <= now) {
        struct conn *c = heap[0];
        c->due_ns += c->period_ns;
        heap_down(0);
        step(c);
    }
}

static void run_saturated(void) {
    /* one event of each stream per turn; backwards, because a step may take its stream out */
    for (int i = ready_len - 1; i >= 0; i--)
        if (i < ready_len) step(ready[i]);
}

static void serve(void) {
    struct epoll_event events[EVENTS];
    for (;;) {
        struct timespec wait = {0, 0}, *timeout = &wait;
        if (ready_len == 0 && heap_len == 0) timeout = NULL;
        else if (ready_len == 0) {
            uint64_t now = now_ns(), due = heap[0]->due_ns;
            uint64_t left = due > now ? due - now : 0;
            wait.tv_sec = (time_t)(left / 1000000000u);
            wait.tv_nsec = (long)(left % 1000000000u);
        }
        int n = epoll_pwait2(ep, events, EVENTS, timeout, NULL);
        for (int i = 0; i < n; i++) {
            struct conn *c = events[i].data.ptr;
            if (!c) { on_connect(); continue; }
            if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
                if (on_readable(c) < 0) continue;
            }
            if (events[i].events & EPOLLOUT) on_writable(c);
        }
        run_paced();
        run_saturated();
    }
}

static int listen_on(int replica, int port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK + (uint32_t)replica)};
    if (bind(fd, (struct sockaddr *)&a, sizeof a) < 0 || listen(fd, 4096) < 0) {
        perror("upstream: bind");
        exit(3);
    }
    listeners[replica] = fd;
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e);
    socklen_t len = sizeof a;
    getsockname(fd, (struct sockaddr *)&a, &len);
    return ntohs(a.sin_port);
}

int main(int argc, char **argv) {
    int port = 0;
    for (int i = 1; i < argc; i += 2) {
        if (i + 1 == argc) { fprintf(stderr, "upstream: [--port N] [--chunks N] [--pace N]\n"); return 2; }
        if (strcmp(argv[i], "--port") == 0) port = atoi(argv[i + 1]);
        else if (strcmp(argv[i], "--chunks") == 0) default_chunks = atol(argv[i + 1]);
        else if (strcmp(argv[i], "--pace") == 0) default_pace = atol(argv[i + 1]);
        else { fprintf(stderr, "upstream: unknown option %s\n", argv[i]); return 2; }
    }
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_TIMERSLACK, 1000);  /* the default of 50 µs would bundle paced chunks */
    prepare_wires();
    ep = epoll_create1(EPOLL_CLOEXEC);
    for (int i = 0; i < REPLICAS; i++) port = listen_on(i, port);
    printf("listening %d\n", port);
    fflush(stdout);
    serve();
}
