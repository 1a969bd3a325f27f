/* What the files of the fake library share. */
#ifndef TRTGO_FAKE_H
#define TRTGO_FAKE_H

#include <stdio.h>

#include "trtgo.h"

/* Makes an error where the caller wants one, and returns status. */
int32_t fail(trtgo_error** error, int32_t status, const char* operation, const char* format, ...);

/* Writes " name=values". */
void print_field(FILE* to, const trtgo_field* f);

#endif /* TRTGO_FAKE_H */
