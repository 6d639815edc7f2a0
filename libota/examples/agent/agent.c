#include "agent.h"

#include "bytes.h"

/* The largest message: three names of 64 bytes and what is about them. */
#define MESSAGE 352
#define LONGEST_WAIT 3600u    /* seconds, after failures */
#define LONGEST_RETRY 604800u /* that the server may ask for */

/* How many keysets one check tries on the way to the newest. Each is written to flash to be verified, so
 * that a line that changes them would wear it out. */
#define MOST_STEPS 4

static const uint8_t nothing[OTA_SHA256_SIZE] = {0};

/* Says whether this is the first start after a release was given up: ota_update_open notes that. */
static OTA_NOINLINE uint8_t has_returned(const struct agent_config *config)
{
    struct ota_journal journal;
    struct ota_state state;

    return ota_journal_open(&journal, config->update->slots->journal) == OTA_OK &&
           ota_journal_state(&journal, &state) == OTA_OK && state.phase == OTA_REVERTED;
}

int agent_open(struct agent *a, const struct agent_config *config, unsigned running)
{
    ota_fill(a, 0, sizeof *a);
    a->returned = has_returned(config);
    a->config = config;
    a->running = (uint8_t)running;
    a->wait = AGENT_BACKOFF;
    return ota_update_open(&a->update, config->update, running);
}

/* ---- messages ------------------------------------------------------------------ */

static OTA_NOINLINE int report(struct agent *a, enum ota_event event, int reason, const uint8_t target[OTA_SHA256_SIZE])
{
    const struct ota_identity *me = a->config->identity;
    const struct transport *t = a->config->transport;
    struct ota_device_info info;
    struct ota_report r;
    uint8_t message[MESSAGE];
    size_t size = 0;
    int err = ota_device_info(&a->update, &info);

    a->config->tell(event, reason);
    ota_fill(&r, 0, sizeof r);
    r.device = me->device;
    r.device_type = me->device_type;
    r.event = (uint32_t)event;
    r.reason = (uint32_t)-reason;
    r.sequence = info.running.release.sequence;
    ota_copy(r.image_digest, info.running.release.image_digest, sizeof r.image_digest);
    ota_copy(r.target, target, sizeof r.target);
    if (err == OTA_OK)
        err = ota_journal_nonce(&a->update.journal, &a->nonces, &r.nonce);
    if (err == OTA_OK)
        err = ota_report_encode(&r, me->keys.up, message, sizeof message, &size);
    return err != OTA_OK ? err : t->report(t->ctx, message, size);
}

/* Says whether an error is a verdict, which stays the same when it is tried again. */
static int is_refusal(int err)
{
    return err != OTA_OK && err != OTA_ERR_TRANSPORT && err != OTA_ERR_STORAGE && err != OTA_ERR_INTERNAL;
}

/* Reports what did not go well. */
static void complain(struct agent *a, int err, const uint8_t target[OTA_SHA256_SIZE])
{
    (void)report(a, is_refusal(err) ? OTA_EVENT_REFUSED : OTA_EVENT_FAILED, err, target);
}

/* Asks the server. *answer is good only if the result is OTA_OK. */
static OTA_NOINLINE int ask(struct agent *a, struct ota_check_response *answer)
{
    const struct ota_identity *me = a->config->identity;
    const struct transport *t = a->config->transport;
    struct transport_piece got;
    struct ota_device_info info;
    struct ota_check_request r;
    uint8_t message[MESSAGE];
    ota_verdict verdict = OTA_FAIL;
    size_t size = 0;
    int err = ota_device_info(&a->update, &info);

    ota_fill(&r, 0, sizeof r);
    r.device = me->device;
    r.device_type = me->device_type;
    r.hardware = me->hardware;
    r.sequence = info.running.release.sequence;
    ota_copy(r.image_digest, info.running.release.image_digest, sizeof r.image_digest);
    r.keyset_version = info.keyset_version;
    r.boot = info.boot;
    r.last_error = info.last_error;
    r.capabilities = info.capabilities;
    if (err == OTA_OK)
        err = ota_journal_nonce(&a->update.journal, &a->nonces, &r.nonce);
    if (err == OTA_OK)
        err = ota_check_request_encode(&r, me->keys.up, message, sizeof message, &size);
    if (err == OTA_OK)
        err = t->check(t->ctx, message, size, &got);
    if (err == OTA_OK)
        err = ota_check_response_open(answer, got.bytes, got.size, me->keys.down, me->device, r.nonce, &verdict);
    return err == OTA_OK && verdict != OTA_PASS ? OTA_ERR_INTERNAL : err;
}

