#ifndef BOARD_H
#define BOARD_H

/* Ends the emulation with that exit code. */
void board_exit(int code);

/* Writes a text where the emulator's user sees it. */
void board_write(const char *text);

/* The same with a number, and a space. */
void board_write_number(unsigned n);

int main(void);

#endif
