#include <stdio.h>

#include "peer.h"

int main(void)
{
    size_t heap;

    if (!peer(&heap))
        return 1;
    printf("%zu\n", heap);
    return 0;
}
