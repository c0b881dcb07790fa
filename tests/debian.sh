#!/bin/sh
# Unpacks Debian packages, and those that they depend on, into a folder. Nothing is installed: apt has lists, a cache
# and a status of its own, and the machine's own mirror and keyring. The folder is complete once it has .complete.
#
#   debian.sh SUITE ARCHITECTURE FOLDER PACKAGE...
set -eu
suite=$1
architecture=$2
shift 2
mkdir -p "$1"
folder=$(cd "$1" && pwd)
shift
wanted="$suite $architecture $*"
[ "$(cat "$folder/.complete" 2>/dev/null)" != "$wanted" ] || exit 0

for tool in apt-get dpkg-deb; do
	command -v $tool >/dev/null || { echo "debian: no $tool on this machine" >&2; exit 1; }
done
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Component: main' 'Origin: Debian' |
	grep -v security | head -n 1)
state=$folder.apt
rm -rf "$folder" "$state"
mkdir -p "$folder" "$state/lists/partial" "$state/archives/partial"
: >"$state/status"
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ${mirror:-http://deb.debian.org/debian} $suite main" \
	>"$state/sources.list"

apt() {
	apt-get -qq -o APT::Architecture="$architecture" -o APT::Architectures="$architecture" -o APT::Sandbox::User= \
		-o APT::Update::Error-Mode=any -o APT::Install-Recommends=false -o Debug::NoLocking=true \
		-o Dir::Etc::sourcelist="$state/sources.list" -o Dir::Etc::sourceparts=/dev/null \
		-o Dir::Etc::preferencesparts=/dev/null -o Dir::State="$state" -o Dir::State::Lists="$state/lists" \
		-o Dir::State::status="$state/status" -o Dir::Cache="$state" -o Dir::Cache::archives="$state/archives" "$@"
}
# What base-files would lay: packages have their files below /usr.
for part in bin lib sbin; do
	ln -s usr/$part "$folder/$part"
done
apt update
apt -y --download-only install "$@"
for package in "$state"/archives/*.deb; do
	dpkg-deb -x "$package" "$folder"
done
rm -rf "$state"
echo "$wanted" >"$folder/.complete"
