#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Names for the checker of SEV guests (check-maps of Documentation/dev/sev-check.rst): the symbols of a guest's kernel,
# and the GUIDs of firmware's modules.
#
#   symbols.sh ROLE FILE      ROLE: guest-6.1 or guest-6.12; the symbols as they are with nokaslr
#   symbols.sh edk2 FILE
#
# Debian's kernel package has no System.map worth the name; the kernel itself knows its symbols. It is booted for them,
# in the machine, as the only software. The modules' names are in edk2's .inf files, by which Debian's OVMF was built, too.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

role=${1:?usage: symbols.sh guest-6.1|guest-6.12|edk2 FILE} out=${2:?usage: symbols.sh ROLE FILE}
mkdir -p "$(dirname "$out")"
tmp=$(mktemp -d "$build/.symbols-XXXXXX")
trap 'rm -rf "$tmp"' EXIT

kernel_symbols()
{
	mkdir -p "$tmp/initrd/"{bin,proc,dev}
	cp "$(command -v busybox)" "$tmp/initrd/bin/"
	cat > "$tmp/initrd/init" << 'END'
#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t devtmpfs dev /dev
stty -F /dev/ttyS1 raw -echo
grep ' [tTwW] ' /proc/kallsyms | gzip -9 > /dev/ttyS1
poweroff -f
END
	chmod 755 "$tmp/initrd/init"
	(cd "$tmp/initrd" && find . | cpio -o -H newc -R 0:0 --quiet) > "$tmp/initrd.cpio"
	timeout 300 "$build/qemu-o/qemu-system-x86_64" -machine q35 -accel tcg -cpu max -m 512M -nodefaults -display none \
		-no-reboot -L "$build/firmware" -kernel "$build/$role/vmlinuz" -initrd "$tmp/initrd.cpio" \
		-append "console=ttyS0 quiet nokaslr panic=-1" -serial "file:$tmp/console" -serial "file:$tmp/symbols.gz" \
		> "$tmp/qemu" 2>&1 < /dev/null || { cat "$tmp/qemu" "$tmp/console" >&2; die "the kernel of $role did not end"; }
	gzip -dc "$tmp/symbols.gz"
}

# A module may have its file's name and GUID in any order.
module_names()
{
	# shellcheck disable=SC2016 # awk's
	find "$build/edk2" -name '*.inf' -print0 | xargs -0 awk '
		FNR == 1 { name = guid = "" }
		{ sub(/\r$/, "") }
		$1 == "BASE_NAME" { name = $3 }
		$1 == "FILE_GUID" { guid = tolower($3) }
		name && guid { print guid, name; name = guid = "" }' | sort -u
}

case $role in
guest-6.1|guest-6.12) kernel_symbols > "$tmp/map" ;;
edk2) module_names > "$tmp/map" ;;
*) die "$role: no guest and not edk2" ;;
esac
[ "$(wc -l < "$tmp/map")" -gt 100 ] || die "no symbols of $role: $(head -c 200 "$tmp/map")"
mv "$tmp/map" "$out"
