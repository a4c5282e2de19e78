#!/bin/sh
# headers.sh DIALECT COMPILER INCLUDE HEADER...: compiles each header alone, as strict c11, c++17 or cuda.
set -u
dialect=$1 compiler=$2 include=$3
shift 3
status=0
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

case $dialect in
  c11) flags="-std=c11 -x c" ;;
  c++17) flags="-std=c++17 -x c++" ;;
  cuda)
    # nvcc is slow to start: all headers in one file, in reverse order, so that each has to bring its own includes.
    for header in "$@"; do echo "#include <${header#"$include"/}>"; done | sort -r >"$work/all.cu"
    "$compiler" -x cu -c -std=c++17 -arch=sm_90 -fmad=false -Werror all-warnings -I "$include" -o /dev/null \
      "$work/all.cu"
    exit
    ;;
esac
[ $# -gt 0 ] || { echo "no headers"; exit 1; }
for header in "$@"; do
  printf '#include <%s>\n' "${header#"$include"/}" >"$work/alone.c"
  # Twice in one unit, so that a missing include guard shows.
  printf '#include <%s>\n' "${header#"$include"/}" >>"$work/alone.c"
  # shellcheck disable=SC2086
  "$compiler" $flags -pedantic-errors -Wall -Wextra -Wshadow -Werror -fsyntax-only -I "$include" "$work/alone.c" || {
    echo "not alone as $dialect: $header"
    status=1
  }
done
exit $status
