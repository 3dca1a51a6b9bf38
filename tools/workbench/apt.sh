# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# An apt of our own: the archives that the system already uses, plus their source packages, with
# index and downloads under the user's cache. The system's configuration is read, never written.
# Sourced after lib.sh. Gives: apt_get, apt_cache, apt_refresh.

apt_dir=$cache/apt

apt_opts()
{
	printf '%s\n' -o "Dir::Etc::sourcelist=$apt_dir/sources.list" -o Dir::Etc::sourceparts=/dev/null \
		-o "Dir::State::lists=$apt_dir/lists" -o "Dir::Cache=$apt_dir/cache" \
		-o "Dir::State::status=${APT_STATUS:-/var/lib/dpkg/status}" \
		-o "Dir::State::extended_states=$apt_dir/extended_states" \
		-o APT::Sandbox::User= -o Debug::NoLocking=1 -o Acquire::Languages=none -o Acquire::Retries=2
}

apt_get()
{
	local opts

	mapfile -t opts < <(apt_opts)
	apt-get -q -y "${opts[@]}" "$@"
}

apt_cache()
{
	local opts

	mapfile -t opts < <(apt_opts)
	apt-cache "${opts[@]}" "$@"
}

# The system's bookworm archives, with deb-src beside deb.
apt_sources()
{
	local uri suite component key=/usr/share/keyrings/debian-archive-keyring.gpg

	# shellcheck disable=SC2016 # apt's own variables
	apt-get indextargets --format '$(ORIGIN)|$(REPO_URI)|$(RELEASE)|$(COMPONENT)|$(CODENAME)' \
		'Created-By: Packages' | sort -u |
	while IFS='|' read -r origin uri suite component codename; do
		case "${origin:-Debian} ${codename:-$suite}" in
		"Debian bookworm"*|"Debian oldstable"*|"Debian stable"*) ;;
		*) continue ;;
		esac
		[ "$component" = main ] || continue
		printf '%s [signed-by=%s] %s %s %s\n' deb "$key" "$uri" "$suite" "$component" \
			deb-src "$key" "$uri" "$suite" "$component"
	done
}

# Renew the index when it is missing or older than an hour, or when told to (force).
apt_refresh()
{
	local stamp=$apt_dir/updated

	mkdir -p "$apt_dir/lists/partial" "$apt_dir/cache/archives/partial"
	if [ "${1:-}" != force ] && [ -n "$(find "$stamp" -mmin -60 2>/dev/null)" ]; then
		return 0
	fi
	apt_sources > "$apt_dir/sources.list"
	[ -s "$apt_dir/sources.list" ] ||
		die "no Debian bookworm archive is configured on this machine (apt-get indextargets lists none)"
	apt_get update > "$apt_dir/update.log" 2>&1 ||
		die "cannot read the package index: $(grep -m1 -E '^(E|W|Err)' "$apt_dir/update.log" || echo 'apt-get update failed') (log: $apt_dir/update.log)"
	# apt-get update reports an unreachable archive as a warning and succeeds.
	if ! ls "$apt_dir"/lists/*_Packages* > /dev/null 2>&1; then
		die "no network or no archive: the package index is empty (log: $apt_dir/update.log)"
	fi
	touch "$stamp"
}
