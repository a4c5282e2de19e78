// A test of num.
