/* The two COSE messages (RFC 9052) that all objects are made of, in the one form
 * that docs/spec/objects.md section 2 allows. It knows no keys. */
#ifndef OTA_COSE_H
#define OTA_COSE_H

#include <stddef.h>
#include <stdint.h>

#include "cbor.h"
#include "ota/crypto.h"
#include "ota/source.h"

#define COSE_TAG_SIGN 0xd862
#define COSE_TAG_MAC0 0xd1
#define COSE_KID_SIZE 8
#define COSE_MAX_SIGNATURES 8
#define COSE_MAX_SIGNATURE 5120 /* bytes */
#define COSE_HMAC_256 5         /* the algorithm of MACs */

/* Kinds of object. No enum: an int may have sixteen bits. */
#define COSE_KEYSET 65101u
#define COSE_MANIFEST 65102u
#define COSE_CHECK_REQUEST 65103u
#define COSE_CHECK_RESPONSE 65104u
#define COSE_REPORT 65105u

/* A protected header: of the body of a COSE_Sign typ alone, of a signature alg and
 * kid, of a COSE_Mac0 all. */
struct cose_header {
    uint64_t typ;
    int32_t alg;
    struct ota_field kid;
};

/* A parsed COSE_Sign, COSE_Mac0 or COSE_Signature. Nothing about it is verified. */
struct cose_object {
    const struct ota_source *from;
    struct ota_field protected;
    struct ota_field unprotected;
    struct ota_field payload; /* of a COSE_Signature its value */
    struct ota_field proof;   /* list of signatures, or the MAC */
    uint32_t start;           /* of the protected header, with its head */
    struct cose_header header;
};

/* What is signed or MAC'ed: a Sig_structure or MAC_structure in pieces, each where it
 * stands. */
struct cose_message {
    struct ota_span spans[5];
    unsigned count;
};

/* The first pass: parses a whole COSE_Sign of that kind. */
OTA_MUST_USE int cose_parse_signed(struct cose_object *o, const struct ota_source *from, uint16_t typ);

/* The second: reads the signature at *at, which has to be one that passed the first, and
 * moves behind it. */
OTA_MUST_USE int cose_read_signature(const struct ota_source *from, uint16_t *at, struct cose_object *s);

/* Parses a whole COSE_Mac0 of that kind. */
OTA_MUST_USE int cose_parse_maced(struct cose_object *o, const struct ota_source *from, uint16_t typ);

/* Makes what is signed by that signature, or MAC'ed if it is NULL. Of o only from, start,
 * protected and payload count. */
void cose_message(struct cose_message *m, const struct cose_object *o, const struct cose_object *signature);

#endif
