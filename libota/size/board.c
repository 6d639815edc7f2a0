#include "board.h"

void board_write_number(unsigned n)
{
    char text[12], *at = text + sizeof text - 1;

    *at = '\0';
    *--at = ' ';
    do { /* without a division */
        unsigned tenth = 0;

        for (; n >= 10; n -= 10)
            tenth++;
        *--at = (char)('0' + n);
        n = tenth;
    } while (n > 0);
    board_write(at);
}
