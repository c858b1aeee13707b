/* N followers of one stream: reads as fast as it can and counts lines.
   drain PORT N REQUEST-FILE END: sends the request on N connections, reads each until END has come, and prints
   bytes, then for each follower the lines it got: ends of line that are not the transfer's own, less words about state. */
#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#define KEEP 512
#define SIZE (1 << 18)
static const char STATE[] = "{\"state\": {";

static long times(const char *at, const char *end, const char *what) {
    long n = 0;
    size_t length = strlen(what);
    while ((at = memmem(at, end - at, what, length))) n++, at += length;
    return n;
}

static long lines(const char *at, const char *end) {
    long n = 0;
    for (const char *p = at; (p = memchr(p, '\n', end - p)); p++) n += !(p > at && p[-1] == '\r');
    return n - times(at, end, STATE);
}

int main(int argc, char **argv) {
    if (argc != 5) return 2;
    int count = atoi(argv[2]), left = count;
    char request[8192];
    FILE *file = fopen(argv[3], "r");
    size_t length = fread(request, 1, sizeof request, file);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1]))};
    inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
    struct pollfd *fds = calloc(count, sizeof *fds);
    char **buffers = calloc(count, sizeof *buffers);
    long *kept = calloc(count, sizeof *kept), *seen = calloc(count, sizeof *seen), total = 0;
    for (int i = 0; i < count; i++) {
        fds[i].fd = socket(AF_INET, SOCK_STREAM, 0);
        fds[i].events = POLLIN;
        if (connect(fds[i].fd, (struct sockaddr *)&to, sizeof to) || write(fds[i].fd, request, length) < 0) return 1;
        buffers[i] = malloc(KEEP + SIZE);
    }
    puts("ready"); fflush(stdout);
    while (left && poll(fds, count, 60000) > 0)
        for (int i = 0; i < count; i++) {
            if (!(fds[i].revents & (POLLIN | POLLHUP))) continue;
            char *data = buffers[i];
            ssize_t n = read(fds[i].fd, data + kept[i], SIZE);
            if (n <= 0) return 3;
            char *end = data + kept[i] + n;
            total += n;
            seen[i] += lines(data, end) - lines(data, data + kept[i]);
            if (memmem(data, end - data, argv[4], strlen(argv[4]))) fds[i].fd = -1 - fds[i].fd, left--;
            kept[i] = end - data < KEEP ? end - data : KEEP;
            memmove(data, end - kept[i], kept[i]);
        }
    printf("%ld", total);
    for (int i = 0; i < count; i++) printf(" %ld", seen[i]);
    puts("");
    return left ? 4 : 0;
}
