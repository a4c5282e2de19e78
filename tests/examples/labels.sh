#!/bin/sh
# The labels of the demo's picture do not overlap, even for points in a heap.
set -eu
cd "$(dirname "$0")/../.."
i=0
while [ $i -lt 20 ]; do
  printf '%d\t%d\tmxfp8_scheme_%02d\n' $((400 + i % 3)) $((200 + i)) $i
  i=$((i + 1))
done | awk -v char_width=6.6 -v height=14 -v gap=6 -v right=840 -f examples/labels.awk | awk -F'\t' '
  { left[NR] = $4; middle[NR] = $5; width[NR] = $6 }
  END {
    if (NR != 20) { print NR " labels, not 20"; exit 1 }
    for (i = 1; i <= NR; i++)
      for (k = 1; k < i; k++) {
        d = middle[i] - middle[k]; if (d < 0) d = -d
        if (left[i] < left[k] + width[k] && left[k] < left[i] + width[i] && d < 13.999) {
          print "labels " i " and " k " overlap"; exit 1
        }
      }
  }'
