/* What an update costs: compiled with size/measured.c and counted like it. Flash is RAM here,
 * without a cost of its own. */
#ifndef UPDATE_BENCH_H
#define UPDATE_BENCH_H

#include <stdint.h>

/* Makes a provisioned device with an installed image; 0 if that fails. */
int update_bench_prepare(void);

/* The steps of an update, each 1 if it did what it had to, in the order of UPDATE_MEASURED in
 * size/size.py. What a step needs, the one before left. */
extern int (*const update_bench_steps[])(void);
extern const unsigned update_bench_count;

/* Bytes of RAM that an application keeps from step to step: the session, the keyset held and
 * where both objects are read from; with a device key also the response. */
extern const unsigned update_bench_state, update_bench_keyed;

#endif
