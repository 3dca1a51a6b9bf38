# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Our QEMU in the emulated host, with the guest that does as it is told (vmm-guest.c), and lines
# of TAP. Sourced by vmm-*.sh, in a folder with QEMU and that guest's image, below one with
# guest-qmp.sh.
#
# Takes: work, a folder for this test; launcher, what QEMU is started behind; cpu, memory: of the
# guest; sev, more properties of its sev-guest; more, further arguments of QEMU.
# Sets: here, guest, pid (of QEMU), status (its end), and what tap.sh does.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
guest=$(dirname "$here")
launcher=() more=() sev='' cpu=EPYC,check=off memory=memory-backend-memfd-private,id=ram1,size=64M,allow-unreporting=on
pid='' status=''
. "$guest/guest-qmp.sh"
# shellcheck source=../../../../workbench/tap.sh
. "$here/tap.sh"

check_also()
{
	tail -n 4 "$work/err"
}

# The second is what it should be.
is()
{
	[ "$2" = "$1" ] || { echo "'$2' is not '$1'"; return 1; }
}

# holds CONDITION: one of arithmetic
holds()
{
	(($1)) || { echo "$1"; return 1; }
}

# said TIMES PATTERN: so many lines of QEMU's stderr match.
said()
{
	is "$1" "$(grep -cE -e "$2" "$work/err")"
}

# Not from the shared folder: each page of it that is executed would be a message to the machine.
vmm_prepare()
{
	rm -rf "$work"
	mkdir -p "$work"
	cp "$here/qemu-system-x86_64" "$here/vmm-guest.bin" "$work/"
}

# vmm_launch ARGUMENT...: QEMU and its monitor; what is common to all guests.
vmm_launch()
{
	rm -rf "$work/run"
	mkdir "$work/run"
	qmp_prepare "$work/run"
	"${launcher[@]}" "$work/qemu-system-x86_64" -accel kvm -cpu "$cpu" -nodefaults -nographic -monitor none \
		-L /usr/share/qemu -L /usr/share/seabios "${qmp_args[@]}" \
		-object sev-guest,id=sev0,cbitpos=47,reduced-phys-bits=1,policy=0x1"$sev" -object "$memory" \
		-machine q35,memory-backend=ram1,confidential-guest-support=sev0 "${more[@]}" "$@" \
		< /dev/null > "$work/out" 2> "$work/err" &
	pid=$!
}

# The guest that does as it is told; it says "ready".
vmm_start()
{
	rm -f "$work"/tty.*
	mkfifo "$work/tty.in" "$work/tty.out"
	# For reading and writing, so that neither end waits for the other one to open it.
	exec {tty_in}<> "$work/tty.in" {tty_out}<> "$work/tty.out"
	vmm_launch -chardev "pipe,id=tty,path=$work/tty" -serial chardev:tty -bios "$work/vmm-guest.bin"
}

tell()
{
	printf '%s\n' "$*" >&"$tty_in"
}

# The guest's next line, which may come in parts. The bound is for hangs, and for a QEMU that is gone.
hear()
{
	local line='' part tries

	for ((tries = 0; tries < 60; tries++)); do
		if IFS= read -r -t 2 -u "$tty_out" part; then
			echo "$line$part"
			return
		fi
		line+=$part
		kill -0 "$pid" 2>/dev/null || break
	done
	echo "no answer"
}

ask()
{
	tell "$@"
	hear
}

vmm_state()
{
	qmp query-status | sed -n 's/.*"status": "\([a-z-]*\)".*/\1/p'
}

# Wait until QEMU calls its state $1; print what it calls it. The bound is for hangs.
wait_state()
{
	local state tries

	for ((tries = 0; tries < 300; tries++)); do
		state=$(vmm_state)
		[ "$state" != "$1" ] || break
		sleep 0.2
	done
	echo "$state"
}

# letters SET: how many of these letters the guest has sent to the file "serial"
letters()
{
	tr -cd "$1" < "$work/serial" | wc -c
}

# wait_letters SET NUMBER: wait for as many of them. The bound is for hangs.
wait_letters()
{
	local tries

	for ((tries = 0; tries < 500; tries++)); do
		[ "$(letters "$1")" -lt "$2" ] || return 0
		[ "$(vmm_state)" = running ] || break
		sleep 1
	done
	echo "serial: $(cat "$work/serial")"
	return 1
}

# stat NAME: a number, or a word, of query-private-memory.
stat()
{
	qmp query-private-memory | sed -n "s/.*\"$1\": \"\{0,1\}\([^,}\"]*\).*/\1/p"
}

vmm_quit()
{
	qmp quit > /dev/null
	status=0
	wait "$pid" || status=$?
}
