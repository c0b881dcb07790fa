#!/bin/sh
# fetch.sh PACKAGE FOLDER: unpacks the kernel's source of a Debian package into FOLDER. apt fetches it by name from the sources
# of this machine and checks its signature; nothing is installed. Status 1, with a reason, if that cannot be.
set -eu
package=$1
folder=$2

fail() {
	echo "linux: $1" >&2
	exit 1
}

missing=
for tool in bc bison flex gcc xz; do
	command -v "$tool" >/dev/null || missing="$missing $tool"
done
[ -e /usr/include/gelf.h ] || missing="$missing libelf-dev"
[ -z "$missing" ] || fail "the kernel's build needs, of Debian's packages:$missing"

download() {
	(cd "$folder.package" && apt-get -qq -o APT::Sandbox::User= download "$package")
}
echo "linux: fetching $package"
rm -rf "$folder" "$folder.package"
mkdir -p "$folder" "$folder.package"
download 2>/dev/null || { apt-get -qq update && download; } ||
	fail "no package $package in this machine's sources"
dpkg-deb --extract "$folder.package/$package"_*.deb "$folder.package"

# More than half of it is for machines that no guest sees; their Kconfig files are read all the same.
tar -x -f "$folder.package/usr/src/$package".tar.* -C "$folder" --strip-components=1 \
	--exclude='*/drivers/gpu/*.[ch]' --exclude='*/drivers/media/*.[ch]' \
	--exclude='*/drivers/net/*/*.[ch]' --exclude='*/sound/*.[ch]' \
	--exclude='*/Documentation/*/*' --exclude='*/tools/testing/*'
rm -rf "$folder.package"
