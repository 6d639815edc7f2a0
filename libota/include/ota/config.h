/* What is fixed when the library is compiled. Every value can be set on the
 * command line; the whole firmware must be compiled with the same. */
#ifndef OTA_CONFIG_H
#define OTA_CONFIG_H

/* The size of an RSA modulus in bits: 2048, 3072 or 4096. A device that has to
 * verify several sizes takes the verifier of a crypto library (ports/). */
#ifndef OTA_RSA_BITS
#define OTA_RSA_BITS 2048
#endif

/* Bits of a limb of the built-in verifier: 32 where the part multiplies 32 by 32
 * bits to 64 in hardware, otherwise 16. Thumb-1, AVR and the ESP8266's core do
 * not. */
#ifndef OTA_LIMB_BITS
#if (defined(__ARM_ARCH) && defined(__thumb__) && !defined(__thumb2__)) || defined(__AVR__) || defined(__XTENSA__)
#define OTA_LIMB_BITS 16
#else
#define OTA_LIMB_BITS 32
#endif
#endif

/* The longest signature that can be verified, in bytes: it is read into a
 * buffer on the stack. Others are counted as not verifying. */
#ifndef OTA_MAX_SIGNATURE
#define OTA_MAX_SIGNATURE (OTA_RSA_BITS / 8)
#endif

/* 32-bit words that the crypto port needs for the state of a SHA-256: 25 for the
 * built-in one, 27 for mbedTLS, 28 for OpenSSL. */
#ifndef OTA_SHA256_WORDS
#define OTA_SHA256_WORDS 28
#endif

#endif
