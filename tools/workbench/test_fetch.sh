# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Tests of how packages come here: fetch.sh, deps.sh and step.sh against an archive that is a folder,
# with an apt in front of it that says what the real one says when versions are gone, the network is
# down or the disk is full. Nothing here uses the network. Sourced by workbench_test.sh, which finds
# the functions by their names.

# The archive of the test: packages in $work/pool, "package version file" lines in $work/offer, how it
# is reached in $work/mode (ok, offline, full, gone, slow). Calls are noted in $work/calls.
make_archive()
{
	local name

	mkdir -p "$work/bin" "$work/pool"
	cp "$root"/dl/* "$work/pool/"
	awk -F'\t' '{ print $3, $4, $5 }' "$root/versions" > "$work/offer"
	echo ok > "$work/mode"
	: > "$work/calls"
	fake_apt > "$work/bin/apt-get"
	ln -s apt-get "$work/bin/apt-cache"
	for name in df id sudo; do
		# shellcheck disable=SC2016 # the text of a script
		printf '#!/bin/sh\n[ ! -x %q/%s ] || exec %q/%s "$@"\nPATH=${PATH#*:} exec %s "$@"\n' \
			"$work" "$name" "$work" "$name" "$name" > "$work/bin/$name"
	done
	chmod +x "$work"/bin/*
	export FAKE=$work MP_CACHE=$work/cache PATH=$work/bin:$PATH
	unset MP_FETCH
}

# One of the pins' lines gets the hash that its file has.
pin_hash()
{
	sed -i "s/\t$1\t[0-9a-f]*\$/\t$1\t$(sha256sum < "$work/pool/$1" | cut -d' ' -f1)/" "$root/versions"
}

fake_apt()
{
	cat <<-'END'
		#!/bin/bash
		echo "$(basename "$0") $*" >> "$FAKE/calls"
		while [[ $1 == -* ]]; do
			case $1 in
			-o)
				[[ $2 != Dir::State::lists=* ]] || lists=${2#*=}
				shift 2 ;;
			*) shift ;;
			esac
		done
		mode=$(cat "$FAKE/mode") word=$1 package=${!#%%=*} version=${!##*=}
		cannot()
		{
			echo "E: Failed to fetch http://archive/$1  $2" >&2
			exit 100
		}
		case $word in
		indextargets)
			[ "$mode" = none ] || echo "Debian|http://archive/|stable|main|bookworm" ;;
		update)
			if [ "$mode" = offline ]; then
				echo "Err:1 http://archive bookworm InRelease"
				echo "W: Failed to fetch http://archive/dists  Temporary failure resolving 'archive'" >&2
			else
				cp "$FAKE/offer" "$lists/archive_Packages"
			fi ;;
		madison)
			sed "s/\([^ ]*\) \([^ ]*\) .*/\1 | \2 | http:/;/^$package /!d" "$lists/archive_Packages" ;;
		download|source)
			file=$(awk -v p="$package" -v v="$version" '$1 == p && $2 == v { print $3 }' "$lists/archive_Packages")
			[ -n "$file" ] || { echo "E: Version '$version' for '$package' was not found" >&2; exit 100; }
			[ -e "$FAKE/pool/$file" ] || mode=gone
			case $mode in
			offline) cannot "$file" "Temporary failure resolving 'archive'" ;;
			full)
				head -c 10 "$FAKE/pool/$file" > "$file"
				cat "$FAKE/pool/$file" > /dev/full 2> "$FAKE/said" || cannot "$file" "Error writing to file - write ($(cat "$FAKE/said"))" ;;
			gone) cannot "$file" "404  Not Found" ;;
			slow) head -c 10 "$FAKE/pool/$file" > "$file"; touch "$FAKE/begun"; sleep 30 ;;
			esac
			cp "$FAKE/pool/${file%-1.dsc}"* . ;;
		esac
	END
}

# The cache holds whole files only: nothing of a download that failed.
nothing_half()
{
	same "$(find "$MP_CACHE/downloads" -mindepth 1 ! -name '*.log')" ""
}

