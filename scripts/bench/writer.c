/* Writes N numbered lines of 100 bytes to stdout: `writer N bulk` in writes of 64 KiB, `writer N line` with one write a line.
   Each line is formatted when it is due, as an application does it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#define LINE 100
#define LINES 655

static int write_all(const char *data, long size) {
    while (size > 0) {
        ssize_t n = write(1, data, size);
        if (n < 0) return -1;
        data += n;
        size -= n;
    }
    return 0;
}

static void format(char *line, long number) {
    memset(line, 'x', LINE - 1);
    snprintf(line, 20, "%012ld", number);
    line[12] = ' ';
    line[LINE - 1] = '\n';
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    long many = atol(argv[1]), each = strcmp(argv[2], "bulk") ? 1 : LINES;
    static char block[LINE * LINES + 32];
    for (long first = 0; first < many; first += each) {
        long count = many - first < each ? many - first : each;
        for (long i = 0; i < count; i++) format(block + i * LINE, first + i);
        if (write_all(block, count * LINE)) return 1;
    }
    return 0;
}
