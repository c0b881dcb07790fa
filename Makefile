# Mayfly: `make run` launches a microVM, `make test` proves that it works.
#
#   make              build/mayfly
#   make run          installs what is missing, builds, launches the hello unikernel
#   make run-linuxkit launches a LinuxKit image made from Debian packages
#   make test         unit tests, short fuzzing, native and nested guests; one last line
#   make test-riscv   of these, what concerns RISC-V
#   make test-linux   builds guests/linux, a small kernel, and proves it; takes long
#   make bench        start-up against the bare KVM floor and against peers
#   make fuzz         fuzzing, FUZZ_SECONDS (10) for each target
#   make check-format clang-format has nothing to change
#   make install      PREFIX=/usr/local, DESTDIR=
#   make deps         the Debian packages that all of this needs
#
# ARCH=x86|riscv and CROSS_COMPILE= choose the architecture; objects are below build/.

ARCH ?= $(if $(filter riscv64%,$(shell uname -m)),riscv,x86)
BUILD := build$(if $(filter riscv,$(ARCH)),/riscv)
PREFIX ?= /usr/local
ifeq ($(origin CC),default)
CC := $(CROSS_COMPILE)gcc
endif

# Built elsewhere than on RISC-V, it is built against Debian's riscv64 packages.
ifneq ($(CROSS_COMPILE),)
SYSROOT ?= $(abspath $(BUILD))/sysroot
SYSROOT_READY := $(SYSROOT)/.complete
override CC += --sysroot=$(SYSROOT)
endif
SYSROOT_PACKAGES := libc6-dev linux-libc-dev libslirp-dev libglib2.0-dev liburing-dev \
	libjansson-dev zlib1g-dev libzstd-dev liblzma-dev liblz4-dev libdeflate-dev libfdt-dev \
	libext2fs-dev comerr-dev libcunit1-dev

VERSION := 0.1.0

# `make V=1` shows the commands.
comma := ,
Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-5s %s\n' $(1) $@)

CPPFLAGS += -I. -D_GNU_SOURCE -DMAYFLY_VERSION='"$(VERSION)"'
WARNINGS := -Wall -Wextra -Werror -Wshadow -Wmissing-prototypes -Wvla
CFLAGS ?= -O2 -g
BASE_CFLAGS := -std=gnu17 $(WARNINGS) -pthread -fvisibility=hidden
HARD_CFLAGS := -fPIE -ffunction-sections -fstack-protector-strong -D_FORTIFY_SOURCE=2
HARD_LDFLAGS := -Wl,-z,relro,-z,now,-z,noexecstack -Wl,--as-needed,--gc-sections
# None where programs run in QEMU's user mode, which has no place for ASan's shadow.
SANITIZE := $(if $(CROSS_COMPILE),,-fsanitize=address$(comma)undefined -fno-sanitize-recover=undefined) \
	-fno-omit-frame-pointer

# In the order of use: what few runs need comes last, and stays out of the pages of the rest.
LDLIBS := -l:liburing.a -l:libjansson.a -l:libz.a -l:libzstd.a -l:liblzma.a -l:liblz4.a \
	-l:libdeflate.a -l:libext2fs.a -l:libcom_err.a $(if $(filter riscv,$(ARCH)),-l:libfdt.a)

# The user-mode network is a program of its own: the monitor, linked statically because
# that starts 0.24 ms sooner, carries it inside. It alone has libslirp, and glib behind it.
NETWORK := devices/user_network
NETWORK_LDLIBS := -lslirp

# On x86 the monitor is linked with musl, whose start asks the CPU nothing: glibc's runs CPUID
# some 70 times, which in a virtual machine takes 0.4 ms, a third of a launch. Elsewhere with
# glibc, as its tests are, and dynamically: Debian 12's linker for riscv64 knows too few
# relocations for a newer libc.a.
LIBC ?= $(if $(filter x86,$(ARCH)),musl,glibc)
ifeq ($(LIBC),musl)
MUSL_LIB := /usr/lib/$(shell uname -m)-linux-musl
LIBC_READY := $(MUSL_LIB)/libc.a
LIBC_OBJECTS := $(BUILD)/obj/vmm/glibc.o
LIBC_CFLAGS := -nostdinc -isystem /usr/include/$(notdir $(MUSL_LIB)) \
	-isystem $(shell $(CC) -print-file-name=include) \
	-idirafter /usr/include -idirafter /usr/include/$(shell uname -m)-linux-gnu
LINK = $(CC) $(CFLAGS) -static-pie -nostdlib $(HARD_LDFLAGS) -o $@ $(MUSL_LIB)/rcrt1.o \
	$(MUSL_LIB)/crti.o $(1) -Wl,--start-group $(2) $(MUSL_LIB)/libc.a -lgcc -Wl,--end-group \
	$(MUSL_LIB)/crtn.o
else
LINK = $(CC) $(CFLAGS) -pie $(HARD_LDFLAGS) -pthread -o $@ $(1) $(2)
endif

