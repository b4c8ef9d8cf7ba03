/* SPDX-License-Identifier: BSD-3-Clause */
#include "finetune_data.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command_line.h"

static int read_file(token_list *list, FILE *file, const char *path, int64_t id_bytes,
                     int32_t vocab_size)
{
    unsigned char id[4] = {0};
    long bytes = fseek(file, 0, SEEK_END) ? -1 : ftell(file);
    if (bytes < 0 || fseek(file, 0, SEEK_SET))
        return complain(EXIT_FAILED, "%s: %s", path, strerror(errno));
    if (bytes % id_bytes)
        return complain(EXIT_FAILED, "%s: %ld bytes are no ids of %d bytes each", path, bytes,
                        (int)id_bytes);
    list->tokens = malloc((size_t)bytes / (size_t)id_bytes * sizeof *list->tokens + 1);
    if (!list->tokens)
        return complain(EXIT_FAILED, "%s: out of memory", path);
    while (list->count < bytes / id_bytes && fread(id, (size_t)id_bytes, 1, file) == 1) {
        uint32_t token = id[0] | (uint32_t)id[1] << 8 | (uint32_t)id[2] << 16 |
                         (uint32_t)id[3] << 24;
        if (token >= (uint32_t)vocab_size)
            return complain(EXIT_FAILED, "%s: id %lld is %lu, the vocabulary has %d (see "
                            "--id-bytes)", path, (long long)list->count, (unsigned long)token,
                            (int)vocab_size);
        list->tokens[list->count++] = (int32_t)token;
    }
    return ferror(file) ? complain(EXIT_FAILED, "%s: %s", path, strerror(errno)) : EXIT_DONE;
}

int tokens_read(token_list *list, const char *path, int64_t id_bytes, int32_t vocab_size)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        return complain(EXIT_FAILED, "%s: %s", path, strerror(errno));
    if (id_bytes == 0)
        id_bytes = vocab_size > 65536 ? 4 : 2;
    int status = read_file(list, file, path, id_bytes, vocab_size);
    fclose(file);
    return status;
}

void windows_fill(int32_t *inputs, int32_t *targets, const token_list *list, int64_t first,
                  int64_t stride, int64_t batch, int64_t seq)
{
    for (int64_t i = 0; i < batch; i++) {
        const int32_t *window = list->tokens + (first + i * stride) % (list->count - seq);
        memcpy(inputs + i * seq, window, (size_t)seq * sizeof *window);
        memcpy(targets + i * seq, window + 1, (size_t)seq * sizeof *window);
    }
}
