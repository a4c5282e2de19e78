#!/bin/sh
# keep_ptxas.sh NVCC...: runs it, and keeps what `ptxas -v` says in <object>.ptxas; warnings are printed as they are.
set -u
before=
object=
for word; do
  [ "$before" != -o ] || object=$word
  before=$word
done
"$@" 2>"$object.ptxas"
status=$?
grep -v -e '^ptxas info ' -e '^ *[0-9]* bytes stack frame, ' "$object.ptxas" >&2
exit $status
