# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Tests of tree.sh, discard.sh and of what refresh.sh refuses: the traps, imports, work that is not lost. Sourced by workbench_test.sh, which finds the functions by their names.

# ---- traps: each shows the tool's behaviour first, then ours

test_git_add_without_force_adds_nothing_from_debians_kernel()
{
	mkdir bare
	cd bare || exit
	write_kernel 1 .
	git init -q .
	git add -A
	same "$(git ls-files | grep -vc '^debian')" 0
	same "$(git -C "$linux" ls-files | wc -l)" "$(cd "$linux" && find . -path ./.git -prune -o -type f -print | wc -l)"
}

test_git_apply_in_an_ignored_folder_applies_nothing_but_ours_fails()
{
	make_edit 5 mm/a.c "mm: change a line"
	git -C "$root" init -q
	echo /build/ > "$root/.gitignore"
	rm -rf "$linux/.git"
	git -C "$linux" checkout -q . 2>/dev/null || sed -i 's/edited_5/line_5/' "$linux/mm/a.c"
	(cd "$linux" && git apply "$root/mm/edits/mm-change-a-line.patch")
	grep -q line_5 "$linux/mm/a.c" || fail "git apply did apply"
	refuses "not made by this script" tree linux
	refuses "not made by" refresh linux
}

test_patch_takes_a_drifted_context_but_ours_refuses()
{
	local before

	make_edit 5 mm/a.c "mm: change a line"
	git -C "$linux" reset -q --hard base
	git -C "$linux" update-ref refs/workbench/applied base
	sed -i 's/^ int line_2;/ int elsewhere_2;/' "$root/mm/edits/mm-change-a-line.patch"
	(cd "$linux" && patch -p1 --dry-run < "$root/mm/edits/mm-change-a-line.patch" | grep -q fuzz) ||
		fail "patch found no fuzz"
	before=$(git -C "$linux" rev-parse HEAD)
	refuses "mm/edits/mm-change-a-line.patch does not apply to linux-source-6.1 6.1.2: see .*build/logs/" tree linux
	same "$(git -C "$linux" rev-parse HEAD)" "$before"
	same "$(git -C "$linux" status --porcelain)" ""
}

test_a_patch_that_changes_nothing_is_refused()
{
	make_edit 5 mm/a.c "mm: change a line"
	sed -i 's|mm/edits.*|&\nmm/edits/again.patch|' "$root/series"
	sed '/^diff/,$d' "$root/mm/edits/mm-change-a-line.patch" > "$root/mm/edits/again.patch"
	refuses "again.patch does not apply" tree linux
}

test_a_wrong_patch_leaves_the_tree_as_it_was()
{
	make_edit 5 mm/a.c "mm: change a line"
	echo "mm/edits/none.patch" >> "$root/series"
	refuses "names mm/edits/none.patch, which does not exist" tree linux
	echo "no patch" > "$root/mm/edits/none.patch"
	refuses "none.patch does not apply" tree linux
	grep -q edited_5 "$linux/mm/a.c"
	same "$(git -C "$linux" status --porcelain)" ""
}

# ---- tree

test_tree_applies_edits_and_links_new_files()
{
	make_edit 5 mm/a.c "mm: change a line"
	rm -rf "$root/build"
	run tree linux
	grep -q edited_5 "$linux/mm/a.c"
	same "$(readlink "$linux/mm/ours.c")" ../../../mm/ours.c
	echo "int more;" >> "$root/mm/ours.c"
	grep -q more "$linux/mm/ours.c"
	same "$(git -C "$linux" status --porcelain)" ""
	mv "$root" "$root.moved"
	grep -q more "$root.moved/build/linux/mm/ours.c" || fail "the links do not survive a move of the clone"
}

test_tree_again_touches_nothing()
{
	local before

	make_edit 5 mm/a.c "mm: change a line"
	run tree linux
	before=$(cd "$linux" && find . -path ./.git -prune -o -printf '%p %T@ %C@\n' | sort)
	run tree linux
	same "$(cd "$linux" && find . -path ./.git -prune -o -printf '%p %T@ %C@\n' | sort)" "$before"
}

