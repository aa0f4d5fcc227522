/*
 * The load generator: one thread, one epoll loop, HTTP/1.1 keep-alive, chat completions.
 *
 *   closed loop   --connections C, each sends its next request when the last answer has ended,
 *                 until --duration S has passed or --count N answers have come
 *   open loop     --rate R requests per second for --duration S over at most C connections; latency
 *                 counts from the moment at which the request was due, so a slow server cannot hide
 *   slow streams  a closed loop with --stream --pace 1 --connections 2000 --count 2000 --ramp 2
 *
 * The pace is asked for by "seed", or with --say-pace by the first words of the prompt, which come
 * through every translation.
 *
 * A streamed answer is good only if `data: [DONE]` came (or --any-end was given) and the body ended as
 * its framing says.
 * Events are the `data:` frames of the stream, [DONE] included. Prints one JSON object.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
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

enum { HEAD_MAX = 8192, EVENTS = 512, MARK = 16 };
enum phase { CLOSED, CONNECTING, IDLE, SENDING, HEAD, LENGTH, CHUNKS, TO_END };
enum piece { SIZE, DATA, DATA_END, TRAILER };

struct conn {
    int fd;
    enum phase phase;
    uint64_t begun_ns, first_ns, retry_ns;  /* due or sent; first body byte; when to connect again */
    size_t sent;
    char head[HEAD_MAX];
    size_t head_len;
    int status;
    bool close_after, is_stream;
    size_t left;           /* of the body, or of the chunk */
    enum piece piece;
    size_t size_digits;
    char line[MARK];       /* first bytes of the current line of the stream (or of the chunk frame) */
    size_t line_len;
    bool has_data, is_done;
};

static struct {
    const char *host, *path, *model;
    int port;
    long connections, count, max_tokens, pace;
    double duration_s, rate, ramp_s, timeout_s;
    size_t body_bytes;
    bool stream, include_usage, say_pace, any_end;
    char headers[4096];
} opt = {.host = "127.0.0.1", .path = "/v1/chat/completions", .model = "m", .connections = 16,
         .max_tokens = 64, .duration_s = 3, .timeout_s = 60, .body_bytes = 1024};

static struct { uint32_t *us; size_t len, cap; } latency, ttfb;
static struct {
    uint64_t sent, good, events, bytes, reads, connects, behind;
    uint64_t connect, status, cut, protocol, timeout, unfinished;
} seen;
static char first_error[400];
static struct conn *conns;
static struct conn **idle;
static long idle_len;
static char *request;
static size_t request_len;
static int ep;
static uint64_t start_ns;
static bool is_over;

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

#define KEEP(list, ns) do { \
    if ((list).len == (list).cap) { \
        (list).cap = (list).cap ? 2 * (list).cap : 4096; \
        (list).us = realloc((list).us, (list).cap * sizeof *(list).us); \
        if (!(list).us) abort(); \
    } \
    (list).us[(list).len++] = (uint32_t)((ns) / 1000u); } while (0)

static void note_error(const char *what, const char *detail, size_t len) {
    if (first_error[0]) return;
    int n = snprintf(first_error, sizeof first_error, "%s: ", what);
    for (size_t i = 0; i < len && n < (int)sizeof first_error - 1; i++)
        first_error[n++] = (detail[i] < ' ' || detail[i] == '"' || detail[i] == '\\' ||
                            (unsigned char)detail[i] > 126) ? ' ' : detail[i];
    first_error[n] = 0;
}

/* ---- the request: fields in the order in which the official Python client writes them ---- */

static void prepare_request(void) {
    char rest[512];
    int n = snprintf(rest, sizeof rest, "\"}],\"model\":\"%s\",\"max_tokens\":%ld", opt.model, opt.max_tokens);
    if (opt.pace && !opt.say_pace) n += snprintf(rest + n, sizeof rest - (size_t)n, ",\"seed\":%ld", opt.pace);
    if (opt.stream) n += snprintf(rest + n, sizeof rest - (size_t)n, ",\"stream\":true");
    if (opt.include_usage)
        n += snprintf(rest + n, sizeof rest - (size_t)n, ",\"stream_options\":{\"include_usage\":true}");
    n += snprintf(rest + n, sizeof rest - (size_t)n, "}");
    char open[96];
    int m = snprintf(open, sizeof open, "{\"messages\":[{\"role\":\"user\",\"content\":\"");
    if (opt.pace && opt.say_pace) snprintf(open + m, sizeof open - (size_t)m, "pace %ld. ", opt.pace);
    size_t prompt = opt.body_bytes > strlen(open) + (size_t)n ? opt.body_bytes - strlen(open) - (size_t)n : 1;
    size_t body_len = strlen(open) + prompt + (size_t)n;
    request = malloc(body_len + sizeof opt.headers + 1024);
    if (!request) abort();
    request_len = (size_t)sprintf(request,
        "POST %s HTTP/1.1\r\nHost: %s:%d\r\nAccept: application/json\r\nContent-Type: application/json\r\n"
        "User-Agent: towplane-bench\r\n%sContent-Length: %zu\r\n\r\n%s",
        opt.path, opt.host, opt.port, opt.headers, body_len, open);
    static const char words[] = "The quick brown fox jumps over the lazy dog and runs away from it. ";
    for (size_t i = 0; i < prompt; i++) request[request_len++] = words[i % (sizeof words - 1)];
    memcpy(request + request_len, rest, (size_t)n);
    request_len += (size_t)n;
}

