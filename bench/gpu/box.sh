# bench/gpu/box.sh, sourced by check.sh: steps that cannot take the others with them, and what is kept of each.
# Needs: $build, $logs, $results, $started (seconds since the epoch), $limit, $reserve (seconds of it), $group.

now() { echo $(($(date +%s) - started)); }
left() { echo $((limit - reserve - $(now))); }
# A line on the console and in the summary; where it cannot be written, that is said once.
say() {
  printf '%4ss %s\n' "$(now)" "$*"
  { printf '%4ss %s\n' "$(now)" "$*" >>"$results/summary.txt"; } 2>/dev/null || cannot_write summary.txt
}
# Lines of another program, as they are.
tell() {
  cat >"$logs/.tell"
  cut -c1-160 "$logs/.tell"
  { cut -c1-160 "$logs/.tell" >>"$results/summary.txt"; } 2>/dev/null || cannot_write summary.txt
}
unwritten=
cannot_write() {
  failed=1
  case " $unwritten " in *" $1 "*) return ;; esac
  unwritten="$unwritten $1"
  echo "gpu-check: cannot write $results/$1 ($(free_space)); the run goes on, its logs are in $logs" >&2
}
free_space() {
  df -Pk "$results" 2>/dev/null | awk 'NR == 2 { print $4 " KiB are free there" }' | grep . || echo "not known why"
}

# Text and lines as JSON: printable ASCII, and nothing that ends a string.
json_text() {
  printf '"%s"' "$(printf '%s' "$1" | tr '\n\t' '  ' | LC_ALL=C tr -cd '\040-\176' | sed 's/[\\"]/\\&/g')"
}
json_or_null() { if [ -n "$1" ]; then json_text "$1"; else printf null; fi; }
json_lines() { # of a file, as the elements of an array
  separator=
  while IFS= read -r line; do
    printf '%s%s' "$separator" "$(json_text "$line")"
    separator=', '
  done <"$1"
}

# limited SECONDS LOG COMMAND...: its exit code; 124 when it was stopped; 125 when it does not even end then, as a
# process that waits for a dead GPU may: it is left behind. `kill $job` ends it before.
limited() {
  seconds=$1 log=$2
  shift 2
  rm -f "$log.code"
  (
    trap 'kill $child; exit' TERM
    timeout -k 3 "$seconds" "$@" >"$log" 2>&1 </dev/null &
    child=$!
    wait $child
    echo $? >"$log.code"
  ) 2>/dev/null &
  job=$! end=$(($(date +%s) + seconds + 6))
  while [ ! -s "$log.code" ]; do
    [ "$(date +%s)" -lt "$end" ] || return 125
    sleep 0.05
  done
  code=$(cat "$log.code")
  rm -f "$log.code"
  [ "$code" -ne 137 ] || code=124
  return "$code"
}

# What became of a command, by its exit code and the seconds that it had.
outcome() {
  case $1 in
    0) echo passed ;;
    124) echo "not finished in $2 s" ;;
    125) echo "not finished in $2 s, and cannot be stopped" ;;
    12[89] | 13[0-9] | 14[0-9]) echo "crashed ($1)" ;;
    *) echo "failed ($1)" ;;
  esac
}

# The lines of a log that tell why something failed, four at most.
telling() {
  grep -aE 'Failure|FAILED|[Ee]rror|ERROR|wrong|WRONG|Invalid|refuse|cannot|mfq_|Hazard' "$1" | head -n 4 |
    cut -c1-300 >"$1.says"
  [ -s "$1.says" ] || tail -n 2 "$1" | cut -c1-300 >"$1.says"
}

# note NAME RESULT SECONDS [LOG]: a step in the results, with the telling lines of its log.
note() {
  says=
  [ -z "${4:-}" ] || { telling "$4"; says=$(json_lines "$4.says"); rm -f "$4.says"; }
  printf '{"name": %s, "group": "%s", "result": %s, "seconds": %s, "says": [%s]}\n' "$(json_text "$1")" "$group" \
    "$(json_text "$2")" "$3" "$says" >>"$build/steps.jsonl"
}

# allowed SECONDS NAME: sets `seconds` to that or what is left; fails, and notes it, when that is not worth a start.
allowed() {
  seconds=$1
  [ "$seconds" -le "$(left)" ] || seconds=$(left)
  [ "$seconds" -lt 2 ] || return 0
  say "$2: not run: no time left"
  note "$2" "not run: no time left" 0
  failed=1
  return 1
}

# box NAME SECONDS COMMAND...: one step; its output is logs/NAME.log. Returns whether it passed.
box() {
  name=$1
  allowed "$2" "$name" || return 1
  shift 2
  began=$(date +%s) code=0
  limited "$seconds" "$logs/$name.log" "$@" || code=$?
  result=$(outcome "$code" "$seconds")
  say "$name: $result, $(($(date +%s) - began)) s"
  if [ "$code" -eq 0 ]; then
    note "$name" "$result" $(($(date +%s) - began))
  else
    failed=1
    note "$name" "$result" $(($(date +%s) - began)) "$logs/$name.log"
    telling "$logs/$name.log"
    sed 's/^/      /' "$logs/$name.log.says" | tell
    rm -f "$logs/$name.log.says"
  fi
  keep
  case $result in crashed* | *stopped | "not finished"*) survives ;; esac
  return "$code"
}

# What is learned is kept: the JSON and the archive of all logs, each renamed into place whole.
keep() {
  for log in "$logs"/*.log; do # nobody reads a megabyte of the same failure
    [ "$(wc -c <"$log" 2>/dev/null || echo 0)" -le 1000000 ] || {
      { head -c 400000 "$log"; printf '\n[...]\n'; tail -c 400000 "$log"; } >"$log.cut" && mv "$log.cut" "$log"
    }
  done
  new=$results/.new
  { write_results >"$new" && mv "$new" "$result_file"; } 2>/dev/null || cannot_write "${result_file##*/}"
  { tar czf "$new" -C "$logs/.." "${logs##*/}" && mv "$new" "$results/logs.tgz"; } 2>/dev/null || cannot_write logs.tgz
  rm -f "$new"
}

# After a crash or a hang: is the GPU still there for the steps behind?
survives() {
  limited 15 "$logs/survives.log" "$build/mfq" caps --device cuda:0 && return
  say "the GPU does not answer any more, so what is left cannot run: $(tail -n 1 "$logs/survives.log" | cut -c1-300)"
  note "the rest" "not run: the GPU does not answer" 0 "$logs/survives.log"
  failed=1
  finish 1
}