test_tree_moves_the_time_of_changed_files_only()
{
	make_edit 5 mm/a.c "mm: change a line"
	make_edit 5 virt/kvm/k.c "KVM: change a line"
	find "$linux" -path "$linux/.git" -prune -o -type f -exec touch -d '2020-01-01' {} +
	sed -i 's/edited_5/other_5/' "$root/virt/kvm/edits/kvm-change-a-line.patch"
	run tree linux
	same "$(find "$linux" -path "$linux/.git" -prune -o -type f -newermt 2021-01-01 -print)" "$linux/virt/kvm/k.c"
}

test_tree_gives_the_same_commit_everywhere()
{
	local first

	make_edit 5 mm/a.c "mm: change a line"
	first=$(git -C "$linux" rev-parse HEAD)
	rm -rf "$root/build"
	TZ=Asia/Tokyo run tree linux
	same "$(git -C "$linux" rev-parse HEAD)" "$first"
}

test_tree_of_a_source_package_has_debians_patches()
{
	run tree qemu
	grep -q debian "$root/build/qemu/hw/edu.c"
	[ ! -e "$root/build/qemu/.pc" ]
}

test_tree_removes_dead_links_and_empty_folders()
{
	mkdir -p "$root/mm/deep/er"
	echo > "$root/mm/deep/er/x.h"
	run tree linux
	[ -e "$linux/mm/deep/er/x.h" ]
	rm -r "$root/mm/deep"
	run tree linux
	[ ! -L "$linux/mm/deep/er/x.h" ] && [ ! -e "$linux/mm/deep" ] && [ -e "$linux/mm/ours.c" ]
}

test_tree_refuses_a_new_file_that_the_base_has()
{
	echo > "$root/mm/a.c"
	refuses "mm/a.c is a new file here, but linux-source-6.1 6.1.2 or an edit has it too" tree linux
	grep -q line_5 "$linux/mm/a.c"
}

test_tree_refuses_a_plain_file_in_place_of_a_link()
{
	rm "$linux/mm/ours.c"
	echo precious > "$linux/mm/ours.c"
	refuses "plain file where a link" tree linux
	grep -q precious "$linux/mm/ours.c"
}

test_tree_ignores_editor_leftovers_and_the_platform()
{
	mkdir -p "$root/tools/testing/selftests/kvm/qemu" "$root/mm/edits"
	touch "$root/mm/.gitkeep" "$root/mm/ours.c~" "$root/tools/testing/selftests/kvm/qemu/init.c" "$root/mm/edits/x.c"
	run tree linux
	same "$(cat "$linux/.git/workbench/overlay")" mm/ours.c
}

test_a_killed_import_leaves_nothing_that_counts()
{
	rm -rf "$root/build"
	mkdir "$work/bin"
	# shellcheck disable=SC2016 # the text of a script
	printf '#!/bin/bash\nPATH=${PATH#*:}\ncase "$*" in *"add -Af"*) touch %q/adding; sleep 30 ;; esac\nexec git "$@"\n' \
		"$work" > "$work/bin/git"
	chmod +x "$work/bin/git"
	PATH=$work/bin:$PATH setsid "$workbench/tree.sh" linux &
	until [ -e "$work/adding" ]; do sleep 0.1; done
	kill -KILL -- "-$!"
	wait "$!" || true
	[ ! -e "$linux" ] || fail "a tree is there"
	run tree linux
	same "$(cat "$linux/version")" 6.1.2
	[ ! -e "$root/build/.tmp-linux" ]
}

test_a_broken_package_gives_no_tree()
{
	rm -rf "$root/build"
	truncate -s 2000 "$root"/dl/linux-source-6.1_6.1.2_all.deb
	refuses "cannot unpack" tree linux
	[ ! -e "$linux" ]
}

test_a_killed_checkout_is_finished()
{
	local done_commit

	make_edit 5 mm/a.c "mm: change a line"
	make_edit 9 virt/kvm/k.c "KVM: change a line"
	done_commit=$(git -C "$linux" rev-parse HEAD)
	git -C "$linux" reset -q --hard base
	git -C "$linux" update-ref refs/workbench/applied base
	git -C "$linux" update-ref refs/workbench/next "$done_commit"
	sed -i 's/line_5;/edited_5;/' "$linux/mm/a.c"
	run tree linux
	same "$(git -C "$linux" rev-parse HEAD)" "$done_commit"
	same "$(git -C "$linux" status --porcelain)" ""
	grep -q edited_9 "$linux/virt/kvm/k.c"
}

