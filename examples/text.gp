# examples/text.gp: losses of trainings on a text, step by step. Variables: csv (of train_text), out (without ending), names (of
# recipes, separated by spaces), title_text.
set encoding utf8
set border 3 lc rgb "#888888"
set tics nomirror textcolor rgb "#333333"
set grid lc rgb "#e6e6e6" lt 1
set datafile separator ","
colors = "#111111 #0072b2 #d55e00 #009e73 #cc79a7 #e69f00 #56b4e9 #999933 #882255"
color(k) = word(colors, (k - 1) % words(colors) + 1)
is_of(k, what) = strcol(1) eq word(names, k) && strcol(3) eq what
do for [format in "svg png"] {
  if (format eq "svg") { set terminal svg size 1000,460 font "Helvetica,13" background rgb "white" } \
  else { set terminal pngcairo size 1000,460 font "Sans,10" background rgb "white" }
  set output out . "." . format
  set multiplot layout 1,2 title title_text textcolor rgb "#111111"
  set xlabel "step" textcolor rgb "#333333"
  set format y "%.1f"
  set title "loss, mean since the point before (nats per character)" textcolor rgb "#333333"
  unset key
  plot for [k=1:words(names)] csv using 2:(is_of(k, "trained") ? $4 : NaN) with linespoints pt 7 ps 0.4 \
       lw (k == 1 ? 3 : 1.6) lc rgb color(k)
  set title "loss of text that is not trained on" textcolor rgb "#333333"
  set key right top reverse Left samplen 2 noenhanced textcolor rgb "#333333"
  plot for [k=1:words(names)] csv using 2:(is_of(k, "unseen") ? $4 : NaN) with linespoints pt 7 ps 0.4 \
       lw (k == 1 ? 3 : 1.6) lc rgb color(k) title word(names, k)
  unset multiplot
  unset output
}