/* ---- objects -------------------------------------------------------------------- */

static int read_staged(void *ctx, uint32_t offset, void *to, size_t size)
{
    return ota_area_read(ctx, offset, to, size);
}

/* Writes a piece of an object, the last one filled up to whole units. */
static int stage_piece(const struct ota_area *staging, uint32_t at, const struct transport_piece *p)
{
    size_t over = p->size & (staging->flash->unit - 1u), whole = p->size - over;
    uint8_t last[OTA_MAX_UNIT];
    int err;

    if (over != 0 && at + p->size != p->total)
        return OTA_ERR_TRANSPORT; /* what follows would begin within a unit */
    err = ota_area_write(staging, at, p->bytes, whole);
    if (err != OTA_OK || over == 0)
        return err;
    ota_copy(last, p->bytes + whole, over);
    return ota_area_put(staging, at + (uint32_t)whole, last, over);
}

/* Fetches a keyset or a manifest. The source that is opened reads from the staging area, whose pages are
 * erased only when something comes that goes there. */
static OTA_NOINLINE int stage(struct agent *a, const struct transport_object *o, struct ota_source *object)
{
    const struct ota_area *staging = a->config->staging;
    const struct transport *t = a->config->transport;
    struct transport_piece p;
    uint32_t erased = 0;
    int err;

    a->config->keys->is_missing = 0;
    object->read = read_staged;
    object->ctx = (void *)(uintptr_t)staging; /* it only reads */
    object->size = 0;
    do {
        err = t->get(t->ctx, o, object->size, &p);
        if (err != OTA_OK || p.size == 0)
            return err;
        if (p.size > staging->size - object->size)
            return OTA_ERR_TOO_LARGE;
        for (; err == OTA_OK && erased < object->size + p.size; erased += ota_area_page(staging, erased))
            err = ota_area_erase(staging, erased);
        if (err == OTA_OK)
            err = stage_piece(staging, object->size, &p);
        object->size += (uint32_t)p.size;
    } while (err == OTA_OK && object->size != p.total);
    return err;
}

/* Fetches the key that is missing. */
static OTA_NOINLINE int get_key(struct agent *a)
{
    const struct transport *t = a->config->transport;
    struct keyring *keys = a->config->keys;
    struct transport_object o = {TRANSPORT_KEY, {0}, NULL, 0};
    uint8_t key[OTA_RSA_COSE_SIZE];
    struct transport_piece p;
    size_t size = 0;
    int err;

    ota_copy(o.hash, keys->missing, sizeof o.hash);
    do {
        if (t->get(t->ctx, &o, (uint32_t)size, &p) != OTA_OK || p.size == 0 || p.size > sizeof key - size)
            return OTA_ERR_TRANSPORT;
        ota_copy(key + size, p.bytes, p.size);
        size += p.size;
    } while (size < p.total);
    err = keyring_add(keys, a->config->update->ring, key, size);
    return err == OTA_ERR_UNSUPPORTED ? OTA_ERR_TRANSPORT : err; /* it is not the one with that id */
}

/* Says whether a verification that ended with *err lacked a key that is there now: verify again. If the key
 * did not come, that is the error: nothing was found wrong with the object. */
static int found_key(struct agent *a, int *err)
{
    if (*err != OTA_ERR_NOT_ENOUGH_SIGNERS || !a->config->keys->is_missing || a->keys_left == 0)
        return 0;
    a->keys_left--;
    *err = get_key(a);
    return *err == OTA_OK;
}

/* ---- the work --------------------------------------------------------------------- */

static int held_keyset(const struct agent *a, struct ota_source *object, struct ota_keyset *held)
{
    int err = ota_update_held(&a->update, object, held);

    return err == OTA_ERR_KEYSET_TOO_OLD ? OTA_OK : err; /* good enough to accept the newer one again */
}

