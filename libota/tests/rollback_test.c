/* What a device remembers about versions: when the floor rises, and what is forgotten. */
#include <string.h>

#include "expect.h"
#include "ota/rollback.h"

int failures;
static struct ota_history h;

static struct ota_release release(uint32_t epoch, uint32_t number, uint32_t counter)
{
    struct ota_release r = {0};

    r.sequence = (uint64_t)epoch << 32 | number;
    r.security_counter = counter;
    r.image_digest[0] = (uint8_t)number;
    r.image_digest[31] = 1;
    return r;
}

static void confirm(uint32_t epoch, uint32_t number, uint32_t counter)
{
    struct ota_release r = release(epoch, number, counter);

    ota_rollback_confirmed(&h, &r);
    EXPECT(h.installed.sequence == r.sequence);
    EXPECT(h.installed.confirmed == 1);
}

static void floor_rises_when_confirmed_and_never_falls_within_an_epoch(void)
{
    struct ota_release back = release(1, 1, 1);

    memset(&h, 0, sizeof h);
    confirm(1, 1, 3);
    EXPECT(h.floor_epoch == 1 && h.floor_counter == 3);
    confirm(1, 2, 2); /* a keyset of a lower floor let it in */
    EXPECT(h.floor_epoch == 1 && h.floor_counter == 3);
    ota_rollback_returned(&h, &back);
    EXPECT(h.installed.sequence == back.sequence);
    EXPECT(h.floor_epoch == 1 && h.floor_counter == 3);
    confirm(2, 1, 1); /* a new epoch starts again: a stolen key's counter is gone */
    EXPECT(h.floor_epoch == 2 && h.floor_counter == 1);
    confirm(1, 9, 9); /* an old epoch moves nothing */
    EXPECT(h.floor_epoch == 2 && h.floor_counter == 1);
}

static int remembers(uint8_t number)
{
    struct ota_release r = release(1, number, 0);

    for (unsigned i = 0; i < OTA_MAX_REJECTED; i++)
        if (memcmp(h.rejected[i], r.image_digest, OTA_REJECTED_BYTES) == 0)
            return (int)i;
    return -1;
}

static void reject(uint8_t number)
{
    struct ota_release r = release(1, number, 0);

    ota_rollback_rejected(&h, r.image_digest);
    EXPECT(remembers(number) == 0);
}

static void rejected_images_are_remembered_newest_first(void)
{
    memset(&h, 0, sizeof h);
    for (uint8_t i = 1; i <= OTA_MAX_REJECTED; i++)
        reject(i);
    EXPECT(remembers(1) == OTA_MAX_REJECTED - 1);
    reject(1); /* again: it moves to the front, and nothing is lost */
    for (uint8_t i = 1; i <= OTA_MAX_REJECTED; i++)
        EXPECT(remembers(i) >= 0);
    reject(OTA_MAX_REJECTED + 1); /* one more: the oldest goes */
    EXPECT(remembers(2) < 0);
    EXPECT(remembers(3) == OTA_MAX_REJECTED - 1);
    confirm(1, 3, 0); /* what is confirmed after all is not rejected */
    EXPECT(remembers(3) < 0);
    EXPECT(remembers(1) >= 0);
}

int main(void)
{
    floor_rises_when_confirmed_and_never_falls_within_an_epoch();
    rejected_images_are_remembered_newest_first();
    return failures != 0;
}
