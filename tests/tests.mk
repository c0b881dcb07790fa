# The runners. Unit tests: every tests/unit/NAME_test.c is a program, linked (ASan, UBSan)
# with the archive of the layer it tests: devices/ alone for those in DEVICE_TESTS.

UNIT_SOURCES := $(wildcard tests/unit/*_test.c)
# What only x86 has is not there to be tested elsewhere, and QEMU's user mode, which runs
# the others, has neither seccomp nor io_uring, nor processes that are replaced.
NATIVE_TESTS := bench boot_cache boot_initrd boot_multiboot boot_open boot_sandbox boot_unpack \
	device_nic_namespace device_nic_process device_nic_user io plan
ifneq ($(ARCH),x86)
UNIT_SOURCES := $(filter-out $(NATIVE_TESTS:%=tests/unit/%_test.c) $(shell grep -ls -e '"x86/' -e asm/bootparam $(UNIT_SOURCES)),$(UNIT_SOURCES))
endif
UNIT_TESTS := $(patsubst tests/unit/%.c,$(BUILD)/tests/unit/%,$(UNIT_SOURCES))
TEST_LDLIBS := $(LDLIBS) $(if $(FOREIGN),-l:libfdt.a)
DEVICE_TESTS := $(filter $(BUILD)/tests/unit/device_%,$(UNIT_TESTS))
UNIT_COMMON := $(BUILD)/asan/tests/unit/unit.o $(BUILD)/asan/tests/unit/loop_fake.o

# loop_fake.o comes first: it stands in for vmm/loop.c in every test of a device.
$(DEVICE_TESTS): $(BUILD)/tests/unit/%: $(BUILD)/asan/tests/unit/%.o $(UNIT_COMMON) $(BUILD)/asan/devices.a
	@mkdir -p $(@D)
	$(call say,LD)
	$(Q)$(CC) $(SANITIZE) -pthread -o $@ $^ $(TEST_LDLIBS) -lcunit

$(filter-out $(DEVICE_TESTS),$(UNIT_TESTS)): $(BUILD)/tests/unit/%: $(BUILD)/asan/tests/unit/%.o $(BUILD)/asan/tests/unit/unit.o $(BUILD)/asan/all.a
	@mkdir -p $(@D)
	$(call say,LD)
	$(Q)$(CC) $(SANITIZE) -pthread -o $@ $^ $(TEST_LDLIBS) -lcunit

# Those with threads once more, under ThreadSanitizer.
TSAN_TESTS := $(if $(CROSS_COMPILE),,$(addprefix $(BUILD)/tests/unit/,loop_tsan_test bus_tsan_test))
TSAN_SOURCES := tests/unit/unit.c vmm/bus.c vmm/device.c vmm/loop.c vmm/log.c vmm/signals.c devices/console.c
$(BUILD)/tests/unit/%_tsan_test: tests/unit/%_test.c $(TSAN_SOURCES)
	@mkdir -p $(@D)
	$(call say,TSAN)
	$(Q)$(CC) $(CPPFLAGS) $(BASE_CFLAGS) -O1 -g -fsanitize=thread -o $@ $^ -lcunit

unit-tests: $(UNIT_TESTS) $(TSAN_TESTS)
unit-test-names:
	@echo $(UNIT_TESTS)

# Fuzz targets: every tests/fuzz/NAME_fuzz.c has LLVMFuzzerTestOneInput() and is linked by
# clang's libFuzzer with everything but main().
FUZZ_CC ?= clang
FUZZ_SECONDS ?= 10
FUZZ_FLAGS := -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined
FUZZ_TARGETS := $(patsubst tests/fuzz/%.c,$(BUILD)/tests/fuzz/%,$(wildcard tests/fuzz/*_fuzz.c))
FUZZ_OBJECTS := $(filter-out $(MAIN:%.c=$(BUILD)/fuzz/%.o),$(SOURCES:%.c=$(BUILD)/fuzz/%.o)) \
	$(BUILD)/fuzz/$(NETWORK)_image.o $(FOREIGN:%.c=$(BUILD)/fuzz/%.o)

$(BUILD)/fuzz/%.o: %.c
	@mkdir -p $(@D)
	$(call say,FUZZ)
	$(Q)$(FUZZ_CC) $(CPPFLAGS) $(BASE_CFLAGS) -O1 -g $(subst fuzzer,fuzzer-no-link,$(FUZZ_FLAGS)) -MMD -MP -c -o $@ $<
$(BUILD)/fuzz/all.a: $(FUZZ_OBJECTS)
	$(Q)rm -f $@ && $(AR) rcs $@ $^
$(FUZZ_TARGETS): $(BUILD)/tests/fuzz/%: $(BUILD)/fuzz/tests/fuzz/%.o $(BUILD)/fuzz/all.a
	@mkdir -p $(@D)
	$(call say,LD)
	$(Q)$(FUZZ_CC) $(FUZZ_FLAGS) -pthread -o $@ $^ $(TEST_LDLIBS)

fuzz-targets: $(FUZZ_TARGETS)
fuzz: $(FUZZ_TARGETS)
	tests/fuzz/run.sh $(FUZZ_SECONDS) $(FUZZ_TARGETS)

test: deps
	$(MAKE) all guests unit-tests
	tests/run.sh

test-riscv: deps
	tests/run.sh riscv

# The small kernel, all of it: a build of some minutes for each architecture, in the nested beds.
test-linux: deps
	$(MAKE) all guests linux
	$(MAKE) ARCH=riscv CROSS_COMPILE=riscv64-linux-gnu- CC=riscv64-linux-gnu-gcc all guests linux
	guests/linux/verify.sh
	guests/linux/test.sh
	BED_ARCH=riscv guests/linux/test.sh

bench: $(BUILD)/mayfly $(addprefix $(BUILD)/guests/,hello spin idle) $(BUILD)/tests/bench/floor
	tests/bench/bench.sh

# Linux's boot beside QEMU's microvm, in the nested bed; and build/linux/kernel's, if it is there.
bench-nested: $(BUILD)/mayfly
	tests/bench/nested.sh

# The same on RISC-V, beside kvmtool: LKVM=FILE names its lkvm, built for riscv64.
bench-riscv:
	$(MAKE) ARCH=riscv CROSS_COMPILE=riscv64-linux-gnu- CC=riscv64-linux-gnu-gcc all
	BED_ARCH=riscv LKVM=$(LKVM) tests/bench/nested.sh

# Each of LinuxKit's formats beside kernel+initrd, in the nested bed: half an hour.
bench-images: $(BUILD)/mayfly
	BED_ICOUNT=1 BED_LIMIT=$${BED_LIMIT:-14400} tests/guest/run.sh images_time

# The fewest KVM calls in the best order: what every start-up time is compared with.
$(BUILD)/tests/bench/floor: tests/bench/floor.c
	@mkdir -p $(@D)
	$(call say,LD)
	$(Q)$(CC) $(CPPFLAGS) $(BASE_CFLAGS) -O2 -fPIE $(LIBC_CFLAGS) -c -o $@.o $<
	$(Q)$(call LINK,$@.o)

.PHONY: unit-tests unit-test-names fuzz-targets fuzz test test-riscv test-linux bench bench-nested \
	bench-riscv bench-images
