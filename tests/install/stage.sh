#!/bin/sh
# stage.sh CMAKE BUILD STAGE MOVED: installs BUILD below STAGE, then moves that to MOVED, so that no path may stay.
set -eu
rm -rf "$3" "$4"
env -u DESTDIR "$1" --install "$2" --prefix "$3" >/dev/null
mv "$3" "$4"
if grep -rlF "$3" "$4"; then
  echo "the files above name the folder that they were installed to"
  exit 1
fi
if find "$4" -name mfq -type f -path '*/bin/*' | grep -q .; then
  "$4/bin/mfq" --help >/dev/null
fi
