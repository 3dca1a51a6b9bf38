# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Tests of what is made from a tree: patches and back, mails, the second base, lint, configurations. Sourced by workbench_test.sh, which finds the functions by their names.

# ---- round trips

test_refresh_changes_no_byte_when_nothing_changed()
{
	local before

	make_edit 5 mm/a.c "mm: change a line"
	make_edit 5 virt/kvm/k.c "KVM: x86/mmu: Schön and long enough that the header has to be folded somewhere" \
		"Overlay: mm/ours.c"
	before=$(patches_sum)
	run refresh linux
	same "$(patches_sum)" "$before"
	rm -rf "$root/build"
	run tree linux
	run refresh
	same "$(patches_sum)" "$before"
	[ -f "$root/arch/x86/kvm/edits/kvm-x86-mmu-sch-n-and-long-enough-that-the-header-has-to-be-folded-somewhere.patch" ]
}

test_refresh_check_knows_each_byte()
{
	make_edit 5 mm/a.c "mm: first"
	make_edit 9 virt/kvm/k.c "KVM: second"
	says "refresh: linux: 2 edits, to the byte" refresh --check linux
	sed -i 's/^Why it is so.$/& /' "$root/mm/edits/mm-first.patch"
	refuses "mm/edits/mm-first.patch: an export has other bytes: < Why it is so. " refresh --check
	sed -i 's/^Why it is so. $/Why it is so./' "$root/mm/edits/mm-first.patch"
	sed -i '/second/d' "$root/series"
	refuses "/series: an export has other patches: > virt/kvm/edits/kvm-second.patch" refresh --check
	echo virt/kvm/edits/kvm-second.patch >> "$root/series"
	run refresh --check
	same "$(git -C "$linux" status --porcelain)" ""
}

test_refresh_is_the_same_under_any_configuration()
{
	local before

	make_edit 5 mm/a.c "mm: change a line"
	before=$(patches_sum)
	printf '[diff]\nnoprefix = true\ncontext = 9\nmnemonicPrefix = true\n[format]\nsignature = x\nsignOff = true\n%s\n' \
		'[core]
autocrlf = true
abbrev = 40
[apply]
whitespace = fix
[commit]
gpgSign = true' > "$HOME/.gitconfig"
	git -C "$linux" config diff.noprefix true
	git -C "$linux" config diff.context 9
	git -C "$linux" config diff.algorithm patience
	GIT_DIR=/nowhere GIT_INDEX_FILE=/nowhere/index run refresh linux
	rm -rf "$root/build"
	GIT_DIR=/nowhere run tree linux
	run refresh linux
	rm "$HOME/.gitconfig"
	same "$(patches_sum)" "$before"
}

test_crlf_blanks_and_binaries_survive()
{
	local before

	printf 'one\r\ntwo\r\n  \r\nthree \t\r\n\n\tfive\r' > "$linux/mm/crlf.txt"
	printf 'bin\0ary\r\n' > "$linux/mm/Makefile"
	commit "mm: line ends" "From the first: blank   "
	cp "$linux/mm/crlf.txt" "$linux/mm/Makefile" "$work/"
	run refresh linux
	before=$(patches_sum)
	rm -rf "$root/build"
	run tree linux
	cmp "$work/crlf.txt" "$linux/mm/crlf.txt"
	cmp "$work/Makefile" "$linux/mm/Makefile"
	run refresh linux
	same "$(patches_sum)" "$before"
}

test_a_message_that_a_mail_cannot_carry_is_refused()
{
	sed -i 's/line_9;/x_9;/' "$linux/mm/a.c"
	commit "mm: cut" "Above.
---
Below."
	refuses "does not survive as a patch" refresh linux
	same "$(patches_sum)" ""
}

test_refresh_keeps_order_and_comments_and_removes_the_dropped()
{
	make_edit 5 mm/a.c "mm: first"
	make_edit 20 mm/a.c "mm: second"
	make_edit 40 mm/a.c "mm: third"
	printf '# head\n\n# about first\nmm/edits/mm-first.patch # tail\n# about second\n%s\n# about third\n%s\n# end\n' \
		mm/edits/mm-second.patch mm/edits/mm-third.patch > "$root/series"
	run tree linux
	git -C "$linux" -c user.name=A -c user.email=a@a rebase -q --onto HEAD~2 HEAD~1 series
	run refresh linux
	same "$(cat "$root/series")" "$(printf '# head\n\n# about first\nmm/edits/mm-first.patch # tail\n# about third\n%s\n# end\n' \
		mm/edits/mm-third.patch)"
	[ ! -e "$root/mm/edits/mm-second.patch" ] || fail "the dropped patch is still there"
	git -C "$linux" reset -q --hard base
	run refresh linux
	same "$(find "$root/mm/edits" -name '*.patch')" ""
	run tree linux
}

