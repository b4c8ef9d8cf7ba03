/* SPDX-License-Identifier: BSD-3-Clause */
/* Runs a fuzz target over files, each also cut short and with bytes changed, without libFuzzer:
 *
 *     PROGRAM FILE... */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

static size_t read_file(uint8_t *data, size_t room, const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return room + 1;
    size_t bytes = fread(data, 1, room, file);
    fclose(file);
    return bytes;
}

int main(int argc, char **argv)
{
    static uint8_t data[1 << 16];
    for (int i = 1; i < argc; i++) {
        size_t bytes = read_file(data, sizeof data, argv[i]);
        if (bytes > sizeof data) {
            fprintf(stderr, "%s cannot be read\n", argv[i]);
            return 1;
        }
        for (size_t length = 0; length <= bytes; length++) {
            uint8_t *copy = malloc(length + 1); /* of exact length, for sanitizers */
            if (copy == NULL)
                return 1;
            memcpy(copy, data, length);
            LLVMFuzzerTestOneInput(copy, length);
            if (length == bytes && length > 0) {
                for (size_t at = 0; at < length; at++) {
                    copy[at] ^= (uint8_t)(1 << at % 8);
                    LLVMFuzzerTestOneInput(copy, length);
                    copy[at] ^= (uint8_t)(1 << at % 8);
                }
            }
            free(copy);
        }
    }
    printf("%d files\n", argc - 1);
    return argc > 1 ? 0 : 1;
}
