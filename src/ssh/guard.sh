#!/bin/sh
# The guard. Comments stay at home: embed.cmake drops the lines that begin with one. It reads
#   run  STATE FENCE STEP ATTEMPT WITHIN_S INPUT_BYTES PROGRAM [ARGUMENT...]
#   over STATE FENCE STEP ATTEMPT WITHIN_S
# and ends with 75 when the token is smaller than the one in STATE/guard, 76 when it cannot do its work, 77 when an older
# command does not end, each with a sentence of its own; else as the command ends.
mode=$1 state=$2 fence=$3 step=$4 attempt=$5 within=$6
refuse() {
	status=$1
	shift
	printf 'domicile-guard: %s\n' "$*" >&2
	exit "$status"
}
for each in flock timeout sync stat head mv id; do
	command -v "$each" >/dev/null || refuse 76 "the host has no program \"$each\""
done
# A line of /proc/PID/stat: is it of that process group?
is_of() {
	rest=${1##*) } rest=${rest#* } rest=${rest#* }
	[ "${rest%% *}" = "$2" ]
}
read -r line <"/proc/$$/stat"
is_of "$line" $$ || refuse 76 "the SSH server does not give a command its own process group"
mask=$(umask)
umask 077
mkdir -p "$state"
[ -w "$state" ] || refuse 76 "the directory \"$state\" cannot be written"

# No other account made the state, or can put something else in its place: it is a directory of our own that only we write;
# and where everybody can write a directory above, the part of the path that stands in it is root's or our own, and stays.
places() {
	place=${1%/}
	set -- "$place"
	while [ -n "$place" ]; do
		place=${place%/*}
		set -- "$@" "${place:-/}"
	done
	stat -c '%u %A' "$@"
}
self=$(id -u) inside=
while read -r owner access; do
	case $inside,$access in
	,d????-??-*) [ "$owner" = "$self" ] || refuse 76 "the directory \"$state\" belongs to another account" ;;
	,l*) refuse 76 "\"$state\" is a symbolic link" ;;
	,*) refuse 76 "the directory \"$state\" can be written by other accounts" ;;
	*,????????w[tT]) [ "$inside" = 0 ] || [ "$inside" = "$self" ] || refuse 76 "another account made a part of the path \"$state\"" ;;
	*,????????w*) refuse 76 "a directory above \"$state\" can be written by every account" ;;
	esac
	inside=$owner
done <<-PLACES
	$(places "$state")
PLACES
for each in guard guard.lock; do
	[ ! -L "$state/$each" ] || refuse 76 "\"$state/$each\" is a symbolic link"
done
# What is there already is not opened for writing, wherever it leads.
set -C

# 5 is the channel's input, which ends with the session. The command's own input is spooled to a file without a name: a
# pipe that the command does not read would hide the end of the session.
exec 5<&0 8</dev/null
if [ "$mode" = run ] && [ "$7" -gt 0 ]; then
	rm -f "$state/input.$$"
	# shellcheck disable=SC2094
	exec 7>"$state/input.$$" 8<"$state/input.$$"
	rm -f "$state/input.$$"
	head -c "$7" <&5 >&7
	exec 7>&-
	[ "$(stat -c %s - <&8)" = "$7" ] || refuse 76 "the input of the command was cut off"
fi

# Under the lock: compare, record, register.
exec 9>>"$state/guard.lock"
flock -w "$within" 9 || refuse 76 "another command holds the lock \"$state/guard.lock\""
seen_fence=0 seen_step=0 seen_attempt=0
if [ -e "$state/guard" ]; then
	read -r seen_fence seen_step seen_attempt <"$state/guard"
	case "$seen_fence,$seen_step,$seen_attempt" in
	*[!0-9,]* | ,* | *, | *,,*) refuse 76 "the file \"$state/guard\" is damaged" ;;
	esac
fi
older() {
	[ "$1" -lt "$4" ] && return 0
	[ "$1" -eq "$4" ] || return 1
	[ "$2" -lt "$5" ] && return 0
	[ "$2" -eq "$5" ] || return 1
	[ "$3" -lt "$6" ]
}
if older "$fence" "$step" "$attempt" "$seen_fence" "$seen_step" "$seen_attempt"; then
	refuse 75 "the token $fence.$step.$attempt is too old: $seen_fence.$seen_step.$seen_attempt was used here"
fi
if older "$seen_fence" "$seen_step" "$seen_attempt" "$fence" "$step" "$attempt"; then
	if ! { rm -f "$state/guard.new" && echo "$fence $step $attempt" >"$state/guard.new" && sync "$state/guard.new" &&
		mv -f "$state/guard.new" "$state/guard" && sync "$state"; }; then
		refuse 76 "the file \"$state/guard\" cannot be written"
	fi
fi

# A command is registered by a file that it keeps locked for as long as it runs; 6 is that lock.
for each in "$state"/run.*; do
	[ -e "$each" ] && flock -n "$each" rm -f "$each"
done
if [ "$mode" = run ]; then
	exec 6>"$state/run.$fence.$step.$attempt.$$"
	flock 6
fi
exec 9>&-

# Of older commands: tell them to go, then see them gone, the whole process group. Its number is known to be theirs, since
# their lock was held a moment ago.
if [ "$mode" = over ]; then
	is_alive() {
		for stat in /proc/[0-9]*/stat; do
			read -r line 2>/dev/null <"$stat" || continue
			case $line in
			*") Z "*) ;;
			*) is_of "$line" "$1" && return 0 ;;
			esac
		done
		return 1
	}
	told=
	for each in "$state"/run.*; do
		[ -e "$each" ] || continue
		name=${each##*/run.}
		f=${name%%.*} rest=${name#*.}
		s=${rest%%.*} rest=${rest#*.}
		older "$f" "$s" "${rest%%.*}" "$fence" "$step" "$attempt" || continue
		flock -n "$each" rm -f "$each" && continue
		kill -TERM "${name##*.}" 2>/dev/null
		told="$told $name"
	done
	for name in $told; do
		flock -w "$within" "$state/run.$name" rm -f "$state/run.$name" ||
			refuse 77 "a command of ${name%.*} still runs"
		left=$((within * 10))
		while is_alive "${name##*.}"; do
			kill -KILL "-${name##*.}" 2>/dev/null
			left=$((left - 1))
			[ "$left" -gt 0 ] || refuse 77 "a process of a command of ${name%.*} does not end"
			sleep 0.1
		done
	done
	exit 0
fi

# This shell becomes timeout, so that the end of the command is the end of the channel. Beside it, in the same process
# group, one waits for the end of the session: a group's number is not given away while one is in it, so that the signal
# reaches timeout or nobody. timeout passes it on to the group, and kills what has not gone three seconds later; what the
# command has left in the group by then goes as well.
shift 7
umask "$mask"
{
	trap '' TERM
	cat >/dev/null
	kill -TERM $$ && sleep 4 && kill -KILL 0
} <&5 6>&- 8<&- >/dev/null 2>&1 &
exec timeout -k 3 "$within" sh -c 'exec "$@" 6>&-' domicile-guard "$@" <&8 5<&- 8<&-