# ---- mbox

test_mbox_gives_the_built_tree_with_files_where_they_belong()
{
	local mail=$root/build/mail/linux

	mkdir -p "$root/virt/kvm" "$root/Documentation/dev"
	echo "int loose;" > "$root/virt/kvm/loose.c"
	printf 'Subject of all\n\nText of all.\n' > "$root/Documentation/dev/cover-letter-linux.txt"
	make_edit 5 mm/a.c "mm: first" "Overlay: mm/ours.c"
	make_edit 20 mm/a.c "mm: second"
	run mbox
	same "$(cd "$mail" && echo *)" \
		"0000-cover-letter.patch 0001-mm-first.patch 0002-mm-second.patch 0003-virt-kvm-Add-loose.c.patch"
	grep -q '^+++ b/mm/ours.c' "$mail/0001-mm-first.patch"
	same "$(grep -l Overlay: "$mail"/* || true)" ""
	grep -q 'Subject: \[PATCH 0/3\] Subject of all' "$mail/0000-cover-letter.patch"
	grep -q 'Text of all' "$mail/0000-cover-letter.patch"
	grep -q "Base: Debian source package linux-source-6.1 6.1.2" "$mail/0000-cover-letter.patch"
	grep -q "^base-commit: $(git -C "$linux" rev-parse base)" "$mail/0000-cover-letter.patch"
	git -C "$linux" checkout -q --detach base
	rm "$linux/mm/ours.c" "$linux/virt/kvm/loose.c"
	git -C "$linux" -c user.name=A -c user.email=a@a am -q "$mail"/000[1-3]*
	grep -q ours "$linux/mm/ours.c"
	[ ! -L "$linux/mm/ours.c" ]
}

test_mbox_says_when_the_tree_is_another_one()
{
	mkdir "$work/scripts"
	cp "$workbench"/*.sh "$work/scripts/"
	# tree.sh would put the link right: the check must do without it.
	printf '#!/bin/bash\nexit 0\n' > "$work/scripts/tree.sh"
	echo "int other;" > "$work/other.c"
	ln -sfn "$work/other.c" "$linux/mm/ours.c"
	workbench=$work/scripts refuses "is not the tree that is built" mbox linux
}

test_mbox_refuses_a_trailer_that_names_no_new_file()
{
	make_edit 5 mm/a.c "mm: first" "Overlay: mm/nowhere.c"
	refuses "names Overlay: mm/nowhere.c, which is no new file" mbox linux
}

test_mbox_of_nothing_says_so()
{
	rm "$root/mm/ours.c"
	run mbox | tee "$work/out"
	same "$(grep -c 'nothing to mail' "$work/out")" 3
	[ ! -e "$root/build/qemu" ]
}

# ---- second base

test_basecheck_knows_a_base_that_the_series_does_not_fit()
{
	says "linux: no edits" basecheck
	make_edit 5 virt/kvm/k.c "KVM: fits both"
	says "linux: 1 edits apply to linux-source-6.1 6.1.1" basecheck
	make_edit 31 virt/kvm/k.c "KVM: fits the first only"
	refuses "kvm-fits-the-first-only.patch does not apply to linux-source-6.1 6.1.1" basecheck linux
	same "$(git -C "$linux" log -1 --format=%s base)" "linux-source-6.1 6.1.2"
}

# The first base lacks a file that the second one has: ours may have its path here, but not there.
test_basecheck_knows_a_new_file_that_the_second_base_has()
{
	local dir=$work/linux-source-6.1

	make_edit 5 virt/kvm/k.c "KVM: fits both"
	cp -a "$linux" "$dir"
	git -C "$dir" checkout -q base
	rm -rf "$dir/.git" "$dir/mm/ours.c"
	echo "int theirs;" > "$dir/mm/ours.c"
	sed -i '/\t6\.1\.1\t/d' "$root/versions"
	fixture=$root pack_kernel 6.1.1 "$dir" >> "$root/versions"
	refuses "mm/ours.c is a new file here, but linux-source-6.1 6.1.1 or an edit has it too" basecheck linux
	run tree linux
}

test_basecheck_unpacks_touched_files_only()
{
	make_edit 31 virt/kvm/k.c "KVM: fits the first only"
	refuses "does not apply" basecheck linux
	same "$(cd "$root/build/.tmp-base-linux" && find . -path ./.git -prune -o -type f -print)" ./virt/kvm/k.c
}

# ---- lint

lint_says()
{
	refuses "$1" lint
}

test_lint_is_clean_on_a_clean_tree()
{
	make_edit 5 mm/a.c "mm: change a line"
	says "^lint: 0 problems" lint
}

test_lint_knows_wrong_series_files()
{
	make_edit 5 mm/a.c "mm: change a line"
	cp "$root/mm/edits/mm-change-a-line.patch" "$root/mm/edits/stray.patch"
	lint_says "series: does not name mm/edits/stray.patch"
	rm "$root/mm/edits/stray.patch"
	cat "$root/series" "$root/series" > "$work/series"
	cp "$work/series" "$root/series"
	lint_says "names twice: mm/edits/mm-change-a-line.patch"
	echo mm/edits/gone.patch > "$root/series"
	lint_says "names a file that does not exist: mm/edits/gone.patch"
}

test_lint_knows_the_budget()
{
	sed -i "10r /dev/stdin" "$linux/mm/a.c" < <(seq 26 | sed 's/.*/int more_&;/')
	commit "mm: much"
	says "adds 26 lines, 25 is the budget" refresh linux
	lint_says "mm/edits/mm-much.patch: hunk at mm/a.c:8 adds 26 lines"
	echo "mm/edits/mm-much.patch 26 a table" > "$root/tools/workbench/budget"
	run lint
	for i in 1 2 3; do
		sed -i "${i}0r /dev/stdin" "$linux/virt/kvm/k.c" < <(seq 120 | sed "s/.*/int many_${i}_&;/")
	done
	commit "KVM: many"
	run refresh linux
	echo "virt/kvm/edits/kvm-many.patch 120 a table" >> "$root/tools/workbench/budget"
	lint_says "the kernel edits add 386 lines, 350 is the budget"
}