/* ---- connections ---- */

static void watch(struct conn *c, uint32_t events, int how) {
    struct epoll_event e = {.events = events, .data.ptr = c};
    epoll_ctl(ep, how, c->fd, &e);
}

static void hang_up(struct conn *c, uint64_t retry_ns) {
    if (c->phase == IDLE && opt.rate > 0)
        for (long i = 0; i < idle_len; i++)
            if (idle[i] == c) { idle[i] = idle[--idle_len]; break; }
    if (c->fd >= 0) close(c->fd);
    c->fd = -1;
    c->phase = CLOSED;
    c->retry_ns = retry_ns;
}

static void connect_to(struct conn *c) {
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0) { perror("load: socket"); exit(3); }
    int one = 1;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)opt.port)};
    inet_pton(AF_INET, opt.host, &a.sin_addr);
    seen.connects++;
    c->phase = CONNECTING;
    c->begun_ns = now_ns();
    if (connect(c->fd, (struct sockaddr *)&a, sizeof a) < 0 && errno != EINPROGRESS) {
        seen.connect++;
        note_error("connect", strerror(errno), strlen(strerror(errno)));
        hang_up(c, now_ns() + 50000000u);
        return;
    }
    watch(c, EPOLLOUT, EPOLL_CTL_ADD);
}

static bool wants_more(void) {
    return !is_over && (opt.count == 0 || (long)seen.sent < opt.count);
}

static void fail(struct conn *c, uint64_t *counter, const char *what, const char *detail, size_t len) {
    ++*counter;
    note_error(what, detail, len);
    hang_up(c, now_ns() + 10000000u);
}

static void push(struct conn *c) {
    while (c->sent < request_len) {
        ssize_t n = send(c->fd, request + c->sent, request_len - c->sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) {
            if (c->phase != SENDING) { c->phase = SENDING; watch(c, EPOLLIN | EPOLLOUT, EPOLL_CTL_MOD); }
            return;
        }
        if (n < 0) { fail(c, &seen.cut, "send", strerror(errno), strlen(strerror(errno))); return; }
        c->sent += (size_t)n;
    }
    if (c->phase == SENDING) watch(c, EPOLLIN, EPOLL_CTL_MOD);
    c->phase = HEAD;
}

static void begin(struct conn *c, uint64_t due_ns) {
    seen.sent++;
    c->begun_ns = due_ns;
    c->first_ns = 0;
    c->sent = c->head_len = c->line_len = 0;
    c->has_data = c->is_done = false;
    c->phase = HEAD;
    push(c);
}

static void rest(struct conn *c) {
    c->phase = IDLE;
    if (opt.rate > 0) { idle[idle_len++] = c; return; }
    if (wants_more()) begin(c, now_ns());
}

/* ---- answers ---- */

static void end_answer(struct conn *c) {
    uint64_t now = now_ns();
    if (c->status != 200) {
        seen.status++;
        char what[32];
        sprintf(what, "status %d", c->status);
        note_error(what, "", 0);
        if (opt.rate <= 0 && !c->close_after) {   /* do not spin on a server that refuses */
            hang_up(c, now + 10000000u);
            return;
        }
    } else if (opt.stream && !c->is_done && !opt.any_end) {
        seen.cut++;
        note_error("stream ended without [DONE]", "", 0);
    } else {
        seen.good++;
        KEEP(latency, now - c->begun_ns);
        if (c->first_ns) KEEP(ttfb, c->first_ns - c->begun_ns);
    }
    if (c->close_after) hang_up(c, now);
    else rest(c);
}

