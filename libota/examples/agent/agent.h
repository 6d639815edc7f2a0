/* What an application does to keep itself up to date: it asks, fetches, verifies, installs and
 * reports (docs/spec/device-protocol.md section 3). All decisions are libota's; this is the order of
 * the calls, the same for every transport and every flash. */
#ifndef AGENT_H
#define AGENT_H

#include "keyring.h"
#include "ota/device.h"
#include "ota/update.h"
#include "transport.h"

/* Seconds before it asks again after a failure; doubled each time, up to an hour. */
#ifndef AGENT_BACKOFF
#define AGENT_BACKOFF 30u
#endif

/* How often an image on trial may fail to reach the server before it is given up: a day. */
#ifndef AGENT_TRIAL_FAILURES
#define AGENT_TRIAL_FAILURES 30
#endif

struct agent_config {
    const struct ota_update_config *update;
    const struct transport *transport;
    const struct ota_identity *identity;
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
    uint32_t wait;     /* seconds before the next question */
    uint32_t backoff;  /* of the last failure; 0: there was none */
    uint32_t walked;   /* keyset version that was tried last, on the way to the newest */
    uint8_t running;   /* release that runs */
    uint8_t returned;  /* 1: a release was given up before this start, which is still to be told */
    uint8_t begun;     /* 1: the server knows of this start and has answered, so that no trial is open */
    uint8_t failures;  /* to reach the server, on trial */
    uint8_t keys_left; /* that this check may store */
};

/* Begins. running is what the boot stage started. */
OTA_MUST_USE int agent_open(struct agent *a, const struct agent_config *config, unsigned running);

/* Tells the server what this start is, asks, and takes what is offered. Call it when the application's own
 * tests have passed, for it ends a trial: the image is confirmed when the server has answered it, which
 * is the proof that it can be replaced again, or given up when that fails for too long.
 *
 * *restart becomes 1 if the boot stage has something to do: reset. What was refused or failed was reported; it
 * is the result, too. Wait a->wait seconds before the next call. It lasts as long as the transport does. */
int agent_check(struct agent *a, int *restart);

#endif