test_a_new_pin_moves_the_tree_only_if_the_series_fits()
{
	local before

	make_edit 5 virt/kvm/k.c "KVM: fits both"
	sed -i '/6\.1\.2/d' "$root/versions"
	run tree linux
	same "$(git -C "$linux" log -1 --format=%s base)" "linux-source-6.1 6.1.1"
	grep -q edited_5 "$linux/virt/kvm/k.c"
	grep -q drifted_30 "$linux/virt/kvm/k.c"
	cp "$fixture/versions" "$root/versions"
	run tree linux
	make_edit 31 virt/kvm/k.c "KVM: fits the first only"
	before=$(git -C "$linux" rev-parse HEAD)
	sed -i '/6\.1\.2/d' "$root/versions"
	refuses "kvm-fits-the-first-only.patch does not apply to linux-source-6.1 6.1.1" tree linux
	same "$(git -C "$linux" rev-parse HEAD)" "$before"
}

test_a_path_that_make_cannot_take_is_refused_at_once()
{
	for name in "a b" a:b a,b; do
		cp -a "$fixture" "$work/$name"
		use "$work/$name"
		rm -rf "$root/build"
		refuses "the clone's path holds a blank, a comma or a colon.*$name" tree linux
		[ ! -e "$root/build" ] || fail "something was made"
	done
}

# ---- no work is lost

test_tree_refuses_work_that_is_in_no_patch()
{
	make_edit 5 mm/a.c "mm: change a line"
	sed -i 's/edited_5/other_5/' "$root/mm/edits/mm-change-a-line.patch"
	sed -i 's/line_9;/mine_9;/' "$linux/virt/kvm/k.c"
	refuses "holds uncommitted changes that no patch has.*make refresh.*make discard DISCARD=linux" tree linux
	DIRTY=1 run tree linux
	commit "KVM: mine"
	refuses "holds commits" tree linux
	grep -q mine_9 "$linux/virt/kvm/k.c"
	grep -q edited_5 "$linux/mm/a.c"
	git -C "$linux" reset -q --hard HEAD~1
	echo mine > "$linux/mm/mine.c"
	refuses "holds a new file \(mm/mine.c\)" tree linux
	same "$(cat "$linux/mm/mine.c")" mine
	rm "$linux/mm/mine.c"
	touch "$linux/mm/mine.o"
	run tree linux
	git -C "$linux" checkout -q -b elsewhere
	refuses "another branch" tree linux
}

test_check_knows_all_work_that_a_removal_would_lose()
{
	run tree --check linux
	sed -i 's/line_9;/mine_9;/' "$linux/virt/kvm/k.c"
	refuses "uncommitted changes" tree --check linux
	git -C "$linux" -c user.name=A -c user.email=a@a stash -q
	refuses "holds work on refs/stash" tree --check linux
	git -C "$linux" stash drop -q
	run tree --check linux
	git -C "$linux" branch wip
	refuses "holds work on refs/heads/wip" tree --check linux
	# A change of base removes the old tree, too.
	sed -i '/6\.1\.2/d' "$root/versions"
	run tree linux
	git -C "$root"/build/linux.old-* rev-parse -q --verify refs/heads/wip
}

test_clean_removes_what_is_built_and_nothing_that_is_work()
{
	export MP_CACHE=$work/cache
	mkdir -p "$MP_CACHE"
	sed -i 's/line_9;/mine_9;/' "$linux/virt/kvm/k.c"
	refuses "build/linux is kept: nothing was removed" clean all
	grep -q mine_9 "$linux/virt/kvm/k.c"
	git -C "$linux" checkout -q .
	mkdir "$root/build/edk2.old-1"
	refuses "edk2.old-1 holds work that was set aside" clean
	rmdir "$root/build/edk2.old-1"
	refuses "unknown argument 'x'" clean x
	[ -e "$linux/version" ]
	run clean
	[ ! -e "$root/build" ] && [ -e "$MP_CACHE" ] && [ -e "$root/mm/ours.c" ]
	run tree linux
	run clean all
	[ ! -e "$root/build" ] && [ ! -e "$MP_CACHE" ]
}

