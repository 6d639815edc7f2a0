/* The boot stage of an STM32F103xB with 128 KiB: the worked example of docs/porting.md. Layout L3
 * with a backup area; the program is linked for IMAGE. */
#include "ota/boot.h"
#include "stm32f103_flash.h"

#define FLASH_BASE 0x08000000u

/* Reset cause, and where the vectors are. */
#define RCC_CSR (*(volatile uint32_t *)0x40021024u)
#define RCC_CSR_RMVF (1u << 24)
#define RCC_CSR_IWDGRSTF (1u << 29)
#define SCB_VTOR (*(volatile uint32_t *)0xe000ed08u)

/* The watchdog, from a 40 kHz clock that may run at 30 to 60 kHz. */
#define IWDG_KR (*(volatile uint32_t *)0x40003000u)
#define IWDG_PR (*(volatile uint32_t *)0x40003004u)
#define IWDG_START 0xccccu
#define IWDG_UNLOCK 0x5555u
#define IWDG_DIVIDE_BY_64 4u /* with the reload value 0xfff of a reset: 6.5 s */

/* A backup register: what is handed over to the program survives the jump and a reset. */
#define RCC_APB1ENR (*(volatile uint32_t *)0x4002101cu)
#define RCC_APB1ENR_PWR_BKP (3u << 27)
#define PWR_CR (*(volatile uint32_t *)0x40007000u)
#define PWR_CR_DBP (1u << 8)
#define BKP_DR1 (*(volatile uint32_t *)0x40006c04u)

#define KIB 1024u
#define AREA(from, size) {&flash.port, (from), (size)}

static struct stm32f103_flash flash;

const struct ota_slots stm32f103_slots = {
    &ota_layout_overwrite,
    {AREA(26 * KIB, 34 * KIB), AREA(60 * KIB, 34 * KIB), AREA(94 * KIB, 34 * KIB)}, /* runs, received, backup */
    {AREA(10 * KIB, 1 * KIB), AREA(11 * KIB, 1 * KIB)},                             /* journal */
    {AREA(12 * KIB, 2 * KIB), AREA(14 * KIB, 2 * KIB)},                             /* keysets */
    {AREA(0, 0), AREA(0, 0)},
};

static const struct ota_boot_config config = {&stm32f103_slots, 3, OTA_CHECK_ALWAYS, 0, NULL, NULL};

/* Hands over stack and entry of the program at address. */
static void jump(uint32_t address)
{
    const volatile uint32_t *vectors = (const volatile uint32_t *)address;

    SCB_VTOR = address;
    __asm__ volatile("msr msp, %0\n\tbx %1" : : "r"(vectors[0]), "r"(vectors[1]));
}

/* Called by the reset handler when RAM is set up. Returns if nothing can be started: then a service
 * port, or a reset after a while. */
void stm32f103_boot(void);

void stm32f103_boot(void)
{
    uint8_t watchdog = (RCC_CSR & RCC_CSR_IWDGRSTF) != 0;
    struct ota_start start;

    RCC_CSR |= RCC_CSR_RMVF; /* the cause of this reset is not that of the next one */
    stm32f103_flash_init(&flash, 1 * KIB, 128);
    if (ota_boot(&config, watchdog, &start) != OTA_OK)
        return;
    RCC_APB1ENR |= RCC_APB1ENR_PWR_BKP;
    PWR_CR |= PWR_CR_DBP;
    BKP_DR1 = start.release;
    /* From here on the program has to feed it, or its tries are used up. */
    IWDG_KR = IWDG_START;
    IWDG_KR = IWDG_UNLOCK;
    IWDG_PR = IWDG_DIVIDE_BY_64;
    jump(FLASH_BASE + start.image->at);
}
