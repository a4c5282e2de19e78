# examples/train.gp: loss and accuracy of trainings, epoch by epoch. Variables: csv (of train_digits), out (without ending),
# names (of recipes, separated by spaces), title_text.
set encoding utf8
set border 3 lc rgb "#888888"
set tics nomirror textcolor rgb "#333333"
set grid lc rgb "#e6e6e6" lt 1
set datafile separator ","
colors = "#111111 #d55e00 #0072b2 #56b4e9 #009e73 #999933 #cc79a7 #882255 #e69f00"
color(k) = word(colors, (k - 1) % words(colors) + 1)
is_of(k) = strcol(1) eq word(names, k)
do for [format in "svg png"] {
  if (format eq "svg") { set terminal svg size 1000,460 font "Helvetica,13" background rgb "white" } \
  else { set terminal pngcairo size 1000,460 font "Sans,10" background rgb "white" }
  set output out . "." . format
  set multiplot layout 1,2 title title_text textcolor rgb "#111111"
  set xlabel "epoch" textcolor rgb "#333333"
  set xtics 1
  set logscale y
  set format y "%g"
  set title "mean loss on 1500 digits" textcolor rgb "#333333"
  unset key
  plot for [k=1:words(names)] csv using 3:(is_of(k) ? $4 : NaN) with linespoints pt 7 ps 0.4 \
       lw (k == 1 ? 3 : 1.6) lc rgb color(k)
  unset logscale y
  set title "of 297 unseen digits read right, %" textcolor rgb "#333333"
  set key right bottom reverse Left samplen 2 noenhanced textcolor rgb "#333333"
  plot for [k=1:words(names)] csv using 3:(is_of(k) ? 100.0 * $5 / $6 : NaN) with linespoints pt 7 ps 0.4 \
       lw (k == 1 ? 3 : 1.6) lc rgb color(k) title word(names, k)
  unset multiplot
  unset output
}
