# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Talk QMP to the guest's QEMU over two pipes. Sourced by guest.sh and vmm-*.sh. Sets: qmp_args, QEMU's arguments.

qmp_args=()

# qmp_prepare FOLDER: before QEMU starts
qmp_prepare()
{
	mkfifo "$1/qmp.in" "$1/qmp.out"
	# For reading and writing, so that neither end waits for the other one to open it.
	exec {qmp_in}<> "$1/qmp.in" {qmp_out}<> "$1/qmp.out"
	qmp_args=(-chardev "pipe,id=qmp,path=$1/qmp" -mon "chardev=qmp,mode=control")
	# Nothing else is taken before this, and its answer is passed over.
	echo '{"execute": "qmp_capabilities", "id": "begin"}' >&"$qmp_in"
}

# The next answer. The greeting, events and the answer to qmp_capabilities are passed over; what came with the
# answer in one read is lost, which is an event at most: there is one command at a time.
qmp_answer()
{
	timeout 200 sed -n '/"id": "begin"/ d; /^{"\(return\|error\)":/ { p; q }' <&"$qmp_out" | tr -d '\r'
}

# qmp COMMAND [ARGUMENTS]: print what the command returned, in one line; status 1 and the error on stderr
# when it failed, or when nobody answers.
qmp()
{
	local answer

	printf '{"execute": "%s"%s}\n' "$1" "${2:+, \"arguments\": $2}" >&"$qmp_in"
	answer=$(qmp_answer)
	case $answer in
	'{"return": '*'}')
		answer=${answer#'{"return": '}
		echo "${answer%'}'}"
		;;
	*)
		echo "QMP $1: ${answer:-no answer}" >&2
		return 1
		;;
	esac
}
