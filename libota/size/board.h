#ifndef BOARD_H
#define BOARD_H

/* Ends the emulation with that exit code. */
void board_exit(int code);

int main(void);

#endif
