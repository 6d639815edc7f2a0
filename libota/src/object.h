/* Stored objects, as src/object.c writes them. */
#ifndef OBJECT_H
#define OBJECT_H

#include "ota/flash.h"

#define OBJECT_HEAD 16

/* How many bytes an object's head takes in an area. */
static inline size_t object_head_size(const struct ota_area *a)
{
    return a->flash->unit < OBJECT_HEAD ? OBJECT_HEAD : a->flash->unit;
}

#endif