static void take_body(struct conn *c, const char *p, size_t n) {
    seen.bytes += n;
    if (!c->first_ns && n) c->first_ns = now_ns();
    if (c->status != 200) { char what[32]; sprintf(what, "status %d", c->status); note_error(what, p, n); return; }
    if (!opt.stream) return;
    while (n) {
        const char *end = memchr(p, '\n', n);
        size_t take = end ? (size_t)(end - p) : n;
        if (c->line_len < MARK) {
            size_t room = MARK - c->line_len;
            memcpy(c->line + c->line_len, p, take < room ? take : room);
        }
        c->line_len += take;
        p += take;
        n -= take;
        if (!end) return;
        p++;
        n--;
        size_t len = c->line_len;
        if (len && len <= MARK && c->line[len - 1] == '\r') len--;
        if (len == 0) {
            if (c->has_data) seen.events++;
            c->has_data = false;
        } else if (len >= 5 && memcmp(c->line, "data:", 5) == 0) {
            c->has_data = true;
            if (len >= 12 && memcmp(c->line, "data: [DONE]", 12) == 0) c->is_done = true;
        }
        c->line_len = 0;
    }
}

/* Takes the framing of a chunked body off. True when the body has ended; false with phase CLOSED on
   a broken frame. */
static bool take_chunks(struct conn *c, const char **at, size_t *n) {
    const char *p = *at, *stop = p + *n;
    while (p < stop) {
        if (c->piece == DATA) {
            size_t take = (size_t)(stop - p) < c->left ? (size_t)(stop - p) : c->left;
            take_body(c, p, take);
            p += take;
            if ((c->left -= take) == 0) { c->piece = DATA_END; c->size_digits = 0; }
            continue;
        }
        char ch = *p++;
        if (c->piece == DATA_END) {
            if (ch == '\n') { c->piece = SIZE; c->left = c->size_digits = 0; }
            else if (ch != '\r') { fail(c, &seen.protocol, "chunk does not end with CRLF", "", 0); return false; }
        } else if (c->piece == SIZE) {
            int digit = ch >= '0' && ch <= '9' ? ch - '0' : (ch | 32) >= 'a' && (ch | 32) <= 'f' ? (ch | 32) - 'a' + 10 : -1;
            if (digit >= 0) { c->left = c->left * 16 + (size_t)digit; c->size_digits++; }
            else if (ch == '\n') {
                if (!c->size_digits) { fail(c, &seen.protocol, "chunk without a size", "", 0); return false; }
                c->piece = c->left ? DATA : TRAILER;
                c->size_digits = 0;
            } else if (ch != '\r') { fail(c, &seen.protocol, "chunk size", "", 0); return false; }
        } else {                                   /* TRAILER: ends with a blank line */
            if (ch == '\n') {
                if (c->size_digits == 0) { *n = (size_t)(stop - p); *at = p; return true; }
                c->size_digits = 0;
            } else if (ch != '\r') c->size_digits++;
        }
    }
    *n = 0;
    return false;
}

static bool take_head(struct conn *c) {
    char *end = memmem(c->head, c->head_len, "\r\n\r\n", 4);
    if (!end) {
        if (c->head_len == HEAD_MAX) fail(c, &seen.protocol, "head too long", c->head, 60);
        return false;
    }
    c->status = c->head_len > 12 ? atoi(c->head + 9) : 0;
    c->close_after = false;
    c->phase = TO_END;
    for (char *line = c->head; (line = memchr(line, '\n', (size_t)(end - line)));) {
        line++;
        if (strncasecmp(line, "content-length:", 15) == 0) {
            c->left = strtoul(line + 15, NULL, 10);
            c->phase = LENGTH;
        } else if (strncasecmp(line, "transfer-encoding: chunked", 26) == 0) {
            c->left = c->size_digits = 0;
            c->piece = SIZE;
            c->phase = CHUNKS;
        } else if (strncasecmp(line, "connection: close", 17) == 0) c->close_after = true;
        if (line > end) break;
    }
    return true;
}

static void take(struct conn *c, const char *p, size_t n) {
    if (c->phase == HEAD || c->phase == SENDING) {
        size_t room = HEAD_MAX - c->head_len, copied = n < room ? n : room, before = c->head_len;
        memcpy(c->head + c->head_len, p, copied);
        c->head_len += copied;
        if (!take_head(c)) return;
        char *end = memmem(c->head, c->head_len, "\r\n\r\n", 4);
        size_t used = (size_t)(end - c->head) + 4 - before;
        p += used;
        n -= used;
        if (c->phase == LENGTH && c->left == 0) { end_answer(c); return; }
        if (!n) return;
    }
    if (c->phase == LENGTH) {
        size_t mine = n < c->left ? n : c->left;
        take_body(c, p, mine);
        if ((c->left -= mine) == 0) end_answer(c);
    } else if (c->phase == CHUNKS) {
        if (take_chunks(c, &p, &n)) end_answer(c);
    } else if (c->phase == TO_END) take_body(c, p, n);
    else fail(c, &seen.protocol, "bytes that nobody asked for", p, n < 60 ? n : 60);
}

