/* What an application does to keep itself up to date: it asks, fetches, verifies, installs and
 * reports (docs/spec/device-protocol.md section 3). All decisions are libota's; this is the order of
 * the calls, the same for every transport and every flash. */
#ifndef AGENT_H
#define AGENT_H

#include "identity.h"
#include "keyring.h"
#include "ota/update.h"
#include "transport.h"

/* Seconds before it asks again after a failure; doubled each time, up to an hour. */
#ifndef AGENT_BACKOFF
#define AGENT_BACKOFF 30u
#endif

struct agent_config {
    const struct ota_update_config *update;
    const struct transport *transport;
    const struct identity *identity;
    struct keyring *keys;

    /* Where keysets and manifests are put to be verified: up to 8,192 bytes, in flash because
     * there is no RAM for them. */
    const struct ota_area *staging;

    /* Told what happened, for a console or a light. reason is an ota_err or OTA_OK. */
    void (*tell)(enum ota_event event, int reason);
};

/* A session with the server, for one start of the device; its fields are its own. */
struct agent {
    const struct agent_config *config;
    struct ota_update update;
    struct ota_nonces nonces;
    uint32_t wait;    /* seconds before the next question */
    uint32_t backoff; /* of the last failure; 0: there was none */
    uint8_t running;  /* release that runs */
    uint8_t returned; /* 1: this is the first start after a release was given up */
};

/* Begins. running is what the boot stage started. */
OTA_MUST_USE int agent_open(struct agent *a, const struct agent_config *config, unsigned running);

/* Tells the server what this start is, and ends a trial by confirming it: that the report came
 * through is the proof that this image can be replaced again. The application calls it when its own
 * tests have passed, and again until it returns OTA_OK. */
OTA_MUST_USE int agent_begin(struct agent *a);

/* Asks once, and takes what is offered. *restart becomes 1 if an image waits for the boot stage:
 * reset. What was refused or failed was reported; it is the result, too. Wait a->wait seconds before the
 * next call. */
int agent_check(struct agent *a, int *restart);

#endif
