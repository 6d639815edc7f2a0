/* Updates from the manifest to the confirmed image, on emulated parts.
 *
 *     update_test [stride [stride]]     of the flash calls that are made to fail, every so many:
 *                                       in single calls, and in whole updates */
#include <stdlib.h>

#include "rig.h"

int failures;

int main(int argc, char **argv)
{
    uint32_t stride = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 1;

    (void)setvbuf(stdout, NULL, _IOLBF, 0); /* a sanitizer ends the program without a word of ours */

    flash_tests();
    device_area_tests();
    held_tests();
    boot_tests();
    update_write_tests();
    update_misuse_tests();
    update_refuse_tests();
    update_return_tests();
    update_cut_tests();
    update_fault_tests(stride, argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : stride);
    device_free(&d);
    printf("update: %s\n", failures == 0 ? "ok" : "failed");
    return failures != 0;
}
