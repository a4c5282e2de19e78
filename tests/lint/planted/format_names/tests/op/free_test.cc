const char *tests_may = "e4m3fn";
