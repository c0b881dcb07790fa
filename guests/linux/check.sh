#!/bin/sh
# check.sh CONFIG FRAGMENT...: whether every line of the fragments came true: Kconfig drops silently what depends on something
# that is not there. An option that cannot be asked for at all is not set either.
set -eu
config=$1
shift

failures=0
while read -r line; do
	case $line in
	CONFIG_*) grep -qxF -e "$line" "$config" ;;
	"# CONFIG_"*" is not set")
		name=${line#"# "}
		! grep -q "^${name%% *}=" "$config"
		;;
	*) true ;;
	esac || { echo "linux: not in $config: $line" >&2; failures=1; }
done <<END
$(cat "$@")
END
exit $failures
