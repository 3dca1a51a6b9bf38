# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A tiny repository for workbench_test.sh: a "kernel" of six files packed like Debian's (with its
# .gitignore that hides everything), a "QEMU" as a source package with a patch of Debian's, their pins,
# and a fetch command that hands them out. Sourced. A test runs in a copy: root is its folder.

# Sources of the fixture's kernel, version $1 in folder $2.
write_kernel()
{
	local version=$1 dir=$2 i

	mkdir -p "$dir"/{mm,virt/kvm,include/linux,scripts,debian}
	for i in $(seq 60); do
		echo "int line_$i;"
	done | tee "$dir/mm/a.c" > "$dir/virt/kvm/k.c"
	seq 30 | sed 's/^/obj-y += o/' > "$dir/mm/Makefile"
	printf 'one\r\ntwo  \r\nthree\r\n\tfour' > "$dir/mm/crlf.txt"
	echo "$version" > "$dir/version"
	printf '/*\n!/debian/\n*.o\n' > "$dir/.gitignore"
	echo '*.txt text eol=crlf ident' > "$dir/.gitattributes"
	# A checker with checkpatch.pl's output: it dislikes the word BAD.
	cat > "$dir/scripts/checkpatch.pl" <<-'END'
		while (<>) { if (/BAD/) { print "$ARGV:$.: WARNING:BAD: a bad word\n"; $rc = 1 } }
		BEGIN { shift while @ARGV && $ARGV[0] =~ /^-/ && ($ARGV[0] ne "--ignore" || shift) }
		exit $rc;
	END
}

# Pack $2 as version $1 and print its line for the file versions.
pack_kernel()
{
	local version=$1 dir=$2 pkg=$work/pkg-$1 file=linux-source-6.1_$1_all.deb

	mkdir -p "$pkg/DEBIAN" "$pkg/usr/src"
	printf 'Package: linux-source-6.1\nVersion: %s\nArchitecture: all\nMaintainer: t <t@t>\nDescription: t\n' \
		"$version" > "$pkg/DEBIAN/control"
	tar -cJf "$pkg/usr/src/linux-source-6.1.tar.xz" -C "$(dirname "$dir")" "$(basename "$dir")"
	dpkg-deb -Znone --build "$pkg" "$fixture/dl/$file" > /dev/null
	printf 'linux\tdeb\tlinux-source-6.1\t%s\t%s\t%s\n' "$version" "$file" \
		"$(sha256sum < "$fixture/dl/$file" | cut -d' ' -f1)"
}

# A source package in Debian's patched form, and its line.
pack_qemu()
{
	local dir=$work/qemu-7.2

	mkdir -p "$dir/hw" "$dir/debian/source" "$dir/debian/patches"
	printf 'a\nb\nc\n' > "$dir/hw/edu.c"
	tar -cJf "$work/qemu_7.2.orig.tar.xz" -C "$work" --exclude=debian qemu-7.2
	echo "3.0 (quilt)" > "$dir/debian/source/format"
	printf 'Source: qemu\nMaintainer: t <t@t>\n\nPackage: qemu\nArchitecture: any\nDescription: t\n' > "$dir/debian/control"
	printf 'qemu (7.2-1) unstable; urgency=low\n\n  * t\n\n -- t <t@t>  Mon, 01 Jan 2024 00:00:00 +0000\n' \
		> "$dir/debian/changelog"
	printf -- '--- a/hw/edu.c\n+++ b/hw/edu.c\n@@ -1,3 +1,3 @@\n a\n-b\n+debian\n c\n' > "$dir/debian/patches/fix.patch"
	echo fix.patch > "$dir/debian/patches/series"
	(cd "$work" && dpkg-source -b qemu-7.2) > "$work/qemu.log" 2>&1
	cp "$work"/qemu_7.2* "$fixture/dl/"
	printf 'qemu\tdsc\tqemu\t7.2-1\tqemu_7.2-1.dsc\t0\n'
}

make_fixture()
{
	mkdir -p "$fixture/dl" "$fixture/mm" "$fixture/tools/workbench"
	write_kernel 6.1.2 "$work/linux-source-6.1"
	{
		pack_kernel 6.1.2 "$work/linux-source-6.1"
		sed -i 's/line_30;/drifted_30;/' "$work/linux-source-6.1/virt/kvm/k.c"
		pack_kernel 6.1.1 "$work/linux-source-6.1"
		pack_qemu
	} > "$fixture/versions"
	cat > "$fixture/fetch" <<-'END'
		#!/bin/bash
		# SPDX-License-Identifier: GPL-2.0-only
		here=$(dirname "$0")
		n=${2:-1}
		[ "$1" != --version ] || { awk -v r="$2" '$1 == r { print $4; exit }' "$here/versions"; exit; }
		echo "$here/dl/$(awk -v r="$1" -v n="$n" '$1 == r && ++i == n { print $5 }' "$here/versions")"
	END
	chmod +x "$fixture/fetch"
	printf '// SPDX-License-Identifier: GPL-2.0-only\nint ours;\n' > "$fixture/mm/ours.c"
	use "$fixture"
	run tree linux
}

# From here on, root is the repository $1.
use()
{
	root=$1
	linux=$root/build/linux
	export MP_ROOT=$root MP_FETCH=$root/fetch MP_BUILD=$root/build
}

# Run a script of the workbench; its messages are in $work/out when it fails as it should.
run()
{
	local script=$1

	shift
	"$workbench/$script.sh" "$@"
}

# The script must fail, and say so in words that match $1.
refuses()
{
	local words=$1 rc=0

	shift
	run "$@" > "$work/out" 2>&1 || rc=$?
	cat "$work/out"
	[ "$rc" != 0 ] || fail "'$*' did not fail"
	grep -qE "$words" "$work/out" || fail "'$*' does not say: $words"
	[ "$1" = lint ] || [ "$(wc -l < "$work/out")" -le 3 ] || fail "'$*' says it in many lines"
}

# The script must succeed, and say so in words that match $1.
says()
{
	local words=$1

	shift
	run "$@" > "$work/out" 2>&1 || {
		cat "$work/out"
		fail "'$*' failed"
	}
	cat "$work/out"
	grep -qE "$words" "$work/out" || fail "'$*' does not say: $words"
}

fail()
{
	echo "FAIL: $*"
	exit 1
}

same()
{
	[ "$1" = "$2" ] || fail "got '$1', expected '$2'"
}

# Commit all changes of tracked files in the kernel tree.
commit()
{
	git -C "$linux" -c user.name=A -c user.email=a@a commit -qa -m "$1" -m "${2:-Why it is so.}" -m "Signed-off-by: A <a@a>"
}

# An edit that is in the series: line $1 of the file $2 changes, subject $3.
make_edit()
{
	sed -i "s/line_$1;/edited_$1;/" "$linux/$2"
	commit "$3" "${4:-}"
	run refresh linux
}

# All that a round trip must keep.
patches_sum()
{
	(cd "$root" && find . -path ./build -prune -o \( -name '*.patch' -o -name series \) -print | sort | xargs -r sha256sum)
}
