# The guests. Included by the top Makefile; alone: make -f guests/guests.mk guests

BUILD ?= build
ARCH ?= x86
# Not CC, which may be clang or bring sanitizers.
GUEST_CC ?= $(CROSS_COMPILE)gcc$(if $(SYSROOT), --sysroot=$(SYSROOT))

# http is apart: it needs lwIP, which is fetched, and may fail alone.
GUESTS_x86 := hello exit cmdline memory spin idle blk rng crash echo smp pci pit modules
GUESTS_riscv := hello exit cmdline memory idle blk rng crash sbi
GUESTS := $(GUESTS_$(ARCH))
HTTP_x86 := http http_multiboot
HTTP_riscv := http

GUEST_ARCH_CFLAGS_x86 := -m64 -mno-red-zone -mgeneral-regs-only -fcf-protection=none \
	-mmemcpy-strategy=libcall:-1:noalign -mmemset-strategy=libcall:-1:noalign
GUEST_RUNTIME_x86 := x86/start x86/platform x86/irq text string virtio

# No guest computes with fractions, so that no floating-point register is ever touched.
GUEST_ARCH_CFLAGS_riscv := -march=rv64gc -mabi=lp64d -mcmodel=medany
GUEST_RUNTIME_riscv := riscv/start riscv/platform riscv/irq text string virtio

GUEST_WARNINGS := -Wall -Wextra -Werror -Wshadow -Wmissing-prototypes -Wvla
GUEST_CFLAGS := -std=gnu17 -O2 -ffreestanding -fbuiltin -fno-pic -fno-stack-protector \
	-fno-asynchronous-unwind-tables -ffunction-sections -fdata-sections \
	-fno-tree-loop-distribute-patterns -Iguests $(GUEST_ARCH_CFLAGS_$(ARCH))
GUEST_LDFLAGS := -nostdlib -static -no-pie -T guests/$(ARCH)/guest.ld -Wl,-n \
	-Wl,--gc-sections -Wl,--build-id=none -Wl,--no-warn-rwx-segments -Wl,-s

GUEST_OBJ := $(BUILD)/obj/guests
GUEST_RUNTIME := $(GUEST_RUNTIME_$(ARCH):%=$(GUEST_OBJ)/%.o)
# RISC-V swaps bytes by a function of the compiler's.
GUEST_LINK = $(GUEST_CC) $(GUEST_LDFLAGS) -o $@ $(filter %.o,$^) $(if $(filter riscv,$(ARCH)),-lgcc)

guests: $(GUESTS:%=$(BUILD)/guests/%)
	@$(MAKE) --no-print-directory -f $(firstword $(MAKEFILE_LIST)) $(HTTP_$(ARCH):%=$(BUILD)/guests/%) || \
		echo "guests: http is not built (see above), all others are"
.PHONY: guests

# A guest's own object is guests/NAME.c, guests/$(ARCH)/NAME.c or .S.
guest_object = $(patsubst guests/%,$(GUEST_OBJ)/%.o,$(basename \
	$(firstword $(wildcard guests/$(1).c guests/$(ARCH)/$(1).c guests/$(ARCH)/$(1).S))))

$(GUEST_OBJ)/%.o: guests/%.c
	@mkdir -p $(@D)
	$(call say,GUEST)
	$(Q)$(GUEST_CC) $(GUEST_CFLAGS) $(GUEST_WARNINGS) -MMD -MP -c -o $@ $<

$(GUEST_OBJ)/%.o: guests/%.S
	@mkdir -p $(@D)
	$(call say,GUEST)
	$(Q)$(GUEST_CC) $(GUEST_CFLAGS) -MMD -MP -c -o $@ $<

define guest_rule
$$(BUILD)/guests/$(1): $$(call guest_object,$(1)) $$(GUEST_RUNTIME) guests/$$(ARCH)/guest.ld
	@mkdir -p $$(@D)
	$$(call say,LINK)
	$$(Q)$$(GUEST_LINK)
endef
$(foreach guest,$(filter-out hello,$(GUESTS)),$(eval $(call guest_rule,$(guest))))

# hello has nothing below it, not even the start code.
$(BUILD)/guests/hello: $(call guest_object,hello) guests/$(ARCH)/guest.ld
	@mkdir -p $(@D)
	$(call say,LINK)
	$(Q)$(GUEST_LINK)

