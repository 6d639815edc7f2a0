#include "identity.h"

#include "bytes.h"
#include "plain_map.h"
#include "row.h"

#define MOST 352 /* bytes of an identity: four names of 64 bytes, two keys of 32 */

/* Copies a name and terminates it. */
static int copy_name(char to[OTA_MAX_NAME + 1], const struct plain_pair *p)
{
    if (p->type != PLAIN_TEXT || p->value > OTA_MAX_NAME)
        return 0;
    ota_copy(to, p->bytes, p->value);
    to[p->value] = '\0';
    return 1;
}

static int copy_key(uint8_t to[OTA_KEY_SIZE], const struct plain_pair *p)
{
    if (p->type != PLAIN_BYTES || p->value != OTA_KEY_SIZE)
        return 0;
    ota_copy(to, p->bytes, OTA_KEY_SIZE);
    return 1;
}

/* Takes a field. 0 if it is none. */
static int take(struct identity *i, const struct plain_pair *p)
{
    switch (p->key) {
    case 0:
        return p->value == 1; /* format */
    case 1: /* vendor */
    case 4: /* generation */
        return 1; /* the keyset and the journal have them */
    case 2:
        return copy_name(i->device_type, p);
    case 3:
        return copy_name(i->device, p);
    case 5:
        return copy_key(i->keys.up, p);
    case 6:
        return copy_key(i->keys.down, p);
    case 7:
        return copy_name(i->hardware, p);
    default:
        return 0;
    }
}

int identity_read(struct identity *i, const struct ota_area *area)
{
    uint8_t bytes[MOST];
    struct plain_map m;
    struct plain_pair p;
    struct row r;
    int right = 1;

    ota_fill(i, 0, sizeof *i);
    if (!row_first(&r, area) || r.kind != ROW_IDENTITY || r.object.size > sizeof bytes ||
        ota_source_read(&r.object, 0, bytes, r.object.size) != OTA_OK)
        return OTA_ERR_NO_DEVICE_KEY;
    plain_open(&m, bytes, r.object.size);
    while (right && plain_next(&m, &p))
        right = take(i, &p);
    return right && plain_closed(&m) && i->device[0] != '\0' ? OTA_OK : OTA_ERR_NO_DEVICE_KEY;
}
