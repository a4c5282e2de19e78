# examples/labels.awk: places for the labels of points, so that none covers another label or a point.
#
# Reads tab-separated "x y label" lines in pixels, writes "x y label label_x label_y" with label_x, label_y the left end
# of the label's middle line. Tries the nearest places first; far ones are for crowds.
# Variables: char_width, height (pixels of a label), gap (from point to label), right (of the drawing).
BEGIN { FS = OFS = "\t" }
{ x[NR] = $1; y[NR] = $2; text[NR] = $3; width[NR] = length($3) * char_width }

function overlaps(left, middle, w, h, other_left, other_middle, other_w, other_h) {
  return left < other_left + other_w && other_left < left + w && middle - h / 2 < other_middle + other_h / 2 && \
         other_middle - other_h / 2 < middle + h / 2
}

function is_free(i, left, middle,   k) {
  if (left < 0 || left + width[i] > right) return 0
  for (k = 1; k <= NR; k++) {
    if (overlaps(left, middle, width[i], height, x[k] - gap, y[k], 2 * gap, 2 * gap)) return 0
    if (k in left_of && overlaps(left, middle, width[i], height, left_of[k], middle_of[k], width[k], height)) return 0
  }
  return 1
}

function place(i,   step, side, sign, left, middle) {
  for (step = 0; step < 40; step++)
    for (side = 0; side < 2; side++)
      for (sign = 1; sign >= -1; sign -= 2) {
        left = side == 0 ? x[i] + gap + 3 + step : x[i] - gap - 3 - step - width[i]
        middle = y[i] + sign * step * height / 4
        if (is_free(i, left, middle)) { left_of[i] = left; middle_of[i] = middle; return }
      }
  left_of[i] = x[i] + gap; middle_of[i] = y[i]
}

END {
  for (i = 1; i <= NR; i++) place(i)
  for (i = 1; i <= NR; i++) print x[i], y[i], text[i], left_of[i], middle_of[i], width[i]
}
