/* An image on its way: chunks of any size, marks, progress. */
#include "rig.h"

#include <string.h>

#include "bytes.h"
#include "crc32.h"

static void test_every_chunk_size(void)
{
    static struct geometry g;

    for (uint32_t chunk = 1; chunk < 1200; chunk += chunk < 40 ? 1 : 77)
        for (unsigned part = 0; part < 2; part++) {
            if (d.flash.bytes != NULL)
                device_free(&d);
            g = parts[part];
            g.chunk = chunk;
            device_init(&d, &g, OVERWRITE_BACKUP);
            d.target = 3;
            completes();
        }
}

/* Writes entries of the retained release until so many bytes are left in both halves of the journal: all of these,
 * and the last one, are of another format. */
static void fill_journal(uint32_t left)
{
    for (;;) {
        uint32_t end = u.journal.page[0].end, room = d.slots.journal[0].size - left - end;
        uint8_t r[160];
        unsigned body = room < 152 ? room - 4 : room < 304 ? 76 : 148;

        if (room == 0)
            return;
        EXPECT(room % 8 == 0 && room >= 16 && body >= 12);
        memset(r, 0, sizeof r);
        r[1] = (uint8_t)(body - 6);
        ota_store32(r + 2, ++u.journal.number);
        for (unsigned p = 0; p < 2; p++) {
            r[0] = (uint8_t)(0xa0 | (OTA_KIND_ENTRY_0 + 1u - u.state.installed) | p << 3);
            ota_store32(r + body, ota_crc32(0, r, body));
            EXPECT(ota_area_write(&d.slots.journal[p], end, r, body + 4) == OTA_OK);
            u.journal.page[p].end = end + body + 4;
        }
    }
}

/* However little room there is behind the last record, no byte of it is needed. */
static void test_begin_where_the_journal_is_full(void)
{
    for (unsigned part = 0; part < 2; part++)
        for (uint32_t left = 0; left <= 160; left += 8) {
            uint32_t offset;

            set_up(part, AB);
            EXPECT(start() == 2);
            /* Both halves end at the same place. */
            u.journal.page[0].end = u.journal.page[1].end =
                u.journal.page[0].end > u.journal.page[1].end ? u.journal.page[0].end : u.journal.page[1].end;
            fill_journal(left);
            EXPECT(start() == 2 && begin(3, &offset) == OTA_OK && offset == 0);
            EXPECT(state_now().phase == OTA_RECEIVING);
            completes();
        }
}

static uint32_t progress_done, progress_size;

static void progress(void *ctx, uint32_t done, uint32_t size)
{
    EXPECT(ctx == &d && done >= progress_done);
    progress_done = done;
    progress_size = size;
}

/* Makes image id shorter. */
static void shorten(unsigned id, uint32_t size)
{
    struct ota_sha256 hash;

    d.release[id].size = size;
    ota_sha256_init(&hash);
    ota_sha256_update(&hash, d.image[id], size);
    ota_sha256_final(&hash, d.release[id].digest);
    signed_manifest(&d.manifest[id], &d.release[id]);
}

static void test_many_pages_have_few_marks(void)
{
    uint32_t offset, before;

    for (int layout = 0; layout < LAYOUTS; layout++) {
        set_up(2, (enum layout)layout);
        EXPECT(start() == 2 && begin(3, &offset) == OTA_OK);
        before = u.journal.number;
        EXPECT(receive(3, 0, d.release[3].size) == OTA_OK);
        EXPECT(u.journal.number - before <= 16);
        EXPECT(ota_update_finish(&u) == OTA_OK);
        completes();
    }
    /* An image that is shorter than the way to the first mark, and is not what was signed. */
    set_up(2, AB);
    shorten(3, 61);
    EXPECT(start() == 2 && begin(3, &offset) == OTA_OK && receive(2, 0, 61) == OTA_OK);
    EXPECT(ota_update_finish(&u) == OTA_ERR_IMAGE_DIGEST);
    completes();
}

static void test_progress_is_told(void)
{
    set_up(0, AB);
    d.config.progress = progress;
    d.config.ctx = &d;
    progress_done = 0;
    completes();
    EXPECT(progress_done == d.release[3].size && progress_size == progress_done);
    d.config.progress = NULL;
}

void update_write_tests(void)
{
    test_every_chunk_size();
    test_begin_where_the_journal_is_full();
    test_many_pages_have_few_marks();
    test_progress_is_told();
}
