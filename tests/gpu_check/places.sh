#!/bin/sh
# tests/gpu_check/places.sh FOLDER: bench/gpu/places.sh finds a library where only the loader's path, a toolkit or a
# Python package has it, in this order, and says which it was.
set -eu
work=$1
source=$(cd "$(dirname "$0")/../.." && pwd)
rm -rf "$work"
packed=$work/site/nvidia/any/lib
mkdir -p "$work/toolkit/bin" "$work/toolkit/lib64" "$packed" "$work/path" "$work/bin"
touch "$work/toolkit/lib64/libfirst.so.7" "$packed/libfirst.so.7" "$packed/libsecond.so.7" "$packed/libthird.so.7" \
  "$work/path/libthird.so.7"
printf '#!/bin/sh\n' >"$work/toolkit/bin/nvcc"
# A Python that has torch, and packages in this folder.
printf '#!/bin/sh\ncase $2 in *purelib*) echo "%s" ;; esac\n' "$work/site" >"$work/bin/python3"
chmod +x "$work/toolkit/bin/nvcc" "$work/bin/python3"

export PATH="$work/bin:$work/toolkit/bin:$PATH" LD_LIBRARY_PATH="$work/path"
. "$source/bench/gpu/places.sh"
packages=$(python_packages)
failed=0
expect() { # WHAT GOT WANT
  [ "$2" = "$3" ] || { echo "$1: '$2' in place of '$3'" >&2; failed=1; }
}
expect "of a toolkit" "$(find_library libfirst.so.7)" "$work/toolkit/lib64/libfirst.so.7, of a toolkit"
expect "of a package" "$(find_library libsecond.so.7)" "$work/site/nvidia/any/lib/libsecond.so.7, of a Python package"
expect "by the path" "$(find_library libthird.so.7)" "$work/path/libthird.so.7, by LD_LIBRARY_PATH"
expect "the second name" "$(find_library libnone.so.8 libfirst.so.7)" "$work/toolkit/lib64/libfirst.so.7, of a toolkit"
expect "nowhere" "$(find_library libnone.so.8)" ""
expect "torch" "$(find_torch)" "$work/bin/python3"
exit "$failed"
