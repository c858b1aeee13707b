/* Writes N numbered lines of 100 bytes to stdout: `writer N bulk` in writes of 64 KiB, `writer N line` with one write a line. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINE 100
#define LINES 655

static void count_up(char *digits) {
    int i = 11;
    while (i >= 0 && ++digits[i] > '9') digits[i--] = '0';
}

static int write_all(const char *data, long size) {
    while (size) {
        ssize_t n = write(1, data, size);
        if (n < 0) return -1;
        data += n;
        size -= n;
    }
    return 0;
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    long lines = atol(argv[1]);
    int many = strcmp(argv[2], "line") ? LINES : 1;
    static char block[LINE * LINES], number[12];
    memset(block, 'x', sizeof block);
    memset(number, '0', sizeof number);
    for (int i = 0; i < LINES; i++) {
        block[i * LINE + 12] = ' ';
        block[i * LINE + LINE - 1] = '\n';
    }
    while (lines > 0) {
        int n = lines < many ? lines : many;
        for (int i = 0; i < n; i++) {
            memcpy(block + i * LINE, number, sizeof number);
            count_up(number);
        }
        if (write_all(block, (long)n * LINE)) return 1;
        lines -= n;
    }
    return 0;
}
