# Other ways into the same guests: Multiboot 1 and 2, and Linux's entries.

# Those that prove a property each, with a header in place of the note.
SMALL_MULTIBOOT := $(patsubst %,%_multiboot,exit crash idle smp blk rng)
ENTRY_GUESTS_x86 := hello_multiboot hello_multiboot2 hello_flat multiboot multiboot2 \
	$(SMALL_MULTIBOOT) linux64 linux32
ENTRY_GUESTS := $(ENTRY_GUESTS_$(ARCH))

guests: $(ENTRY_GUESTS:%=$(BUILD)/guests/%)

$(patsubst %,$(GUEST_OBJ)/x86/hello_%.o,multiboot multiboot2 flat): guests/x86/hello.S
	@mkdir -p $(@D)
	$(call say,GUEST)
	$(Q)$(GUEST_CC) $(GUEST_CFLAGS) -DMULTIBOOT=$(MULTIBOOT) -DLOAD_ADDRESS=0x100000 -MMD -MP -c -o $@ $<
$(GUEST_OBJ)/x86/header1.o $(GUEST_OBJ)/x86/header2.o: $(GUEST_OBJ)/x86/header%.o: guests/x86/multiboot.S
	@mkdir -p $(@D)
	$(call say,GUEST)
	$(Q)$(GUEST_CC) $(GUEST_CFLAGS) -DMULTIBOOT=$* -MMD -MP -c -o $@ $<

$(GUEST_OBJ)/x86/hello_flat.o: MULTIBOOT := 0
$(GUEST_OBJ)/x86/hello_multiboot.o: MULTIBOOT := 1
$(GUEST_OBJ)/x86/hello_multiboot2.o: MULTIBOOT := 2

$(BUILD)/guests/hello_multiboot $(BUILD)/guests/hello_multiboot2 $(GUEST_OBJ)/hello_flat.elf: \
		guests/$(ARCH)/guest.ld
$(BUILD)/guests/hello_multiboot: $(GUEST_OBJ)/x86/hello_multiboot.o
$(BUILD)/guests/hello_multiboot2: $(GUEST_OBJ)/x86/hello_multiboot2.o
$(GUEST_OBJ)/hello_flat.elf: $(GUEST_OBJ)/x86/hello_flat.o
$(BUILD)/guests/hello_multiboot $(BUILD)/guests/hello_multiboot2 $(GUEST_OBJ)/hello_flat.elf:
	@mkdir -p $(@D)
	$(call say,LINK)
	$(Q)$(GUEST_LINK)

# Nothing but the bytes of the segment.
$(BUILD)/guests/hello_flat: $(GUEST_OBJ)/hello_flat.elf
	$(call say,FLAT)
	$(Q)objcopy -O binary $< $@

# Version 1 also as an ELF32, which is what QEMU takes.
MULTIBOOT_GUESTS := $(GUEST_OBJ)/multiboot1.elf $(BUILD)/guests/multiboot2 \
	$(SMALL_MULTIBOOT:%=$(BUILD)/guests/%) $(BUILD)/guests/http_multiboot
$(GUEST_OBJ)/multiboot1.elf: $(GUEST_OBJ)/x86/header1.o $(GUEST_OBJ)/x86/multiboot.o
$(BUILD)/guests/multiboot2: $(GUEST_OBJ)/x86/header2.o $(GUEST_OBJ)/x86/multiboot.o
define small_multiboot_rule
$$(BUILD)/guests/$(1)_multiboot: $$(GUEST_OBJ)/x86/header1.o $$(call guest_object,$(1))
endef
$(foreach guest,$(SMALL_MULTIBOOT:%_multiboot=%),$(eval $(call small_multiboot_rule,$(guest))))
$(BUILD)/guests/http_multiboot: $(GUEST_OBJ)/x86/header1.o $(HTTP_OBJECTS) $(LWIP_OBJECTS)
$(MULTIBOOT_GUESTS): GUEST_LDFLAGS := \
	$(subst guests/$(ARCH)/guest.ld,guests/$(ARCH)/multiboot.ld,$(GUEST_LDFLAGS))
$(MULTIBOOT_GUESTS): $(GUEST_RUNTIME) guests/$(ARCH)/multiboot.ld
	@mkdir -p $(@D)
	$(call say,LINK)
	$(Q)$(GUEST_LINK)
$(BUILD)/guests/multiboot: $(GUEST_OBJ)/multiboot1.elf
	$(call say,ELF32)
	$(Q)objcopy -O elf32-i386 $< $@

$(BUILD)/guests/linux64: $(GUEST_OBJ)/x86/linux64.o guests/$(ARCH)/guest.ld
	@mkdir -p $(@D)
	$(call say,LINK)
	$(Q)$(GUEST_LINK)

# A bzImage is no ELF: the bytes that were assembled are the file.
$(BUILD)/guests/linux32: $(GUEST_OBJ)/x86/linux32.o
	$(call say,FLAT)
	$(Q)objcopy -O binary -j .text $< $@
	$(Q)chmod +x $@
