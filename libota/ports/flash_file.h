/* A flash in a file, for POSIX: what a host program, a simulator or a Linux device without a
 * raw partition gives to the library. */
#ifndef FLASH_FILE_H
#define FLASH_FILE_H

#include "ota/flash.h"

struct flash_file {
    struct ota_flash port; /* what the library is given */
    struct ota_pages pages;
    int descriptor;
};

/* Opens the file, or creates it for its owner alone, as it may hold keys: count pages of page bytes, write
 * units of unit bytes, erased 0xff. What a new file or one that is too short lacks is erased. 0, or
 * OTA_ERR_STORAGE with errno set. The struct must not be moved while it is in use; close it in any case. */
OTA_MUST_USE int flash_file_open(struct flash_file *f, const char *path, uint32_t page, uint32_t count,
                                 uint16_t unit);
void flash_file_close(struct flash_file *f);

#endif
