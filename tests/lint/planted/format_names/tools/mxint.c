const char *name = "mxint8";
