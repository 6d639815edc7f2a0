/* The device area: a row of objects, one behind the other (docs/spec/provisioning.md section 2). */
#ifndef ROW_H
#define ROW_H

#include "ota/slot.h"

/* Kinds of objects in it. */
enum { ROW_IDENTITY = 1, ROW_ANCHOR = 2, ROW_PREPARED_KEY = 3 };

/* A place in a row. */
struct row {
    struct ota_area rest;     /* from this object on */
    struct ota_source object; /* reads from rest: do not copy the struct */
    uint32_t kind;
};

/* Goes to the first object, and to the next. 0 where there is none. */
int row_first(struct row *r, const struct ota_area *area);
int row_next(struct row *r);

#endif
