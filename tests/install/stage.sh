#!/bin/sh
# stage.sh CMAKE BUILD STAGE MOVED CUDA: installs BUILD below STAGE, then moves that to MOVED, so that no path may stay.
# CUDA is ON where libmfq_cuda was built: the moved command must find it, and say what it says about devices.
set -eu
rm -rf "$3" "$4"
env -u DESTDIR "$1" --install "$2" --prefix "$3" >/dev/null
mv "$3" "$4"
if grep -rlF "$3" "$4"; then
  echo "the files above name the folder that they were installed to"
  exit 1
fi
library=$(dirname "$(find "$4" -name 'libmfq.so.*' | head -n 1)")
module=$(find "$4" -name 'libmfq_cuda.so*' | head -n 1)
if [ "$5" = ON ] && ! ls "$library"/libmfq_cuda.so.* >/dev/null; then
  echo "libmfq_cuda was built, but does not lie beside libmfq"
  exit 1
elif [ "$5" = OFF ] && [ -n "$module" ]; then
  echo "libmfq_cuda was left out, and yet there is $module"
  exit 1
fi
[ -x "$4/bin/mfq" ] || exit 0

"$4/bin/mfq" --help >/dev/null
caps=$(env -u MFQ_CUDA_MODULE -u LD_LIBRARY_PATH "$4/bin/mfq" caps)
about=$(printf '%s\n' "$caps" | grep '^cuda') || {
  echo "mfq caps says nothing about CUDA"
  exit 1
}
echo "$about"
case $5$about in
  *"there is no CUDA module"*) [ "$5" = OFF ] ;;
  *) [ "$5" = ON ] ;;
esac || {
  echo "with libmfq_cuda $5 that is wrong"
  exit 1
}
