/* What a test expects; a failure is printed and counted. */
#ifndef EXPECT_H
#define EXPECT_H

#include <stdio.h>

extern int failures;

#define EXPECT(what)                                                     \
    do {                                                                 \
        if (!(what)) {                                                   \
            if (failures < 20)                                           \
                printf("FAIL %s:%d: %s\n", __FILE__, __LINE__, #what);   \
            failures++;                                                  \
        }                                                                \
    } while (0)

#endif