test_fetch_downloads_once_and_then_needs_no_archive()
{
	local file=$work/cache/downloads/linux-source-6.1_6.1.2_all.deb

	make_archive
	same "$(run fetch linux)" "$file"
	cmp "$file" "$work/pool/$(basename "$file")"
	: > "$work/calls"
	same "$(run fetch linux)" "$file"
	same "$(run fetch --version linux)" 6.1.2
	same "$(cat "$work/calls")" ""
	same "$(run fetch linux 2)" "$work/cache/downloads/linux-source-6.1_6.1.1_all.deb"
}

test_fetch_leaves_the_systems_apt_alone()
{
	make_archive
	run fetch linux
	# All calls but the question which archives there are name lists and sources of the cache's.
	same "$(grep -c indextargets "$work/calls")" 1
	same "$(grep -v indextargets "$work/calls" | grep -vc "Dir::Etc::sourcelist=$MP_CACHE/apt/.*Dir::State::lists=$MP_CACHE/apt/" || true)" 0
	grep -q '^deb-src .* http://archive/ stable main$' "$MP_CACHE/apt/sources.list"
}

test_fetch_refuses_a_wrong_hash_and_keeps_nothing_of_it()
{
	local file=linux-source-6.1_6.1.2_all.deb want got

	make_archive
	want=$(sha256sum < "$work/pool/$file" | cut -d' ' -f1)
	echo more >> "$work/pool/$file"
	got=$(sha256sum < "$work/pool/$file" | cut -d' ' -f1)
	refuses "wrong hash: $file: expected $want, got $got; the file was removed" fetch linux
	nothing_half
	cp "$root/dl/$file" "$work/pool/$file"
	run fetch linux
}

test_fetch_notices_a_file_that_changed_in_the_cache()
{
	local file=$work/cache/downloads/linux-source-6.1_6.1.2_all.deb

	make_archive
	run fetch linux
	touch -d '1 minute ago' "$file" "$file.ok"
	truncate -s 100 "$file"
	refuses "wrong hash: linux-source-6.1_6.1.2_all.deb: .*the file was removed" fetch linux
	run fetch linux
	cmp "$file" "$work/pool/$(basename "$file")"
}

test_fetch_looks_at_every_part_of_a_source_package()
{
	make_archive
	pin_hash qemu_7.2-1.dsc
	run fetch qemu
	touch -d '1 minute ago' "$MP_CACHE"/downloads/qemu*
	echo x >> "$MP_CACHE/downloads/qemu_7.2-1.debian.tar.xz"
	refuses "wrong hash: qemu_7.2-1.debian.tar.xz: expected" fetch qemu
	run fetch qemu
	rm "$MP_CACHE/downloads/qemu_7.2.orig.tar.xz"
	run fetch qemu
	cmp "$MP_CACHE/downloads/qemu_7.2.orig.tar.xz" "$work/pool/qemu_7.2.orig.tar.xz"
}

test_fetch_falls_back_to_the_second_pin_and_says_so()
{
	make_archive
	sed -i '/ 6\.1\.2 /d' "$work/offer"
	says "NOTE +linux: fell back to pin 2, linux-source-6.1 6.1.1" fetch linux
	same "$(tail -n 1 "$work/out")" "$MP_CACHE/downloads/linux-source-6.1_6.1.1_all.deb"
	same "$(run fetch --version linux)" 6.1.1
	# A tree is then made from it, and made again when the first pin is back.
	rm -rf "$root/build"
	run tree linux
	same "$(git -C "$linux" log -1 --format=%s base)" "linux-source-6.1 6.1.1"
	run tree linux
	awk -F'\t' '{ print $3, $4, $5 }' "$root/versions" > "$work/offer"
	touch -d '2 hours ago' "$MP_CACHE"/apt/dropped-*
	run fetch linux
	run tree linux
	same "$(git -C "$linux" log -1 --format=%s base)" "linux-source-6.1 6.1.2"
	same "$(ls "$MP_CACHE"/apt/dropped-* 2> /dev/null)" ""
}