test_lint_knows_style_licences_and_words()
{
	echo 'int x; /* BAD */' >> "$root/mm/ours.c"
	lint_says "mm/ours.c:3: WARNING:BAD"
	echo 'int y;' > "$root/mm/ours.c"
	lint_says "mm/ours.c:1: no SPDX"
	printf '// SPDX-License-Identifier: GPL-2.0-only\n/* see /wor%s/x */\n' k > "$root/mm/ours.c"
	lint_says "mm/ours.c:2:.*forbidden"
	# shellcheck disable=SC2016 # the text of a script
	printf '#!/bin/bash\n# SPDX-License-Identifier: GPL-2.0-only\necho $1\n' > "$root/tools/run"
	lint_says "tools/run:3:.*SC2086"
}

test_lint_knows_a_new_file_in_an_edit()
{
	make_edit 5 mm/a.c "mm: change a line"
	printf 'diff --git a/mm/n.c b/mm/n.c\nnew file mode 100644\n--- /dev/null\n+++ b/mm/n.c\n@@ -0,0 +1 @@\n+int n;\n' \
		>> "$root/mm/edits/mm-change-a-line.patch"
	lint_says "an edit adds a file"
}

# ---- configuration

test_kconfig_makes_a_lost_option_fatal()
{
	[ -f "$real_linux/Kconfig" ] || skip "build/linux is not there"
	printf 'CONFIG_64BIT=y\nCONFIG_PRINTK=y\n' > "$work/good"
	"$workbench/kconfig.sh" "$real_linux" "$work/o" "$work/good"
	grep -q CONFIG_PRINTK=y "$work/o/.config"
	# Its dependency, CONFIG_NET, is off.
	printf 'CONFIG_64BIT=y\nCONFIG_INET=y\n' > "$work/lost"
	! "$workbench/kconfig.sh" "$real_linux" "$work/o" "$work/lost" > "$work/out" 2>&1 || fail "a lost option passed"
	grep -q CONFIG_INET=y "$work/out"
	[ ! -e "$work/o/.config" ] || fail "the bad configuration is left for a build to use"
}

# A kernel whose build drops a line, as one does whose Kconfig files changed since the configuration was made.
# shellcheck disable=SC2016 # the text of a makefile
test_a_line_that_the_build_drops_is_fatal()
{
	local machine=$root/tools/testing/selftests/kvm/qemu

	mkdir -p "$machine"
	cp "$workbench"/*.sh "$root/tools/workbench/"
	printf 'CONFIG_KEPT=y\nCONFIG_LOST=y\n' > "$machine/kernel.config"
	printf 'allnoconfig:\n\tcp $(KCONFIG_ALLCONFIG) $(O)/.config\nbzImage:\n\t%s\n' "touch \$(O)/built" > "$linux/Makefile"
	run build kernel
	[ -f "$root/build/linux-o/.built" ]
	printf 'allnoconfig:\n\tcp $(KCONFIG_ALLCONFIG) $(O)/.config\nbzImage:\n\t%s\n' "sed -i /LOST/d \$(O)/.config" > "$linux/Makefile"
	refuses "did not survive the build" build kernel
	[ ! -f "$root/build/linux-o/.built" ] || fail "the build counts"
}
