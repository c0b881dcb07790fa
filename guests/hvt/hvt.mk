# Guests for Solo5's hvt ABI, into $(BUILD)/guests/hvt. Included by guests.mk.

HVT_GUESTS_x86 := hello halt clock idle blk net refuse protect
HVT_GUESTS := $(HVT_GUESTS_$(ARCH))
HVT_RUNTIME := $(GUEST_OBJ)/hvt/platform.o $(GUEST_OBJ)/text.o $(GUEST_OBJ)/string.o

guests: $(HVT_GUESTS:%=$(BUILD)/guests/hvt/%)

$(HVT_GUESTS:%=$(BUILD)/guests/hvt/%): GUEST_LDFLAGS := $(subst guests/$(ARCH)/guest.ld,guests/hvt/hvt.ld,$(GUEST_LDFLAGS))
$(HVT_GUESTS:%=$(BUILD)/guests/hvt/%): $(BUILD)/guests/hvt/%: $(GUEST_OBJ)/hvt/%.o $(HVT_RUNTIME) guests/hvt/hvt.ld
	@mkdir -p $(@D)
	$(call say,LINK)
	$(Q)$(GUEST_LINK)
