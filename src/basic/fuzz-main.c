/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Runs a fuzzer's LLVMFuzzerTestOneInput() over the files of a directory, so that every corpus file is also a test.
 * A fuzzer without a corpus fails. */

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>

#include "basic/fd.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static DIR *closedir_wrapper(DIR *d) {
        if (d)
                closedir(d);
        return NULL;
}
DEFINE_TRIVIAL_CLEANUP_FUNC(DIR *, closedir_wrapper);

int main(int argc, char *argv[]) {
        size_t n = 0;

        if (argc != 2) {
                fprintf(stderr, "Usage: %s CORPUS-DIRECTORY\n", argv[0]);
                return EXIT_FAILURE;
        }
        _cleanup_(closedir_wrapperp) DIR *d = opendir(argv[1]);
        if (!d) {
                fprintf(stderr, "%s: %m\n", argv[1]);
                return EXIT_FAILURE;
        }
        for (struct dirent *de; (de = readdir(d));) {
                _cleanup_free_ char *data = NULL;
                size_t size;

                if (de->d_name[0] == '.')
                        continue;
                int r = read_file_at(dirfd(d), de->d_name, 16 * 1024 * 1024, &data, &size, NULL);
                if (r < 0) {
                        fprintf(stderr, "%s/%s: %s\n", argv[1], de->d_name, strerror(-r));
                        return EXIT_FAILURE;
                }
                /* An exact copy, so that reading past the end is seen by the sanitizer. */
                _cleanup_free_ uint8_t *exact = malloc(MAX(size, (size_t) 1));
                if (!exact)
                        return EXIT_FAILURE;
                memcpy(exact, data, size);
                LLVMFuzzerTestOneInput(exact, size);
                n++;
        }
        printf("%zu inputs\n", n);
        return n > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