# lwIP comes from Debian's source package, through apt (which checks its signature) but
# without a line of the machine's own sources; everything stays below $(BUILD)/lwip.
# The mirror is that of the machine's own sources.
LWIP_SUITE ?= bookworm
LWIP_MIRROR ?= $(shell apt-get indextargets --format '$$(REPO_URI)' \
	'Created-By: Packages' 'Component: main' 'Codename: $(LWIP_SUITE)' 2>/dev/null | head -n 1)
LWIP_KEYRING ?= /usr/share/keyrings/debian-archive-keyring.gpg
LWIP := $(abspath $(BUILD))/lwip
LWIP_APT := apt-get -q -o Dir::Etc::sourcelist=$(LWIP)/sources.list \
	-o Dir::Etc::sourceparts=/dev/null -o Dir::State::Lists=$(LWIP)/lists \
	-o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= -o APT::Sandbox::User=

LWIP_FILES := core/def core/inet_chksum core/init core/ip core/mem core/memp core/netif \
	core/pbuf core/tcp core/tcp_in core/tcp_out core/timeouts core/udp \
	core/ipv4/dhcp core/ipv4/etharp core/ipv4/icmp core/ipv4/ip4 core/ipv4/ip4_addr \
	netif/ethernet
LWIP_OBJECTS := $(LWIP_FILES:%=$(GUEST_OBJ)/lwip-src/%.o)

$(LWIP)/.unpacked:
	@echo "guests: fetching lwIP from $(LWIP_MIRROR)"
	@rm -rf $(LWIP) && mkdir -p $(LWIP)/lists/partial && cd $(LWIP) && \
	echo "deb-src [signed-by=$(LWIP_KEYRING)] $(LWIP_MIRROR) $(LWIP_SUITE) main" \
		>sources.list && \
	{ $(LWIP_APT) -o APT::Update::Error-Mode=any update && \
	  $(LWIP_APT) source --download-only lwip && \
	  dpkg-source --no-check -x lwip_*.dsc source; } >fetch.log 2>&1 && \
	rm -rf lists && touch $@ || \
	{ tail -n 3 $(LWIP)/fetch.log; \
	  echo "guests: cannot fetch lwIP's source package, which http needs:" \
	    "is there a network, and dpkg-dev? (LWIP_MIRROR=$(LWIP_MIRROR))"; \
	  exit 1; } >&2

# lwIP's own warnings are not ours.
$(LWIP_OBJECTS): $(GUEST_OBJ)/lwip-src/%.o: $(LWIP)/.unpacked guests/lwip/lwipopts.h guests/lwip/arch/cc.h
	@mkdir -p $(@D)
	$(call say,GUEST)
	$(Q)$(GUEST_CC) $(GUEST_CFLAGS) -Iguests/lwip -I$(LWIP)/source/src/include -MMD -MP \
		-c -o $@ $(LWIP)/source/src/$*.c

# Optimized as one program, a request takes an eighth fewer instructions.
HTTP_OBJECTS := $(GUEST_OBJ)/http.o $(GUEST_OBJ)/net.o
$(HTTP_OBJECTS) $(LWIP_OBJECTS): GUEST_CFLAGS += -flto
$(HTTP_OBJECTS): GUEST_CFLAGS += -Iguests/lwip -isystem $(LWIP)/source/src/include
$(HTTP_OBJECTS): | $(LWIP)/.unpacked

$(HTTP_$(ARCH):%=$(BUILD)/guests/%): GUEST_LDFLAGS += $(GUEST_CFLAGS) -flto=1 -flto-partition=none
$(BUILD)/guests/http: $(HTTP_OBJECTS) $(LWIP_OBJECTS) $(GUEST_RUNTIME) \
		guests/$(ARCH)/guest.ld
	@mkdir -p $(@D)
	$(call say,LINK)
	$(Q)$(GUEST_LINK)

include guests/x86/multiboot.mk
include guests/linux/linux.mk
include guests/hvt/hvt.mk

-include $(wildcard $(GUEST_OBJ)/*.d $(GUEST_OBJ)/*/*.d $(GUEST_OBJ)/*/*/*.d \
	$(GUEST_OBJ)/*/*/*/*.d)