static void on_event(struct conn *c, uint32_t events) {
    static char buffer[256 * 1024];
    if (c->phase == CONNECTING) {
        int error = 0;
        socklen_t len = sizeof error;
        getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len);
        if (error) { fail(c, &seen.connect, "connect", strerror(error), strlen(strerror(error))); return; }
        watch(c, EPOLLIN, EPOLL_CTL_MOD);
        rest(c);
        return;
    }
    if ((events & EPOLLOUT) && c->phase == SENDING) push(c);
    if (c->phase == CLOSED || !(events & (EPOLLIN | EPOLLHUP | EPOLLERR))) return;
    ssize_t n = recv(c->fd, buffer, sizeof buffer, 0);
    if (n < 0 && errno == EAGAIN) return;
    if (n > 0) { seen.reads++; take(c, buffer, (size_t)n); return; }
    if (n == 0 && c->phase == TO_END) { c->close_after = true; end_answer(c); return; }
    if (c->phase == IDLE) { hang_up(c, now_ns()); return; }   /* an idle connection may be closed */
    fail(c, &seen.cut, n == 0 ? "closed in the middle of an answer" : strerror(errno), "", 0);
}

/* ---- the loop ---- */

static void tend(uint64_t now) {
    for (long i = 0; i < opt.connections; i++) {
        struct conn *c = &conns[i];
        if (c->phase == CLOSED) {
            if (now >= c->retry_ns && (opt.rate > 0 || wants_more())) connect_to(c);
        } else if (c->phase != IDLE && now > c->begun_ns && now - c->begun_ns > (uint64_t)(opt.timeout_s * 1e9)) {
            fail(c, c->phase == CONNECTING ? &seen.connect : &seen.timeout, "timeout", "", 0);
        }
    }
}

static uint64_t failures(void) {
    return seen.status + seen.cut + seen.protocol + seen.timeout;
}

static void poll_once(uint64_t until_ns) {
    static struct epoll_event events[EVENTS];
    uint64_t now = now_ns(), left = until_ns > now ? until_ns - now : 0;
    struct timespec wait = {(time_t)(left / 1000000000u), (long)(left % 1000000000u)};
    int n = epoll_pwait2(ep, events, EVENTS, &wait, NULL);
    for (int i = 0; i < n; i++) on_event(events[i].data.ptr, events[i].events);
}

static void connect_first(void) {   /* the open loop begins with its connections open */
    uint64_t deadline = now_ns() + 5000000000u;
    while (idle_len < opt.connections && now_ns() < deadline) {
        tend(now_ns());
        poll_once(now_ns() + 5000000u);
    }
}

static void drive(void) {
    uint64_t tended = 0, end = start_ns + (uint64_t)(opt.duration_s * 1e9), total = 0;
    double step_ns = opt.rate > 0 ? 1e9 / opt.rate : 0;
    if (opt.rate > 0) total = (uint64_t)(opt.rate * opt.duration_s);
    for (;;) {
        uint64_t now = now_ns(), next = tended + 2000000u;
        if (now >= next) { tend(now); tended = now; next = now + 2000000u; }
        if (opt.rate > 0) {
            while (seen.sent < total && idle_len > 0) {
                uint64_t due = start_ns + (uint64_t)((double)seen.sent * step_ns);
                if (due > now) { if (due < next) next = due; break; }
                begin(idle[--idle_len], due);
            }
            uint64_t should = (uint64_t)((double)(now - start_ns) / step_ns);
            if (should > total) should = total;
            if (should > seen.sent && should - seen.sent > seen.behind) seen.behind = should - seen.sent;
            if (seen.good + failures() >= total || now > end + 2000000000u) return;
        } else {
            if (now >= end) is_over = true;
            if (is_over || (opt.count && (long)(seen.good + failures()) >= opt.count)) return;
            if (end < next) next = end;
        }
        poll_once(next);
    }
}

