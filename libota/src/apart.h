/* A function with a frame of its own: what it needs is off the stack again before its caller
 * goes deeper. A compiler would make one large frame of both. */
#ifndef OTA_APART_H
#define OTA_APART_H

#if defined(__GNUC__)
#define OTA_APART __attribute__((noinline))
#else
#define OTA_APART
#endif

#endif
