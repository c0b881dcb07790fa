#!/bin/sh
# tar.sh OBJECTS FILE: the kernel.tar that belongs to a kernel built in OBJECTS: lib/modules/VERSION without a module.
set -eu
version=$(cat "$1/include/config/kernel.release")
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
modules=$root/lib/modules/$version
mkdir -p "$modules"
chmod 755 "$root"
: >"$modules/modules.order"
cp "$1/modules.builtin" "$1/modules.builtin.modinfo" "$modules/"
PATH=$PATH:/sbin:/usr/sbin depmod -b "$root" "$version"
tar -c -f "$2" -C "$root" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner lib
