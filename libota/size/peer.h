#ifndef PEER_H
#define PEER_H

#include <stddef.h>

/* Verifies between the marks that are counted. Returns 1 if all went well, and says how much
 * heap was in use at most. */
int peer(size_t *heap);

#endif
