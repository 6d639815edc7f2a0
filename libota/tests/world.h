/* The world that a vector describes: keys at hand, keyset held, state of the device; and
 * the library's judgement of an object in it. */
#ifndef WORLD_H
#define WORLD_H

#include "key.h"
#include "ota/ota.h"
#include "vectors.h"

extern const struct ota_keyring ring; /* of the vector whose keys were loaded last */
extern int asked_unusable;            /* set when a key was asked for that the port cannot use */
extern unsigned feeds;                /* of the watchdog */

void load_keys(const struct vector *v);

/* The first key of the vector, or NULL if the port cannot use it. */
const struct key *first_key(void);

/* Loads the keys and the keyset or anchor that is held. */
int load_held(const struct vector *v);

void load_device(const struct vector *v);

extern struct ota_keyset held;
extern struct ota_history history;

/* Judges an object. What it said is in keyset, manifest or response. */
typedef int judge(const struct vector *v, const struct ota_source *object, ota_verdict *verdict);
judge judge_keyset, judge_manifest, judge_response;

extern struct ota_keyset keyset;
extern struct ota_manifest manifest;
extern struct ota_check_response response;

#endif
