# A small Linux for guests, from Debian's source package: README.md says what it has.
#
#   make linux          build/linux/kernel and kernel.tar; minutes, once
#   make linux-config   the configuration alone, checked
#   make linux ARCH=riscv CROSS_COMPILE=riscv64-linux-gnu-

# On RISC-V the first of Debian's with a driver for the AIA, the interrupt controller that KVM
# has there.
LINUX_PACKAGE_x86 := linux-source-6.1
LINUX_PACKAGE_riscv := linux-source-6.12
LINUX_PACKAGE ?= $(LINUX_PACKAGE_$(ARCH))
LINUX_JOBS ?= $(shell nproc)

# Sources lie together, since one may serve every architecture; what is made is below $(BUILD).
LINUX_SOURCE := $(abspath build/linux)/$(LINUX_PACKAGE)
LINUX := $(abspath $(BUILD))/linux
LINUX_FRAGMENTS := $(abspath guests/linux/common.config guests/linux/$(ARCH).config)

# x86 enters the uncompressed ELF through PVH; RISC-V boots the flat image.
LINUX_IMAGE_x86 := vmlinux
LINUX_IMAGE_riscv := arch/riscv/boot/Image
LINUX_IMAGE := $(LINUX)/obj/$(LINUX_IMAGE_$(ARCH))

# No flag, job server or compiler of ours reaches the kernel's own build.
LINUX_ENVIRONMENT := env -u MAKEFLAGS -u MAKEOVERRIDES -u MFLAGS -u MAKELEVEL -u LDFLAGS \
	ARCH=$(ARCH) CROSS_COMPILE=$(CROSS_COMPILE)
LINUX_MAKE := $(LINUX_ENVIRONMENT) nice make -s -C $(LINUX_SOURCE) O=$(LINUX)/obj \
	KBUILD_BUILD_USER=mayfly KBUILD_BUILD_HOST=mayfly

linux: $(LINUX)/kernel $(LINUX)/kernel.tar
linux-config: $(LINUX)/obj/.config
linux-source: $(LINUX_SOURCE)/.unpacked
.PHONY: linux linux-config linux-source

$(LINUX_SOURCE)/.unpacked:
	$(Q)guests/linux/fetch.sh $(LINUX_PACKAGE) $(LINUX_SOURCE)
	@touch $@

$(LINUX)/obj/.config: $(LINUX_FRAGMENTS) guests/linux/check.sh | $(LINUX_SOURCE)/.unpacked
	@mkdir -p $(@D)
	$(call say,CONF)
	$(Q)cd $(LINUX_SOURCE) && $(LINUX_ENVIRONMENT) scripts/kconfig/merge_config.sh -n \
		-O $(@D) $(LINUX_FRAGMENTS) >$(LINUX)/config.log 2>&1 || \
		{ cat $(LINUX)/config.log; exit 1; }
	$(Q)guests/linux/check.sh $@ $(LINUX_FRAGMENTS)
	@touch $@

$(LINUX_IMAGE): $(LINUX)/obj/.config
	$(call say,MAKE)
	$(Q)$(LINUX_MAKE) -j$(LINUX_JOBS) $(notdir $@)
	@touch $@

# Symbols go: nobody loads them.
LINUX_COPY_x86 := $(CROSS_COMPILE)objcopy --strip-all
LINUX_COPY_riscv := cp
$(LINUX)/kernel: $(LINUX_IMAGE)
	$(call say,COPY)
	$(Q)$(LINUX_COPY_$(ARCH)) $< $@

# What LinuxKit unpacks beside the kernel: no module, but the list of what is built in, with
# which a guest's modprobe succeeds.
$(LINUX)/kernel.tar: $(LINUX_IMAGE)
	$(call say,TAR)
	$(Q)guests/linux/tar.sh $(LINUX)/obj $@
