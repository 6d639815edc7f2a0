/* The firmware: it says which version it is, and keeps itself up to date. */
#include "agent.h"
#include "board.h"
#include "places.h"
#include "serial_link.h"

#ifndef VERSION
#error compile with -DVERSION='"1.0.0"'
#endif

/* ---- the line: serial_link as a transport ------------------------------------------ */

/* 512 bytes of an image at a time. */
static uint8_t line_buffer[512 + SERIAL_OVERHEAD];
static struct serial_link line = {board_send, board_receive, NULL, line_buffer, sizeof line_buffer, 0, 0, 0, 0, 0};

static int line_ask(struct serial_question *q, struct transport_piece *piece)
{
    struct serial_answer a;
    int err = serial_ask(&line, q, &a);

    if (err == OTA_OK && piece != NULL) {
        piece->bytes = a.data;
        piece->size = a.size;
        piece->total = a.total;
    }
    return err;
}

static int line_check(void *ctx, const uint8_t *message, size_t size, struct transport_piece *answer)
{
    struct serial_question q = {SERIAL_CHECK, NULL, NULL, 0, 0, message, size};

    (void)ctx;
    return line_ask(&q, answer);
}

static int line_report(void *ctx, const uint8_t *message, size_t size)
{
    struct serial_question q = {SERIAL_REPORT, NULL, NULL, 0, 0, message, size};

    (void)ctx;
    return line_ask(&q, NULL);
}

static int line_get(void *ctx, const struct transport_object *o, uint32_t offset, struct transport_piece *piece)
{
    static const enum serial_kind kinds[] = {SERIAL_MANIFEST, SERIAL_KEYSET, SERIAL_KEY, SERIAL_IMAGE};
    struct serial_question q = {kinds[o->kind], o->kind == TRANSPORT_KEYSET ? NULL : o->hash, o->type, o->version, offset, NULL, 0};

    (void)ctx;
    return line_ask(&q, piece);
}

static const struct transport transport = {line_check, line_report, line_get, NULL};

/* ---- what happens, on the console ---------------------------------------------------- */

static void tell(enum ota_event event, int reason)
{
    static const char *const words[] = {
        "", "downloading", "installed, restarting", "on trial", "confirmed", "went back", "refused", "failed", "new keyset"};

    board_print("app " VERSION ": ");
    board_print(words[event]);
    if (reason != OTA_OK) {
        board_print(", reason ");
        board_print_number((uint32_t)-reason);
    }
    board_print("\n");
}

static void tell_cost(void)
{
    board_print("app " VERSION ": RAM for all this: ");
    board_print_number(board_static_ram());
    board_print(" bytes static, ");
    board_print_number(board_stack_used());
    board_print(" of stack\n");
}

/* ---- the firmware ---------------------------------------------------------------------- */

/* What this firmware must be able to do, or it goes back to the one before. */
static int works(void)
{
#if defined(CRASHES)
    __asm__ volatile("udf #0");
#elif defined(HANGS)
    for (;;)
        ;
#elif defined(OVERFLOWS)
    volatile uint8_t all_of_it[4096];

    for (size_t i = sizeof all_of_it; i-- > 0;)
        all_of_it[i] = 0xff;
#elif defined(BROKEN)
    return 0;
#endif
    return 1;
}

int main(void)
{
    static struct ota_identity identity;
    static struct keyring keys;
    static const struct ota_keyring ring = {keyring_find, board_feed, &keys};
    static const struct ota_update_config update = {&place_slots, &ring, NULL, NULL, 1};
    static const struct agent_config config = {&update, &transport, &identity, &keys, &place_staging, tell};
    static struct agent agent;
    int err, restart = 0;

    keys.device = &place_device;
    keys.pages = place_keys;
    keys.count = PLACE_KEYS;
    board_print("app " VERSION ": running\n");
    err = ota_identity_read(&identity, &place_device);
    if (err == OTA_OK)
        err = agent_open(&agent, &config, board_handover.release);
    if (err != OTA_OK) {
        tell(OTA_EVENT_FAILED, err);
        if (board_handover.trial)
            board_reset(); /* uses up its tries, and then the one before runs */
        for (;;) /* no device: it runs, but is not updated */
            board_sleep(1000);
    }
    /* Only on trial is there something to go back to. */
    if (!works() && ota_update_reject(&agent.update, OTA_ERR_HEALTH_CHECK) == OTA_OK)
        board_reset();
    while (!restart) {
        agent_check(&agent, &restart);
        if (!restart)
            board_sleep(agent.wait * 1000);
    }
    tell_cost();
    board_reset();
    return 0;
}
