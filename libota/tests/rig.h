/* A device in the middle of an update, taken step by step: what the tests of the session and of the boot
 * stage share. */
#ifndef RIG_H
#define RIG_H

#include "device.h"
#include "expect.h"

extern struct device d;         /* runs image 2, keeps image 1, and is offered image 3 */
extern struct ota_update u;     /* its session */
extern struct ota_device about; /* what it says of itself */

/* Makes the device anew, on one of the parts. */
enum { NRF5, STM32G0, MANY_PAGES };
extern const struct geometry parts[];
void set_up(unsigned part, enum layout layout);

/* A start up to the open session, and one without an application. Return the image that runs, 0 if none. */
unsigned start(void);
unsigned boot_only(void);

/* Offers that image, and sends bytes of it. */
int begin(unsigned id, uint32_t *offset);
int receive(unsigned id, uint32_t from, uint32_t to);

/* The steps of an update to image 3. */
enum step { START, BEGIN, RECEIVE, FINISH, INSTALL, TRIAL, CONFIRM, REJECT, GO_BACK, NOTE, INFO, KEYSET, RETURN };
int take_step(enum step s);
void take_steps(enum step from, enum step to);

/* The state of the journal. */
struct ota_state state_now(void);

/* Expects that in the end image 3 runs, confirmed, and no rule was broken. */
void completes(void);

/* A bit of what stands in ota_slots.image[area] rots. */
void rot_image(unsigned area);

/* The tests of each file. */
void boot_tests(void);
void device_area_tests(void);
void flash_tests(void);
void held_tests(void);
void update_cut_tests(void);
void update_fault_tests(uint32_t stride, uint32_t whole_stride);
void update_misuse_tests(void);
void update_refuse_tests(void);
void update_return_tests(void);
void update_write_tests(void);

#endif