SOURCES := $(sort $(filter-out $(NETWORK).c vmm/glibc.c,$(wildcard vmm/*.c devices/*.c boot/*.c $(ARCH)/*.c)))
MAIN := vmm/main.c
# What a device may reach: tests of devices link no more than this.
DEVICE_SOURCES := $(filter-out $(NETWORK).c,$(wildcard devices/*.c)) \
	$(wildcard vmm/device.c vmm/bus.c vmm/memory.c vmm/options.c vmm/log.c vmm/io.c)

# Of RISC-V, what runs anywhere: its tests are, here, too.
FOREIGN := $(if $(filter x86,$(ARCH)),riscv/fdt.c riscv/plic.c)

OBJECTS := $(SOURCES:%.c=$(BUILD)/obj/%.o) $(LIBC_OBJECTS) $(BUILD)/obj/$(NETWORK)_image.o
ASAN_OBJECTS := $(filter-out $(MAIN:%.c=$(BUILD)/asan/%.o),$(SOURCES:%.c=$(BUILD)/asan/%.o)) \
	$(BUILD)/asan/$(NETWORK)_image.o $(FOREIGN:%.c=$(BUILD)/asan/%.o)
ASAN_DEVICE_OBJECTS := $(DEVICE_SOURCES:%.c=$(BUILD)/asan/%.o) $(BUILD)/asan/$(NETWORK)_image.o

all: $(BUILD)/mayfly

sysroot: $(SYSROOT_READY)
$(SYSROOT_READY):
	tests/debian.sh trixie riscv64 $(@D) $(SYSROOT_PACKAGES)

ifneq ($(LIBC_READY),)
$(LIBC_READY):
	@echo "no musl here ($@): make deps, or make clean and make LIBC=glibc" >&2; exit 1
endif

$(BUILD)/mayfly: $(OBJECTS)
	$(call say,LD)
	$(Q)$(call LINK,$^,$(LDLIBS))

# The program, and the object that carries it: below obj/, asan/ and fuzz/ alike.
$(BUILD)/obj/$(NETWORK): $(BUILD)/obj/$(NETWORK).o
	$(call say,LD)
	$(Q)$(CC) $(CFLAGS) -pie -s $(HARD_LDFLAGS) -o $@ $^ $(NETWORK_LDLIBS)
$(BUILD)/asan/$(NETWORK): $(BUILD)/asan/$(NETWORK).o
	$(call say,LD)
	$(Q)$(CC) $(SANITIZE) -o $@ $^ $(NETWORK_LDLIBS)
$(BUILD)/fuzz/$(NETWORK): $(BUILD)/obj/$(NETWORK)
	@mkdir -p $(@D)
	$(Q)cp $< $@
$(BUILD)/%/$(NETWORK)_image.o: $(NETWORK)_image.S $(BUILD)/%/$(NETWORK)
	$(call say,AS)
	$(Q)$(CC) -DIMAGE='"$(word 2,$^)"' -c -o $@ $<

$(BUILD)/obj/%.o: %.c | $(SYSROOT_READY) $(LIBC_READY)
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(CPPFLAGS) $(BASE_CFLAGS) $(CFLAGS) $(HARD_CFLAGS) $(LIBC_CFLAGS) -MMD -MP -c -o $@ $<
$(BUILD)/obj/$(NETWORK).o: LIBC_CFLAGS :=

$(BUILD)/asan/%.o: %.c | $(SYSROOT_READY)
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(CPPFLAGS) $(BASE_CFLAGS) -O1 -g $(SANITIZE) -MMD -MP -c -o $@ $<

$(BUILD)/asan/all.a: $(ASAN_OBJECTS)
	$(Q)rm -f $@ && $(AR) rcs $@ $^
$(BUILD)/asan/devices.a: $(ASAN_DEVICE_OBJECTS)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

# The monitor itself under ASan and UBSan, for runs with a guest.
$(BUILD)/asan/mayfly: $(MAIN:%.c=$(BUILD)/asan/%.o) $(BUILD)/asan/all.a
	$(call say,LD)
	$(Q)$(CC) $(SANITIZE) -pthread -o $@ $^ $(LDLIBS)

-include guests/guests.mk
include tests/tests.mk

deps:
	./tests/deps.sh

run:
	./tests/deps.sh build
	$(MAKE) $(BUILD)/mayfly $(BUILD)/guests/hello
	$(BUILD)/mayfly run --timeline $(BUILD)/guests/hello

run-linuxkit: deps
	$(MAKE) $(BUILD)/mayfly
	tests/guest/linuxkit-demo.sh

check-format:
	clang-format --dry-run -Werror $$(git ls-files '*.c' '*.h')

# With the unikernels that `mayfly bench` compares; http is there where lwIP could be had.
install: $(BUILD)/mayfly $(BUILD)/guests/hello
	install -D -m 755 $(BUILD)/mayfly "$(DESTDIR)$(PREFIX)/bin/mayfly"
	install -D -m 644 vmm/mayfly.1 "$(DESTDIR)$(PREFIX)/share/man/man1/mayfly.1"
	install -D -m 755 -t "$(DESTDIR)$(PREFIX)/lib/mayfly/guests" $(BUILD)/guests/hello \
		$(wildcard $(BUILD)/guests/http)

clean:
	rm -rf $(BUILD)

.PHONY: all sysroot deps run run-linuxkit check-format install clean
.DELETE_ON_ERROR:

-include $(shell find $(BUILD)/obj $(BUILD)/asan $(BUILD)/fuzz -name '*.d' 2>/dev/null)