# The fall-back in the cache is as good as the first pin there: no network, and no asking all the time.
test_fetch_has_its_fall_back_without_network()
{
	local second=$work/cache/downloads/linux-source-6.1_6.1.1_all.deb

	make_archive
	sed -i '/ 6\.1\.2 /d' "$work/offer"
	same "$(run fetch linux)" "$second"
	echo offline > "$work/mode"
	: > "$work/calls"
	same "$(run fetch linux)" "$second"
	same "$(cat "$work/calls")" ""
	# An hour later the archive is asked, once.
	touch -d '2 hours ago' "$MP_CACHE"/apt/dropped-* "$MP_CACHE/apt/updated"
	same "$(run fetch linux)" "$second"
	grep -q "apt-get .*update" "$work/calls"
	: > "$work/calls"
	same "$(run fetch linux)" "$second"
	same "$(cat "$work/calls")" ""
}

test_fetch_falls_back_when_the_index_promises_what_is_gone()
{
	make_archive
	rm "$work/pool/linux-source-6.1_6.1.2_all.deb"
	says "fell back to pin 2" fetch linux
	refuses "cannot get linux-source-6.1 6.1.2: .*404  Not Found.*log: .*/linux-source-6.1.log" fetch linux 1 1
}

test_fetch_names_what_was_wanted_and_what_is_on_offer()
{
	make_archive
	printf 'linux-source-6.1 6.1.%s x\n' 7 9 10 > "$work/offer"
	refuses "cannot get linux-source-6.1 6.1.2 or linux-source-6.1 6.1.1: on offer: 6.1.7 6.1.9 6.1.10 " fetch linux
	grep -q "E: Version '6.1.1' for 'linux-source-6.1' was not found" "$work/out"
	grep -q "log: $MP_CACHE/downloads/linux-source-6.1.log" "$work/out"
	nothing_half
	rm -rf "$root/build"
	refuses "on offer: 6.1.7 6.1.9 6.1.10 " tree linux
	[ ! -e "$linux" ] || fail "a tree is there"
}

test_fetch_looks_again_when_its_index_is_old()
{
	make_archive
	echo "linux-source-6.1 6.1.0 x" > "$work/offer"
	refuses "cannot get" fetch linux
	awk -F'\t' '{ print $3, $4, $5 }' "$root/versions" > "$work/offer"
	same "$(run fetch linux)" "$MP_CACHE/downloads/linux-source-6.1_6.1.2_all.deb"
}

test_fetch_without_network_says_so()
{
	make_archive
	echo offline > "$work/mode"
	refuses "no network or no archive.*log: $MP_CACHE/apt/update.log" fetch linux
	nothing_half
	refuses "linux is not in the cache yet" fetch --version linux
}

# With an index from earlier. Another version is for the day that the archive drops the first, not for
# a day without network: which source is built must not depend on that.
test_fetch_without_network_does_not_fall_back()
{
	make_archive
	run fetch linux 2
	echo offline > "$work/mode"
	refuses "cannot get linux-source-6.1 6.1.2: .*Temporary failure resolving.*log: " fetch linux
}

test_fetch_on_a_full_disk_says_so()
{
	make_archive
	printf '#!/bin/sh\nprintf "%%s\\n" head "/dev/x 100 88 12 88%%%% /"\n' > "$work/df"
	chmod +x "$work/df"
	refuses "not enough disk space for $MP_CACHE/downloads: 12 MiB free, 600 MiB needed" fetch linux
	same "$(cat "$work/calls")" ""
	rm "$work/df"
	# Space enough at first, and none when the file is written.
	echo full > "$work/mode"
	refuses "cannot get linux-source-6.1 6.1.2: .*No space left on device.*log: " fetch linux
	nothing_half
	echo ok > "$work/mode"
	run fetch linux
	# What is there needs no space.
	printf '#!/bin/sh\nprintf "%%s\\n" head "/dev/x 100 88 12 88%%%% /"\n' > "$work/df"
	chmod +x "$work/df"
	run fetch linux
}

test_a_killed_download_leaves_nothing_that_counts()
{
	make_archive
	echo slow > "$work/mode"
	setsid "$workbench/fetch.sh" linux &
	until [ -e "$work/begun" ]; do sleep 0.1; done
	kill -KILL -- "-$!"
	wait "$!" || true
	refuses "not in the cache" fetch --version linux
	echo ok > "$work/mode"
	run fetch linux
	same "$(cd "$MP_CACHE/downloads" && find . -mindepth 1 | sort | tr '\n' ' ')" \
		"./linux-source-6.1.log ./linux-source-6.1_6.1.2_all.deb ./linux-source-6.1_6.1.2_all.deb.ok "
}

