# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A source package as the first commit of a git repository. Sourced after gitlib.sh.

# Unpack a source package into the new folder $2; with more arguments, these files of it only.
unpack()
{
	local file=$1 dir=$2

	shift 2

	case $file in
	*.deb)
		mkdir "$dir"
		dpkg-deb --fsys-tarfile "$file" | tar -xO --wildcards './usr/src/linux-source-*.tar.xz' |
			tar -xJ --strip-components=1 -C "$dir" --wildcards --no-wildcards-match-slash "${@/#/*/}"
		;;
	*.dsc)
		# Debian's own patches are part of the base; its record of them is not.
		dpkg-source --no-check --no-copy -x "$file" "$dir"
		rm -rf "$dir/.pc"
		;;
	*) die "do not know how to unpack $file" ;;
	esac
}

# The base as one commit. -f because Debian's kernel ignores its whole top level: without it git adds
# nothing and calls that success. The count is the check.
commit_base()
{
	local pin=$1 have want

	git -C "$tree" -c init.templateDir= init -q -b series
	mkdir -p "$tree/.git/info" "$tree/.git/workbench"
	# Bytes as they are: no line-ending or keyword rule of the tree's .gitattributes applies.
	echo '* -text -ident -filter -working-tree-encoding' > "$tree/.git/info/attributes"
	g config gc.auto 0
	g config core.untrackedCache true
	g add -Af
	want=$(cd "$tree" && find . -path ./.git -prune -o \( -type f -o -type l \) -print | wc -l)
	have=$(g ls-files | wc -l)
	if [ "$have" = 0 ] || [ "$have" != "$want" ]; then
		die "import of $pin: git holds $have of $want files"
	fi
	GIT_AUTHOR_NAME=$GIT_COMMITTER_NAME GIT_AUTHOR_EMAIL=$GIT_COMMITTER_EMAIL \
		GIT_AUTHOR_DATE='@0 +0000' GIT_COMMITTER_DATE='@0 +0000' \
		g commit -q -m "${pin% * *}" -m "${pin#* * }"
	g tag base
	g update-ref refs/workbench/applied HEAD
	echo "$pin" > "$tree/.git/workbench/pin"
}
