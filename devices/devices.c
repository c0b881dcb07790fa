#include "devices/devices.h"

const struct device_help device_table[] = {
        {"serial", "16550A serial port, the console (--console serial)"},
        {"virtio-console", "the console, with the window's size (--console virtio)"},
        {"virtio-blk", "a disk (--disk)"},
        {"virtio-net", "a network interface (--net)"},
        {"virtio-rng", "random numbers of the host (--rng)"},
        {"virtio-input", "a power button, where there is no ACPI (RISC-V)"},
        {"i8042", "keyboard controller without a keyboard: resets the machine"},
        {"rtc", "MC146818 clock with the host's UTC"},
        {"goldfish-rtc", "the same, where a device tree tells it (RISC-V)"},
        {"pci", "host bridge and bus for the virtio devices (--transport pci)"},
        {"pvpanic", "tells the monitor of a kernel panic"},
        {"exit", "ends a unikernel with a status, marks its timeline"},
        {"text", "prints a unikernel's texts, each by one access"},
        {"hvt", "Solo5's hypercalls: clock, console, disks, networks (unikernels)"},
        {0},
};
