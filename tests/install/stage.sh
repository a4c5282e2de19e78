#!/bin/sh
# stage.sh CMAKE BUILD STAGE MOVED [MODULE ...]: installs BUILD below STAGE, then moves that to MOVED, so that no path may
# stay. The modules (cuda, onednn) are those that were built: they must lie beside libmfq, and no others. The moved command
# must find cuda, and say what it says about devices.
set -eu
has_module() { case " $modules " in *" $1 "*) ;; *) return 1 ;; esac; }
modules="$(shift 4 && echo "$*")"
rm -rf "$3" "$4"
env -u DESTDIR "$1" --install "$2" --prefix "$3" >/dev/null
mv "$3" "$4"
if grep -rlF "$3" "$4"; then
  echo "the files above name the folder that they were installed to"
  exit 1
fi
library=$(dirname "$(find "$4" -name 'libmfq.so.*' | head -n 1)")
for module in cuda onednn; do
  found=$(find "$4" -name "libmfq_$module.so*" | head -n 1)
  if has_module $module && ! ls "$library"/libmfq_$module.so.* >/dev/null; then
    echo "libmfq_$module was built, but does not lie beside libmfq"
    exit 1
  elif ! has_module $module && [ -n "$found" ]; then
    echo "libmfq_$module was left out, and yet there is $found"
    exit 1
  fi
done
[ -x "$4/bin/mfq" ] || exit 0

"$4/bin/mfq" --help >/dev/null
caps=$(env -u MFQ_CUDA_MODULE -u LD_LIBRARY_PATH "$4/bin/mfq" caps)
about=$(printf '%s\n' "$caps" | grep '^cuda') || {
  echo "mfq caps says nothing about CUDA"
  exit 1
}
echo "$about"
case $about in
  *"there is no CUDA module"*) ! has_module cuda ;;
  *) has_module cuda ;;
esac || {
  echo "with the modules \"$modules\" that is wrong"
  exit 1
}