test_fetch_refuses_what_it_does_not_know()
{
	make_archive
	refuses "no pin 1 for 'nosuch' in $root/versions" fetch nosuch
	refuses "no pin 3 for 'linux'" fetch linux 3
	echo none > "$work/mode"
	refuses "no Debian bookworm archive is configured on this machine" fetch linux
}

# ---- packages of the machine

# dpkg-query knows of all packages that deps.sh asks for but those named.
lacking()
{
	cat > "$work/bin/dpkg-query" <<-END
		#!/bin/sh
		shift 2
		for p; do
			case " $* " in *" \$p "*) ;; *) echo "ii  \$p" ;; esac
		done
	END
	chmod +x "$work/bin/dpkg-query"
}

test_deps_without_root_names_what_is_missing()
{
	make_archive
	lacking bison jq
	printf '#!/bin/sh\necho 1000\n' > "$work/id"
	printf '#!/bin/sh\nexit 1\n' > "$work/sudo"
	chmod +x "$work/id" "$work/sudo"
	refuses "missing Debian packages, and no root to install them: apt-get install bison jq$" deps < /dev/null
	same "$(cat "$work/calls")" ""
}

test_deps_installs_what_is_missing_and_nothing_else()
{
	make_archive
	printf '#!/bin/sh\necho 0\n' > "$work/id"
	chmod +x "$work/id"
	lacking
	run deps
	same "$(cat "$work/calls")" ""
	lacking bison jq
	says "INSTALL +bison jq" deps
	grep -q "install --no-install-recommends bison jq" "$work/calls"
}

test_deps_installs_nothing_on_another_system()
{
	make_archive
	export MP_OS_RELEASE=$work/os-release
	printf '#!/bin/sh\necho 0\n' > "$work/id"
	chmod +x "$work/id"
	lacking bison
	printf 'PRETTY_NAME="Debian GNU/Linux 13 (trixie)"\nVERSION_ID="13"\nID=debian\n' > os-release
	refuses "runs on Debian 12, x86-64, and this is 'debian 13 amd64'" deps
	printf 'ID=ubuntu\nID_LIKE=debian\nVERSION_ID="22.04"\n' > os-release
	refuses "this is 'ubuntu 22.04 amd64'" deps
	same "$(cat "$work/calls")" ""
	printf 'VERSION_ID="12"\nVERSION_CODENAME=bookworm\nID=debian\n' > os-release
	run deps
	grep -q "install --no-install-recommends bison" "$work/calls"
}

test_deps_that_cannot_be_installed_end_in_one_line()
{
	make_archive
	printf '#!/bin/sh\necho 0\n' > "$work/id"
	chmod +x "$work/id"
	lacking bison
	# shellcheck disable=SC2016 # the text of a script
	sed -i 's/^case $word in/&\ninstall) echo "E: Unable to locate package bison" >\&2; exit 100 ;;/' "$work/bin/apt-get"
	refuses "cannot install bison: E: Unable to locate package bison \(log: .*deps.log\)" deps
}

# ---- steps

test_a_step_that_fails_ends_in_its_reason_and_its_log()
{
	refuses "^step.sh: the thing failed: x.c:1: error: no such luck \(log: $root/build/logs/thing.log\)" \
		step "the thing" thing bash -c 'echo begin; echo "x.c:1: error: no such luck"; echo end; exit 3'
	grep -q begin "$root/build/logs/thing.log"
	refuses "the thing failed: .*No space left on device" step "the thing" thing bash -c 'echo x > /dev/full'
	refuses "the thing failed: .*nosuchtool.*log: .*thing.log" step "the thing" thing nosuchtool
	run step "the thing" thing true
	same "$(ls "$root/build/logs"/thing*)" "$root/build/logs/thing.log
$root/build/logs/thing.log.old"
}

test_an_interrupted_step_takes_its_children_along()
{
	setsid "$workbench/step.sh" "the thing" thing bash -c 'sleep 321 & echo $! > pid; wait' &
	until [ -s pid ]; do sleep 0.1; done
	kill -TERM "$!"
	wait "$!" || true
	for ((i = 0; i < 50; i++)); do
		kill -0 "$(cat pid)" 2> /dev/null || return 0
		sleep 0.1
	done
	fail "a child is left"
}