test_discard_keeps_everything_under_a_ref()
{
	local ref

	sed -i 's/line_9;/committed_9;/' "$linux/virt/kvm/k.c"
	commit "KVM: mine"
	sed -i 's/line_5;/changed_5;/' "$linux/mm/a.c"
	echo new > "$linux/mm/mine.c"
	run discard
	same "$(git -C "$linux" status --porcelain)" ""
	[ ! -e "$linux/mm/mine.c" ]
	run tree linux
	ref=$(git -C "$linux" for-each-ref --format='%(refname)' refs/workbench/discarded)
	same "$(git -C "$linux" show "$ref:mm/mine.c")" new
	git -C "$linux" show "$ref:mm/a.c" | grep -q changed_5
	git -C "$linux" show "$ref~1:virt/kvm/k.c" | grep -q committed_9
	same "$(git -C "$linux" ls-tree -r --name-only "$ref" | grep -c ours.c || true)" 0
}

test_mutants_refuse_a_dirty_tree()
{
	mkdir -p "$root/tools/workbench/mutants"
	printf 'Kernel: fast\nTest: true\n--- a/mm/a.c\n+++ b/mm/a.c\n@@ -9 +9 @@\n-int line_9;\n+int mutant_9;\n' \
		> "$root/tools/workbench/mutants/x.patch"
	sed -i 's/line_5;/mine_5;/' "$linux/mm/a.c"
	refuses "holds uncommitted changes" mutants
	DIRTY=1 refuses "DIRTY=1: .*loses what is not committed" mutants
	grep -q mine_5 "$linux/mm/a.c"
}

# The message has the command that gives the work up; it is run as it stands there.
test_clean_refuses_while_discarded_work_is_there()
{
	local commands=0

	for line in 9 20; do
		sed -i "s/line_$line;/mine_$line;/" "$linux/virt/kvm/k.c"
		run discard linux
	done
	while git -C "$linux" for-each-ref refs/workbench/discarded | grep -q .; do
		refuses "holds work that was set aside as refs/workbench/discarded/[0-9T.]*: \`git .*\` deletes it" clean
		grep -q "nothing was removed" "$work/out"
		[ -e "$linux/version" ] || fail "clean removed the tree"
		# shellcheck disable=SC2016 # the quotes are the message's
		(cd "$root" && eval "$(sed -n 's/.*`\(git .*\)` deletes it/\1/p' "$work/out")")
		commands=$((commands + 1))
	done
	same "$commands" 2
	run clean
	[ ! -e "$root/build" ]
}

test_refresh_refuses_what_it_cannot_export()
{
	sed -i 's/line_9;/x_9;/' "$linux/mm/a.c"
	refuses "uncommitted changes" refresh linux
	commit "net: no folder"
	refuses "subject begins with mm:" refresh linux
	git -C "$linux" -c user.name=A -c user.email=a@a commit -q --amend -m "mm: x"
	echo > "$linux/mm/new.c"
	refuses "mm/new.c is new there: move it to mm/new.c" refresh linux
	git -C "$linux" add -f mm/new.c
	commit "mm: add a file"
	refuses "adds mm/new.c" refresh linux
	git -C "$linux" reset -q --hard HEAD~1
	git -C "$linux" checkout -q --detach
	refuses "not on its branch" refresh linux
	same "$(patches_sum)" ""
}

test_two_commits_of_one_name_are_refused()
{
	make_edit 5 mm/a.c "mm: change a line"
	sed -i 's/line_9;/x_9;/' "$linux/mm/a.c"
	commit "mm: Change: a Line!"
	refuses "both be mm/edits/mm-change-a-line.patch" refresh linux
}

test_refresh_refuses_to_drop_patches_that_came_later()
{
	make_edit 5 mm/a.c "mm: first"
	cp -a "$root" "$work/other"
	make_edit 20 mm/a.c "mm: second"
	cp "$root/series" "$work/other/series"
	cp "$root"/mm/edits/* "$work/other/mm/edits/"
	use "$work/other"
	refuses "run tree.sh linux first" refresh linux
	sed -i 's/line_40;/edited_40;/' "$linux/mm/a.c"
	commit "mm: third"
	refuses "rebase --onto refs/workbench/theirs refs/workbench/applied series" refresh linux
	git -C "$linux" -c user.name=A -c user.email=a@a rebase -q --onto refs/workbench/theirs refs/workbench/applied series
	run refresh linux
	same "$(cat "$root/series")" "$(printf 'mm/edits/mm-%s.patch\n' first second third)"
	run tree linux
}
