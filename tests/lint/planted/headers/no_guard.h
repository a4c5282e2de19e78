typedef struct no_guard { int x; } no_guard;
