# Shared by deploy/up, deploy/down and the tests. Sourced, not run.
#
# run/processes lists what deploy/up started, one line each: NAME PID STARTTIME. The start time
# (field 22 of /proc/PID/stat) tells a process of ours from a later one with the same number.

mesh_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

say() { printf '%s\n' "$*" >&2; }
die() { printf '%s: %s\n' "${program:-mesh}" "$*" >&2; exit 1; }

# Milliseconds of the boot-time clock.
now_ms() { local up; read -r up _ </proc/uptime; printf '%s' "$((10#${up%.*} * 1000 + 10#${up#*.} * 10))"; }

start_time_of() {
    local stat
    { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
    stat=${stat##*) }
    # shellcheck disable=SC2086
    set -- $stat
    printf '%s' "${20}"
}

# is_alive PID STARTTIME: still the same process, and no zombie.
is_alive() {
    local stat
    { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
    stat=${stat##*) }
    # shellcheck disable=SC2086
    set -- "$2" $stat
    [ "$2" != Z ] && [ "${21}" = "$1" ]
}

# start NAME COMMAND...: in the background, in a session of its own, output to run/log/NAME.log.
start() {
    local name=$1 pid
    shift
    # In the class of batch work: who wakes up does not push out who runs, so that a process finds
    # many messages when its turn comes, not one (docs/adr/0014). It needs no right, but a sandbox
    # may forbid it.
    if chrt --batch 0 true 2>/dev/null; then set -- chrt --batch 0 "$@"; fi
    # Records may be a second behind, and a rewrite of Redis' log has time: messages go first. A
    # session of its own is a group of its own for the scheduler, which does not look into it.
    if [ "$name" = redis ]; then
        # shellcheck disable=SC2016 # expanded by that shell
        set -- nice -n 5 sh -c '{ echo 5 >/proc/self/autogroup; } 2>/dev/null; exec "$@"' sh "$@"
    fi
    # What the caller has open (flock's file, a pipe, our own lock) is not the mesh's: it would stay
    # open, and locked, for as long as the mesh runs.
    (
        for fd in "/proc/$BASHPID/fd/"*; do
            fd=${fd##*/}
            if [ "$fd" -gt 2 ]; then exec {fd}>&-; fi
        done
        exec setsid "$@"
    ) >>"$run/log/$name.log" 2>&1 </dev/null &
    pid=$!
    disown "$pid"
    printf '%s %s %s\n' "$name" "$pid" "$(start_time_of "$pid" || echo 0)" >>"$run/processes"
}

# stop_all FILE: ends every process of the list, last started first: TERM, then after 10 s KILL.
stop_all() {
    local list=$1 name pid started deadline left
    [ -f "$list" ] || return 0
    local -a lines
    mapfile -t lines < <(tac "$list")
    for line in "${lines[@]}"; do
        read -r name pid started <<<"$line"
        is_alive "$pid" "$started" && kill -TERM "$pid" 2>/dev/null
    done
    deadline=$(($(now_ms) + 10000))
    while :; do
        left=
        for line in "${lines[@]}"; do
            read -r name pid started <<<"$line"
            is_alive "$pid" "$started" && left="$left $name($pid)"
        done
        [ -n "$left" ] || break
        if [ "$(now_ms)" -gt "$deadline" ]; then
            say "not ended by SIGTERM within 10 s, killed:$left"
            for line in "${lines[@]}"; do
                read -r name pid started <<<"$line"
                is_alive "$pid" "$started" && kill -KILL "$pid" 2>/dev/null
            done
            deadline=$(($(now_ms) + 10000))
        fi
        sleep 0.05
    done
    rm -f "$list"
}

# A loopback port that nothing listens on now. The caller tries another when a server loses the race.
# ports_drawn, a file: what it names was drawn before, and nothing listens there yet.
# UP_PORT_FIRST and UP_PORT_COUNT keep meshes that are started at the same moment apart.
free_port() {
    local port
    for _ in $(seq 200); do
        port=$((${UP_PORT_FIRST:-20000} + RANDOM % ${UP_PORT_COUNT:-12000}))
        [ -z "${ports_drawn:-}" ] || ! grep -qsx "$port" "$ports_drawn" || continue
        if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
            [ -z "${ports_drawn:-}" ] || echo "$port" >>"$ports_drawn"
            printf '%s' "$port"
            return 0
        fi
    done
    die "no free loopback port among ${UP_PORT_COUNT:-12000} from ${UP_PORT_FIRST:-20000} on"
}

port_open() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# wait_port PORT PID NAME: until it listens; fails when the process has ended or after 10 s.
wait_port() {
    local deadline=$(($(now_ms) + 10000))
    while ! port_open "$1"; do
        [ -d "/proc/$2" ] || return 1
        [ "$(now_ms)" -lt "$deadline" ] || return 1
        sleep 0.02
    done
}

# json_number KEY: the number of that key in the JSON text on stdin (first occurrence).
json_number() { sed -n "s/.*\"$1\": *\(-\{0,1\}[0-9.]*\).*/\1/p" | head -n 1; }
