# Updates: journal, slots, session, boot stage, and what proves them. Included by Makefile.

UPDATE   := boot crc32 device flash held info journal object slot slot_overwrite trial update
UPDATE_C := $(UPDATE:%=src/%.c)

.PHONY: update-test update-test-full powercut powercut-full plant coverage ports

test: update-test ports powercut plant coverage

# Write units of up to 256 bytes; the crypto port is the built-in SHA-256 and a stand-in for
# signatures (tests/signed.c), so that an update takes less than a millisecond.
UPDATE_FLAGS := $(WARN) $(INCLUDE) -DOTA_MAX_UNIT=256
UPDATE_BASE  := $(CORE_C) src/sha256.c ports/flash_emu.c tests/signed.c
JOURNAL_T    := $(UPDATE_BASE) $(UPDATE_C) tests/journal_test.c
UPDATE_TESTS := tests/device.c tests/rig.c $(sort $(wildcard tests/update_*test.c)) tests/boot_test.c tests/device_area_test.c tests/flash_test.c tests/held_test.c
UPDATE_T     := $(UPDATE_BASE) $(UPDATE_C) $(UPDATE_TESTS)

# With the fast CRC, where there is no end of runs.
MANY         := $(UPDATE_BASE) $(filter-out src/crc32.c,$(UPDATE_C)) tests/crc32_table.c
UPDATE_ALL_T := $(MANY) $(UPDATE_TESTS)
POWERCUT_T   := $(MANY) tests/device.c tests/powercut.c

# The number: of the flash calls that are made to fail, every so many.
update-test: | $(B)
	gcc $(UPDATE_FLAGS) $(SANITIZE) $(CORE_C) $(BUILTIN_C) tests/core_test.c -o $(B)/core-test && $(B)/core-test
	gcc $(UPDATE_FLAGS) $(SANITIZE) $(JOURNAL_T) -o $(B)/journal-test && $(B)/journal-test
	gcc $(UPDATE_FLAGS) $(SANITIZE) $(UPDATE_T) -o $(B)/update-test && $(B)/update-test 53
	clang $(UPDATE_FLAGS) $(SANITIZE) $(UPDATE_T) -o $(B)/update-test-clang && $(B)/update-test-clang 211
	gcc $(UPDATE_FLAGS) -O2 $(UPDATE_ALL_T) -o $(B)/update-test-all && $(B)/update-test-all 1 5
	gcc $(UPDATE_FLAGS) -O1 -g $(JOURNAL_T) -o $(B)/journal-test-valgrind && \
	  valgrind -q --error-exitcode=1 --leak-check=full $(B)/journal-test-valgrind

# Every flash call of whole updates.
update-test-full: | $(B)
	gcc $(UPDATE_FLAGS) -O2 $(UPDATE_ALL_T) -o $(B)/update-test-all && $(B)/update-test-all 1 1

POWERCUT := gcc $(UPDATE_FLAGS) -O2 $(POWERCUT_T)
$(B)/powercut: $(POWERCUT_T) $(HEADERS) | $(B)
	$(POWERCUT) -o $@

powercut: $(B)/powercut
	$(B)/powercut ci

powercut-full: $(B)/powercut
	$(B)/powercut full

plant: | $(B)
	tests/powercut_plant.sh $(B)/planted $(POWERCUT)

coverage: shared
	tests/coverage.sh $(B)/coverage "-D_POSIX_C_SOURCE=200809L $(UPDATE_FLAGS)" "$(UPDATE_C) $(CORE_C) $(BUILTIN_C)" \
	  "$(JOURNAL_T) --" "$(UPDATE_ALL_T) -- 3 211" "$(CORE_C) $(BUILTIN_C) tests/rollback_test.c --" \
	  "$(CORE_C) $(BUILTIN_C) tests/core_test.c --" \
	  "$(CORE_C) $(JUDGE_C) $(OWN) -- $(VECTORS)/cose-key.txt $(DERIVE) $(JUDGED) `ls $(B)/shared/*.txt 2>/dev/null | tr '\n' ' '`"

# What no host runs is compiled and linked for the part: the example of docs/porting.md.
ports: | $(B)
	@$(call have,arm-none-eabi-gcc) arm-none-eabi-gcc -mcpu=cortex-m3 -mthumb $(FREESTANDING) -Wcast-align=strict \
	  -fno-tree-loop-distribute-patterns -ffunction-sections -fdata-sections -nostdlib -Wl,--gc-sections,-e,stm32f103_boot \
	  ports/stm32f103_*.c $(LIBRARY_C) -o $(B)/stm32f103.elf && arm-none-eabi-size $(B)/stm32f103.elf
	gcc $(UPDATE_FLAGS) $(SANITIZE) $(UPDATE_BASE) $(UPDATE_C) ports/flash_file.c tests/flash_file_test.c \
	  -o $(B)/flash-file-test && $(B)/flash-file-test $(B)/flash.bin
	gcc $(UPDATE_FLAGS) $(SANITIZE) $(UPDATE_BASE) $(UPDATE_C) tests/device.c ports/psa_update.c tests/psa_update_test.c \
	  -o $(B)/psa-update-test && $(B)/psa-update-test