static int take_keyset(struct agent *a, uint32_t version)
{
    struct transport_object o = {TRANSPORT_KEYSET, {0}, a->config->identity->device_type, version};
    struct ota_source object, held_object;
    struct ota_keyset held;
    int err = held_keyset(a, &held_object, &held);

    if (err == OTA_OK)
        err = stage(a, &o, &object);
    if (err != OTA_OK)
        return err;
    do {
        err = ota_update_keyset(&a->update, &object, &held);
    } while (found_key(a, &err));
    return err;
}

/* Takes keysets between the one held and the newest, and then that one. Some of them each time: the next
 * check goes on where this one ends. */
static int walk(struct agent *a, uint32_t held, uint32_t newest)
{
    int stepped = 0;

    if (a->walked < held || a->walked >= newest - 1)
        a->walked = held;
    for (int i = 0; i < MOST_STEPS && a->walked < newest - 1; i++)
        stepped |= take_keyset(a, ++a->walked) == OTA_OK;
    return stepped ? take_keyset(a, newest) : OTA_ERR_NOT_ENOUGH_SIGNERS;
}

/* Takes the newest keyset; if it is not signed for the one held, those on the way that are. */
static OTA_NOINLINE int take_keysets(struct agent *a, uint32_t newest)
{
    struct ota_source object;
    struct ota_keyset held;
    int err = held_keyset(a, &object, &held);

    if (err != OTA_OK || held.version >= newest)
        return err;
    err = take_keyset(a, newest);
    if (err == OTA_ERR_NOT_ENOUGH_SIGNERS)
        err = walk(a, held.version, newest);
    if (err == OTA_OK)
        (void)report(a, OTA_EVENT_KEYSET, OTA_OK, nothing);
    return err;
}

/* Verifies the manifest and has libota decide; *offset is where the image is to be fetched from. */
static OTA_NOINLINE int begin(struct agent *a, const struct ota_check_response *answer, uint32_t *offset)
{
    struct transport_object o = {TRANSPORT_MANIFEST, {0}, NULL, 0};
    struct ota_device device = {a->config->identity->hardware, NULL, 0, 0, 0, 0}; /* no clock */
    struct ota_source manifest, held_object;
    struct ota_keyset held;
    int err = held_keyset(a, &held_object, &held);

    ota_copy(o.hash, answer->manifest_hash, sizeof o.hash);
    if (err == OTA_OK)
        err = stage(a, &o, &manifest);
    if (err != OTA_OK)
        return err;
    do {
        err = ota_update_begin(&a->update, &manifest, &held, &device, answer, offset);
    } while (found_key(a, &err));
    return err;
}

/* Fetches the image. What is wrong with a piece is the line's fault, and no verdict on the release: the server
 * would not offer it again, and whoever is on the way could see to that. */
static OTA_NOINLINE int download(struct agent *a, uint32_t offset)
{
    const struct transport *t = a->config->transport;
    struct transport_object o = {TRANSPORT_IMAGE, {0}, NULL, 0};
    struct transport_piece p;
    struct ota_entry candidate;
    int err = ota_journal_entry(&a->update.journal, 1u - a->running, &candidate);

    ota_copy(o.hash, candidate.release.image_digest, sizeof o.hash);
    while (err == OTA_OK && offset < candidate.release.image_size) {
        uint32_t rest = candidate.release.image_size - offset;

        if (t->get(t->ctx, &o, offset, &p) != OTA_OK || p.size == 0 || p.size > rest)
            return OTA_ERR_TRANSPORT;
        if (p.size % 64 != 0 && p.size != rest)
            return OTA_ERR_TRANSPORT; /* byte by byte it would take days */
        err = ota_update_write(&a->update, offset, p.bytes, p.size);
        offset += (uint32_t)p.size;
    }
    return err;
}

static int take_release(struct agent *a, const struct ota_check_response *answer)
{
    uint32_t offset;
    int err = begin(a, answer, &offset);

    if (err != OTA_OK)
        return err;
    (void)report(a, OTA_EVENT_DOWNLOADING, OTA_OK, answer->manifest_hash);
    err = download(a, offset);
    if (err == OTA_OK)
        err = ota_update_finish(&a->update);
    if (err == OTA_OK)
        err = ota_update_install(&a->update);
    if (err == OTA_OK)
        (void)report(a, OTA_EVENT_INSTALLED, OTA_OK, answer->manifest_hash);
    return err;
}

/* ---- what the application calls ------------------------------------------------------ */

