# examples/sweep.gp: what a scheme costs against what it gains. Variables: points (file), out (without ending),
# title_text, x_text, y_text, and the ranges x0 x1 y0 y1 with the size of the drawing w h in pixels, in which the labels
# were placed (labels.awk).
set encoding utf8
set border 3 lc rgb "#888888"
set tics nomirror textcolor rgb "#333333"
set grid lc rgb "#e6e6e6" lt 1
left = 70; bottom = 60; width = w + 110; height = h + 110
set lmargin at screen left / real(width)
set rmargin at screen (left + w) / real(width)
set bmargin at screen bottom / real(height)
set tmargin at screen (bottom + h) / real(height)
set xrange [x0:x1]
set yrange [y0:y1]
set xlabel x_text textcolor rgb "#333333"
set ylabel y_text textcolor rgb "#333333"
set title title_text textcolor rgb "#111111"
set key left top reverse Left samplen 1 textcolor rgb "#333333"
set datafile separator "\t"
px(p) = x0 + (x1 - x0) * p / w
py(p) = y0 + (y1 - y0) * p / h
# Lines lead from a point to a label that had to move away.
moved(y, label_y) = abs(label_y - y) > 3
near(x, label_x, label_w) = label_x > x ? label_x - 2 : label_x + label_w + 2
do for [format in "svg png"] {
  if (format eq "svg") { set terminal svg size width,height font "Helvetica,13" background rgb "white" } \
  else { set terminal pngcairo size width,height font "Sans,10" background rgb "white" }
  set output out . "." . format
  plot points using (px($1)):(py($2)):(moved($2,$5) ? px(near($1,$4,$6))-px($1) : 0):(moved($2,$5) ? py($5)-py($2) : 0) \
         with vectors nohead lc rgb "#bbbbbb" notitle, \
       for [k=1:4] points using (px($1)):($7 == k ? py($2) : NaN) with points pt int(word("7 5 9 6", k)) ps 0.9 lw 1.6 \
         lc rgb word("#0072b2 #009e73 #d55e00 #777777", k) \
         title word("MX/NVFP4 FP8 integers Brevitas", k), \
       points using (px($4)):(py($5)):3 with labels left noenhanced textcolor rgb "#222222" notitle
  unset output
}