static int by_value(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static void print_times(const char *name, uint32_t *us, size_t len) {
    qsort(us, len, sizeof *us, by_value);
    if (!len) { printf("\"%s\":null,", name); return; }
    double sum = 0;
    for (size_t i = 0; i < len; i++) sum += us[i];
#define AT(q) us[(size_t)((double)(len - 1) * (q))]
    printf("\"%s\":{\"p50\":%u,\"p90\":%u,\"p99\":%u,\"max\":%u,\"mean\":%.1f},", name,
           AT(0.5), AT(0.9), AT(0.99), us[len - 1], sum / (double)len);
}

static void print_result(void) {
    double elapsed = (double)(now_ns() - start_ns) / 1e9;
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    for (long i = 0; i < opt.connections; i++)
        if (conns[i].phase > IDLE) seen.unfinished++;
    printf("{\"sent\":%lu,\"good\":%lu,\"events\":%lu,\"bytes\":%lu,\"reads\":%lu,\"connects\":%lu,\"elapsed_s\":%.3f,",
           seen.sent, seen.good, seen.events, seen.bytes, seen.reads, seen.connects, elapsed);
    print_times("latency_us", latency.us, latency.len);
    print_times("ttfb_us", ttfb.us, ttfb.len);
    printf("\"errors\":{\"connect\":%lu,\"status\":%lu,\"cut\":%lu,\"protocol\":%lu,\"timeout\":%lu},",
           seen.connect, seen.status, seen.cut, seen.protocol, seen.timeout);
    printf("\"unfinished\":%lu,\"behind\":%lu,\"first_error\":\"%s\",\"user_us\":%ld,\"system_us\":%ld}\n",
           seen.unfinished, seen.behind, first_error,
           u.ru_utime.tv_sec * 1000000 + u.ru_utime.tv_usec,
           u.ru_stime.tv_sec * 1000000 + u.ru_stime.tv_usec);
}

static void read_options(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        const char *name = argv[i];
        if (strcmp(name, "--stream") == 0) { opt.stream = true; continue; }
        if (strcmp(name, "--include-usage") == 0) { opt.include_usage = true; continue; }
        if (strcmp(name, "--any-end") == 0) { opt.any_end = true; continue; }
        if (strcmp(name, "--say-pace") == 0) { opt.say_pace = true; continue; }
        const char *value = i + 1 < argc ? argv[++i] : "";
        if (strcmp(name, "--host") == 0) opt.host = value;
        else if (strcmp(name, "--port") == 0) opt.port = atoi(value);
        else if (strcmp(name, "--path") == 0) opt.path = value;
        else if (strcmp(name, "--model") == 0) opt.model = value;
        else if (strcmp(name, "--connections") == 0) opt.connections = atol(value);
        else if (strcmp(name, "--count") == 0) { opt.count = atol(value); }
        else if (strcmp(name, "--duration") == 0) opt.duration_s = atof(value);
        else if (strcmp(name, "--rate") == 0) opt.rate = atof(value);
        else if (strcmp(name, "--ramp") == 0) opt.ramp_s = atof(value);
        else if (strcmp(name, "--timeout") == 0) opt.timeout_s = atof(value);
        else if (strcmp(name, "--body-bytes") == 0) opt.body_bytes = (size_t)atol(value);
        else if (strcmp(name, "--max-tokens") == 0) opt.max_tokens = atol(value);
        else if (strcmp(name, "--pace") == 0) opt.pace = atol(value);
        else if (strcmp(name, "--header") == 0) {
            if (strlen(opt.headers) + strlen(value) + 3 > sizeof opt.headers) exit(2);
            strcat(strcat(opt.headers, value), "\r\n");
        } else { fprintf(stderr, "load: unknown option %s\n", name); exit(2); }
    }
    if (!opt.port || opt.connections < 1) { fprintf(stderr, "load: --port and --connections are needed\n"); exit(2); }
}

int main(int argc, char **argv) {
    read_options(argc, argv);
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    prctl(PR_SET_TIMERSLACK, 1000);  /* the default of 50 µs would show in the latencies */
    prepare_request();
    ep = epoll_create1(EPOLL_CLOEXEC);
    conns = calloc((size_t)opt.connections, sizeof *conns);
    idle = calloc((size_t)opt.connections, sizeof *idle);
    if (!conns || !idle) abort();
    start_ns = now_ns();
    for (long i = 0; i < opt.connections; i++) {
        conns[i].fd = -1;
        conns[i].retry_ns = start_ns + (uint64_t)(opt.ramp_s * 1e9 * (double)i / (double)opt.connections);
    }
    if (opt.rate > 0) { connect_first(); start_ns = now_ns(); }
    drive();
    print_result();
    return 0;
}