/* Tells the server what this start is. */
static OTA_NOINLINE int tell_start(struct agent *a)
{
    struct ota_device_info info;
    enum ota_event event = OTA_EVENT_CONFIRMED;
    int err = ota_device_info(&a->update, &info);

    if (err != OTA_OK)
        return err;
    if (info.boot == OTA_BOOT_TRIAL)
        event = OTA_EVENT_TRIAL;
    if (info.boot == OTA_BOOT_REVERTED)
        event = OTA_EVENT_REVERTED;
    if (event == OTA_EVENT_CONFIRMED && info.running.release.sequence == 0)
        return OTA_OK; /* what it was made with was never on trial */
    /* Once: the operator may have said in the meantime that it is to be tried again. If the power is cut
     * before it is sent, the next check tells as much. */
    if (event == OTA_EVENT_REVERTED && !a->returned)
        return OTA_OK;
    /* In each start, because the power may have been cut before the confirmation was sent. */
    err = report(a, event, -info.last_error, info.manifest_hash);
    if (err == OTA_OK)
        a->returned = 0;
    return err;
}

/* Confirms the image that the server has answered. Anyone on the way can say that a report came through; only
 * the server can answer a question. */
static OTA_NOINLINE int end_trial(struct agent *a)
{
    int err;

    if (a->update.state.phase != OTA_TRIAL)
        return OTA_OK;
    err = ota_update_confirm(&a->update);
    return err != OTA_OK ? err : report(a, OTA_EVENT_CONFIRMED, OTA_OK, nothing);
}

/* Says whether a trial has failed to reach the server for too long. An image that cannot could not be
 * replaced any more: the one before it can. */
static int gives_up(struct agent *a)
{
    if (a->update.state.phase != OTA_TRIAL || ++a->failures < AGENT_TRIAL_FAILURES)
        return 0;
    return ota_update_reject(&a->update, OTA_ERR_TRANSPORT) == OTA_OK;
}

/* A fleet must not come back at once: up to 6 % more, by the id. */
static uint32_t spread(const struct agent *a, uint32_t seconds)
{
    uint32_t sum = 0;

    for (const char *c = a->config->identity->device; *c != '\0'; c++)
        sum = sum * 31u + (uint8_t)*c;
    return seconds + (seconds * (sum & 63u) >> 10);
}

/* What the server wants the device to wait. */
static uint32_t retry(const struct ota_check_response *answer)
{
    if (answer->retry_seconds == 0)
        return AGENT_BACKOFF;
    return answer->retry_seconds < LONGEST_RETRY ? answer->retry_seconds : LONGEST_RETRY;
}

static int take_offer(struct agent *a, const struct ota_check_response *answer, int *restart)
{
    int err = take_keysets(a, answer->keyset_version);

    /* Not a refusal, which the server takes for one of the release: anyone on the way can bring another
     * keyset. */
    if (err != OTA_OK) {
        (void)report(a, OTA_EVENT_FAILED, err, nothing);
        return err;
    }
    if (answer->manifest_size == 0)
        return OTA_OK;
    err = take_release(a, answer);
    if (err != OTA_OK)
        complain(a, err, answer->manifest_hash);
    *restart = err == OTA_OK;
    return err;
}

int agent_check(struct agent *a, int *restart)
{
    struct ota_check_response answer;
    int err = OTA_OK;

    *restart = 0;
    a->keys_left = (uint8_t)a->config->keys->count;
    a->backoff = a->backoff == 0 ? AGENT_BACKOFF : a->backoff < LONGEST_WAIT / 2 ? 2 * a->backoff : LONGEST_WAIT;
    a->wait = spread(a, a->backoff);
    if (!a->begun)
        err = tell_start(a);
    if (err == OTA_OK)
        err = ask(a, &answer);
    if (err == OTA_OK && !a->begun)
        err = end_trial(a);
    if (err == OTA_OK)
        a->begun = 1;
    else if (!a->begun)
        *restart = gives_up(a);
    if (is_refusal(err))
        complain(a, err, nothing);
    if (err != OTA_OK)
        return err;

    err = take_offer(a, &answer, restart);
    if (err == OTA_OK)
        a->backoff = 0;
    /* A refusal waits for both: what is refused again and again wears the flash out again and again. */
    if (err == OTA_OK || (is_refusal(err) && a->backoff < retry(&answer)))
        a->wait = spread(a, retry(&answer));
    return err;
}
