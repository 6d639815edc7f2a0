/* The boot stage: it lies in ROM, checks what it starts, and starts the watchdog first. */
#include "ota/boot.h"

#include "board.h"
#include "places.h"
#include "qemu_mps2_flash.h"

#define TRIES 3 /* starts that an image gets to confirm itself */

static const struct ota_boot_config config = {&place_slots, TRIES, OTA_CHECK_ALWAYS, 0, NULL, NULL};

/* How far an update is; OTA_IDLE if there is none, or if that cannot be read. */
static uint8_t phase(void)
{
    struct ota_journal journal;
    struct ota_state state;

    if (ota_journal_open(&journal, place_slots.journal) != OTA_OK || ota_journal_state(&journal, &state) != OTA_OK)
        return OTA_IDLE;
    return state.phase;
}

int main(void)
{
    uint8_t by_watchdog = board_handover.magic == BOARD_STARTED;
    uint8_t before = phase();
    struct ota_start start;
    int err;

    board_start_watchdog(); /* before the jump, or a program that hangs uses up no try */
    board_print(by_watchdog ? "boot: the program did not come back\n" : "boot: start\n");
    if (before == OTA_INSTALL || before == OTA_COPY)
        board_print("boot: installs the new image\n");
    err = ota_boot(&config, by_watchdog, &start);
    if (start.image == NULL) {
        board_print("boot: nothing to start, reason ");
        board_print_number((uint32_t)-err);
        board_print("\n");
        board_sleep(10000); /* what is here for a service port; then perhaps the flash answers again */
        board_reset();
    }
    if (start.trial)
        board_print("boot: starts the new image on trial\n");
    else if (before == OTA_TRIAL || before == OTA_REVERT)
        board_print("boot: the new image failed, starts the one before\n");
    else
        board_print("boot: starts the image\n");
    board_handover.magic = BOARD_STARTED;
    board_handover.release = start.release;
    board_handover.trial = start.trial;
    board_jump(QEMU_MPS2_FLASH_BASE + start.image->at);
    return 0;
}
