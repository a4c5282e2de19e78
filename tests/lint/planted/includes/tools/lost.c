#include "nowhere.h"
/* #include "not_this_one.h" */
